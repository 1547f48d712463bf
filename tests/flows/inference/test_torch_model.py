"""A real TerraTorch network from its published files, through the whole prediction."""

import json
from typing import Any

import numpy as np
import pytest

from terralab.catalog.publish import publish
from terralab.extensions.model import ModelDescription, ModelInput, model_item, models_collection
from terralab.extensions.raster import Grid
from terralab.flows.predict import PredictRequest, predict_scenes

UTM = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (200, 230))
BANDS = ("B03", "B8A", "B11")
SCALING = ModelInput(BANDS, [1600.0] * 3, [800.0] * 3, 64)


def published_model(lab, classes) -> dict[str, Any]:
    import torch

    from terralab.flows.tuning.backbones import find_backbone
    from terralab.flows.tuning.checkpoints import save_network
    from terralab.flows.tuning.network import build_network, model_config
    from terralab.flows.tuning.templates import find_template

    torch.manual_seed(0)
    backbone = find_backbone("timm_resnet18")
    config = model_config(find_template("Segmentation"), backbone, BANDS, classes, 64, {"epochs": 0})
    store = lab.workspace.store
    with store.scratch() as folder:
        weights = store.put(save_network(build_network(config), folder))
    item = model_item(
        id="resnet-1",
        footprint=UTM.footprint(lab.when),
        description=ModelDescription("resnet", "1.0.0", "resnet", "2.10.0", 1, 4, False, None, {"epochs": 0}, 8),
        model_input=SCALING,
        classes=classes,
        weights=weights,
        config=store.put_bytes(json.dumps(config).encode(), "config.json"),
        dataset="floods",
        dataset_version="1.0.0",
        metrics={},
        baseline={},
        seed=0,
        assets={},
        links=[],
    )
    publish(lab.workspace, [models_collection(UTM.footprint(lab.when))], [item])
    return item


@pytest.mark.torch
def test_published_network_predicts_without_seams(lab, classes) -> None:
    pytest.importorskip("terratorch")
    from terralab.flows.inference.network import load_torch_network

    random = np.random.default_rng(0)
    coarse = random.integers(400, 2800, (3, 14, 15))
    pixels = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2)[:, :200, :230].astype(np.uint16)
    pixels[:, :9, :9] = 0
    lab.add_scene(grid=UTM, pixels=pixels)
    model = published_model(lab, classes)
    request = PredictRequest(model="resnet", items=["floods-scenes/scene-1"], crop=128, overlap=32)
    outcome = predict_scenes(lab.workspace, request, lab.progress)
    (item,) = lab.made(outcome)
    found, _ = lab.raster(item)
    assert (found[:9, :9] == 255).all()
    config = json.loads(lab.workspace.store.open_path(model["assets"]["config"]["href"]).read_bytes())
    network = load_torch_network(config, lab.workspace.store.open_path(model["assets"]["weights"]["href"]))
    scaled = np.where(pixels == 0, 0, (pixels.astype(np.float32) - 1600) / 800).astype(np.float32)
    whole = np.asarray([entry.value for entry in classes])[network(scaled[None])[0].argmax(axis=0)]
    valid = found != 255
    assert (found == whole)[valid].mean() > 0.9
    again = predict_scenes(lab.workspace, request, lab.progress)
    assert again.reused
