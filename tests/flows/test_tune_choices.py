"""What a person can choose, and what a dataset version must have: nothing here needs torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

from terralab.catalog.errors import AssetCorrupt, InvalidInput, TooFewChips, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.extensions.raster import ClassDefinition
from terralab.flows.in_lab import checked_request
from terralab.flows.progress import LogProgress
from terralab.flows.tune import TuneRequest, model_name, training_recipe, tune_model
from terralab.flows.tuning.backbones import BACKBONES, Family, find_backbone, padded_size
from terralab.flows.tuning.card import verdict
from terralab.flows.tuning.dataset_version import load_version, tree_hash
from terralab.flows.tuning.network import model_config
from terralab.flows.tuning.recipe import suggested_epochs
from terralab.flows.tuning.templates import TEMPLATES, find_template
from tests.flows.frozen_dataset import CLASSES, freeze, ponds, split_names, stored_path


def test_the_flow_loads_without_torch() -> None:
    code = "import sys, terralab.flows.tune; sys.exit('torch' in sys.modules or 'terratorch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Prithvi_EO_V1_100M", "prithvi_eo_v1_100"),
        ("prithvi_eo_v2_300_tl", "prithvi_eo_v2_300_tl"),
        ("TERRAMIND_V1_TINY", "terramind_v1_tiny"),
        ("timm_convnext_large", "timm_convnext_large.fb_in22k"),
        ("timm_efficientnet_b0", "timm_efficientnet_b0"),
    ],
)
def test_backbones_are_found_by_their_spellings(written: str, name: str) -> None:
    assert find_backbone(written).name == name


def test_unknown_names_come_with_the_closest() -> None:
    with pytest.raises(UnknownName, match="timm_resnet18"):
        find_backbone("resnet18")
    with pytest.raises(UnknownName, match="terramind_v1_tiny"):
        find_backbone("terramind_v1_tiny_tim")
    with pytest.raises(UnknownName, match="did you mean Segmentation"):
        find_template("Segmentatoin")


def test_every_template_names_a_listed_backbone() -> None:
    assert {template.backbone for template in TEMPLATES.values()} <= set(BACKBONES)


def test_padding_follows_the_patches() -> None:
    assert padded_size(find_backbone("prithvi_eo_v2_600"), 64) == 84
    assert padded_size(find_backbone("timm_resnet18"), 100) == 100


@pytest.mark.parametrize("name", BACKBONES)
def test_the_config_is_plain_json(name: str) -> None:
    backbone = find_backbone(name)
    config = model_config(find_template("Segmentation"), backbone, ["B02", "B03", "B8A"], CLASSES, 64, {})
    assert json.loads(json.dumps(config)) == config
    arguments = config["model_args"]["backbone_arguments"]
    if backbone.family is Family.PRITHVI:
        assert arguments["bands"] == ["BLUE", "GREEN", "NIR_NARROW"]


def test_terramind_takes_the_input_that_has_the_bands() -> None:
    template, backbone = find_template("Segmentation"), find_backbone("terramind_v1_tiny")

    def modalities(*bands: str) -> list:
        config = model_config(template, backbone, bands, CLASSES, 64, {})
        return config["model_args"]["backbone_arguments"]["modalities"]

    assert modalities("B02", "B03") == ["S2L2A"]
    assert modalities("B02", "B10") == ["S2L1C"]
    assert modalities("VV", "VH") == ["S1GRD"]
    assert modalities("B02", "DEM") == [{"IMAGE": 2}]


def test_clay_refuses_bands_without_a_wavelength() -> None:
    with pytest.raises(InvalidInput, match="does not know band_7"):
        model_config(find_template("Segmentation"), find_backbone("clay_v1_base"), ["B02", "band_7"], CLASSES, 64, {})


def test_epochs_follow_the_pixels() -> None:
    assert suggested_epochs(40, 64) > suggested_epochs(400, 64)
    assert 10 <= suggested_epochs(100_000, 256) <= suggested_epochs(1, 16) <= 100


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("loss", "l2"), ("weights", "some"), ("name", "Not an id"), ("seed", -1)]
)
def test_wrong_values_name_their_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=field):
        checked_request(TuneRequest, dataset="ponds", **{field: value})


def test_random_weights_are_not_frozen() -> None:
    with pytest.raises(InvalidInput, match="frozen_backbone"):
        checked_request(TuneRequest, dataset="ponds", frozen_backbone=True)


def test_the_verdict_is_plain() -> None:
    assert "does not beat" in verdict({"test_miou": 0.8}, {"test_miou": 0.81})
    assert "hardly better" in verdict({"test_miou": 0.812}, {"test_miou": 0.81})
    assert "beats" in verdict({"test_miou": 0.9}, {"test_miou": 0.81})


def test_the_latest_version_is_taken(workspace: Workspace) -> None:
    images, masks = ponds(5, 16)
    for version in ("1.2.0", "1.10.0", "1.9.0"):
        freeze(workspace, images, masks, split_names(3, 1, 1), version=version)
    assert load_version(workspace, "ponds", None).id == "ponds-v1-10-0"
    assert load_version(workspace, "ponds", "v1.2.0").id == "ponds-v1-2-0"
    assert load_version(workspace, "ponds-v1-9-0", None).id == "ponds-v1-9-0"
    with pytest.raises(UnknownName, match="version of ponds"):
        load_version(workspace, "ponds", "3.0.0")
    with pytest.raises(UnknownName, match="did you mean ponds"):
        load_version(workspace, "pond", None)


def test_what_is_left_open_is_filled_in(workspace: Workspace) -> None:
    freeze(workspace, *ponds(5, 16), split_names(3, 1, 1))
    version = load_version(workspace, "ponds", None)
    recipe = training_recipe(TuneRequest(dataset="ponds"), version)
    assert recipe.epochs == suggested_epochs(3, 16)
    assert recipe.learning_rate == 1e-3
    assert model_name(version, find_backbone("timm_resnet18")) == "ponds-resnet18"
    assert version.mean[1] > version.mean[0]


def test_tree_hash_is_that_of_dvc() -> None:
    # From `dvc add` of a folder with a.txt ("a\n") and b/c.txt ("c\n").
    files = [
        {"relpath": "b/c.txt", "md5": "2cd6ee2c70b0bde53fbe6cac3c8b8bb1", "size": 2},
        {"relpath": "a.txt", "md5": "60b725f10c9c85c70d97880dfe8191b3", "size": 2},
    ]
    assert tree_hash(files) == "fe84379d2acb24b0012994e6490ece92.dir"


def test_too_few_chips_name_the_split(workspace: Workspace) -> None:
    freeze(workspace, *ponds(4, 16), split_names(3, 1, 0))
    with pytest.raises(TooFewChips, match=r"0 in test \(at least 1\)"):
        tune_model(workspace, TuneRequest(dataset="ponds"), LogProgress())
    freeze(workspace, *ponds(3, 16), split_names(1, 1, 1), name="puddles")
    with pytest.raises(TooFewChips, match=r"1 in train \(at least 2\)"):
        tune_model(workspace, TuneRequest(dataset="puddles"), LogProgress())
    assert workspace.catalog.find_collection("runs") is None


def test_a_single_class_is_refused(workspace: Workspace) -> None:
    images, masks = ponds(5, 16)
    only = (ClassDefinition(value=0, name="land", color="112233"),)
    freeze(workspace, images, np.zeros_like(masks), split_names(3, 1, 1), classes=only)
    with pytest.raises(InvalidInput, match="at least two"):
        tune_model(workspace, TuneRequest(dataset="ponds"), LogProgress())


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_tampered_chips_are_named_before_training(workspace: Workspace, damage: str) -> None:
    item = freeze(workspace, *ponds(5, 16), split_names(3, 1, 1))
    path = stored_path(workspace, item, "images/ponds-002.tif")
    path.chmod(0o644)
    if damage == "flip":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(AssetCorrupt, match=r"images/ponds-002\.tif (differs|is missing)"):
        tune_model(workspace, TuneRequest(dataset="ponds"), LogProgress())
    assert workspace.catalog.find_collection("models") is None
    runs = list(workspace.catalog.search(collections=["runs"]))
    assert [run["properties"]["lab:status"] for run in runs] == ["failed"]


def test_a_manifest_of_another_tree_is_refused(workspace: Workspace) -> None:
    item = freeze(workspace, *ponds(5, 16), split_names(3, 1, 1))
    item["properties"]["lab:dvc_tree"] = "0" * 32 + ".dir"
    workspace.catalog.write([], [item])
    with pytest.raises(AssetCorrupt, match="tree hash"):
        load_version(workspace, "ponds", None)
