"""The whole tuning on a tiny dataset, and going on after a kill."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from terralab.catalog.errors import InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.extensions.model import read_model_classes, read_model_input
from terralab.flows.progress import LogProgress
from terralab.flows.tune import TuneRequest, tune_model
from tests.flows.frozen_dataset import freeze, ponds, split_names

pytestmark = pytest.mark.torch
SPLITS = split_names(8, 2, 2)


@pytest.fixture
def request_() -> TuneRequest:
    return TuneRequest(dataset="ponds", epochs=4, batch_size=3)


def test_a_tuned_model_is_catalogued_with_all_that_inference_needs(workspace: Workspace, request_: TuneRequest) -> None:
    import torch

    from terralab.flows.tuning.checkpoints import load_network

    freeze(workspace, *ponds(12, 32), SPLITS)
    outcome = tune_model(workspace, request_, LogProgress())
    ((collection, id),) = outcome.produced
    item = workspace.catalog.item(collection, id)
    properties = item["properties"]
    assert id.startswith("ponds-resnet18-")
    assert properties["version"] == "1.0.0"
    assert properties["lab:metrics"]["test_miou"] == outcome.metrics["test_miou"]
    assert {"test_accuracy", "test_mf1", "test_iou_water", "val_miou"} <= set(properties["lab:metrics"])
    assert properties["lab:baseline"]["test_miou"] > 0.9
    assert {asset.get("type") for asset in item["assets"].values()} >= {
        "image/png",
        "text/markdown",
        "application/json",
    }
    assert set(item["assets"]) == {
        "weights", "config", "metrics", "baseline", "card", "curves", "confusion", "examples",
    }  # fmt: skip
    assert {link["rel"]: link["href"] for link in item["links"]}["derived_from"] == (
        "collections/datasets/items/ponds-v1-0-0"
    )
    described = read_model_input(item)
    assert (list(described.bands), described.size) == (["B03", "B08", "B11"], 32)
    assert [entry.name for entry in read_model_classes(item)] == ["land", "water"]
    config = json.loads(workspace.store.verify(item["assets"]["config"]["href"]).read_bytes())
    network = load_network(config, workspace.store.verify(item["assets"]["weights"]["href"]))
    logits = network(torch.zeros(1, 3, 32, 32))
    assert (logits.shape, logits.dtype) == ((1, 2, 32, 32), torch.float32)
    assert not (workspace.settings.work_folder / outcome.run).exists()


def test_the_same_again_is_quick_and_equal(workspace: Workspace, request_: TuneRequest) -> None:
    freeze(workspace, *ponds(12, 32), SPLITS)
    first = tune_model(workspace, request_, LogProgress())
    item = workspace.catalog.item(*first.produced[0])
    started = time.monotonic()
    again = tune_model(workspace, request_, LogProgress())
    assert time.monotonic() - started < 5
    assert again.reused
    assert again.produced == first.produced
    assert again.details == first.details
    # The same work done anew gives the same bytes.
    with workspace.catalog.connection() as connection:
        connection.execute("SELECT delete_item(%s, %s)", (first.produced[0][1], "models"))
    fresh = tune_model(workspace, request_, LogProgress())
    assert not fresh.reused
    assert workspace.catalog.item(*fresh.produced[0])["assets"] == item["assets"]


def test_versions_of_a_name_go_up(workspace: Workspace, request_: TuneRequest) -> None:
    freeze(workspace, *ponds(12, 32), SPLITS)
    versions = []
    for seed in (0, 1):
        request = request_.model_copy(update={"seed": seed, "epochs": 1, "name": "pond-finder", "class_weights": True})
        outcome = tune_model(workspace, request, LogProgress())
        versions.append(workspace.catalog.item(*outcome.produced[0])["properties"]["version"])
    assert versions == ["1.0.0", "1.1.0"]


TRAIN = """
import json, os, signal, sys
from pathlib import Path

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.loaders import from_store
from terralab.datasets.loading.data_module import ChipDataModule
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack_folder import PackFolder
from terralab.extensions.raster import ClassDefinition
from terralab.flows.tuning.backbones import find_backbone
from terralab.flows.tuning.checkpoints import save_network
from terralab.flows.tuning.network import build_network, model_config
from terralab.flows.tuning.recipe import TrainingRecipe
from terralab.flows.tuning.templates import find_template
from terralab.flows.tuning.training import seed_all, train

manifest, store, root = json.loads(Path(sys.argv[1]).read_text()), FolderStore(Path(sys.argv[2])), Path(sys.argv[3])
recipe = TrainingRecipe(2, 5, 3, 1e-3, 0.01, "ce_dice", False, False, None, "none", 7)
classes = [ClassDefinition.of_stac(entry) for entry in manifest["classes"]]
contents = Contents.of_manifest(manifest)
packs = PackFolder(root / "packs", 1 << 30)


def work(folder, kill_after):
    data = ChipDataModule(packs.open(contents, from_store(store)), contents, 3, 7)
    backbone = find_backbone("timm_resnet18")
    config = model_config(find_template("Segmentation"), backbone, ["B03", "B08", "B11"], classes, 32, {})
    seed_all(7, 0)
    network = build_network(config)

    def on_epoch(epoch, record):
        print(folder.name, epoch, flush=True)
        if epoch == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    trained = train(network, data, recipe, None, folder, on_epoch, seconds_between_states=0)
    (folder / "final").mkdir()
    save_network(network, folder / "final")
    (folder / "history.json").write_text(json.dumps([trained.history, trained.best_epoch]))


# TerraTorch is imported once; every training is a process of its own, as in the lab's warm worker.
for name, kill_after in (("whole", 0), ("resumed", 3), ("resumed", 0)):
    child = os.fork()
    if child == 0:
        work(root / name, kill_after)
        os._exit(0)
    print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_training_killed_and_repeated_ends_bit_equal(workspace: Workspace, tmp_path: Path) -> None:
    item = freeze(workspace, *ponds(12, 32), SPLITS)
    manifest = workspace.store.open_path(item["assets"]["manifest"]["href"])
    command = [sys.executable, "-c", TRAIN, str(manifest), str(workspace.store.folder), str(tmp_path)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    # The kill came before the state of epoch 3 was written, so the training goes on after epoch 2.
    assert done.stdout.splitlines() == [
        *(f"whole {epoch}" for epoch in (1, 2, 3, 4, 5)),
        "status 0",
        *(f"resumed {epoch}" for epoch in (1, 2, 3)),
        f"status {-signal.SIGKILL}",
        *(f"resumed {epoch}" for epoch in (3, 4, 5)),
        "status 0",
    ], done.stderr
    for name in ("final/weights.safetensors", "weights.safetensors", "history.json"):
        digests = {hashlib.sha256((tmp_path / folder / name).read_bytes()).digest() for folder in ("whole", "resumed")}
        assert len(digests) == 1, name


@pytest.mark.parametrize("loss", ["ce", "dice", "focal", "lovasz"])
def test_every_loss_trains(workspace: Workspace, loss: str) -> None:
    freeze(workspace, *ponds(6, 32), split_names(4, 1, 1))
    request = TuneRequest(dataset="ponds", epochs=1, batch_size=2, loss=loss, backbone="prithvi_eo_tiny", patience=1)
    assert tune_model(workspace, request, LogProgress()).metrics["best_epoch"] == 1


def test_a_training_that_diverges_says_so_and_registers_nothing(workspace: Workspace) -> None:
    images, masks = ponds(6, 32)
    freeze(workspace, images, masks, split_names(4, 1, 1))
    request = TuneRequest(dataset="ponds", epochs=3, batch_size=2, learning_rate=1, weight_decay=1)
    huge = request.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InvalidInput, match="lower learning rate"):
        tune_model(workspace, huge, LogProgress())
    assert workspace.catalog.find_collection("models") is None
