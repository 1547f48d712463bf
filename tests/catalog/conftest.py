"""A small lab with one object of every kind, made by the builders, and a real server over it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
import uvicorn
from affine import Affine
from fastapi import FastAPI
from PIL import Image

from terralab.catalog.app import create_app
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.dataset import dataset_item, datasets_collection
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import Footprint, StoredFile, asset, derived_from, item_link
from terralab.extensions.lab import SPLIT_PROP, RunStatus, RunType
from terralab.extensions.labels import label_item, labels_collection
from terralab.extensions.model import ModelDescription, ModelInput, model_item, models_collection
from terralab.extensions.prediction import prediction_item, predictions_collection
from terralab.extensions.raster import BandRecord, BandStatistics, ClassDefinition, Grid
from terralab.extensions.run import RunRecord, runs_collection
from tests.conftest import execute, official_schemas

PIXELS = 64
GRID = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (PIXELS, PIXELS))
WHEN = datetime(2020, 5, 1, 10, tzinfo=UTC)
BANDS = [
    BandRecord(name, "uint16", 0, BandStatistics(1.0, 4000.0, 900.0, 250.0, 100.0))
    for name in ("B02", "B03", "B04", "B08")
]
CLASSES = [
    ClassDefinition(value=0, name="land", title="Land", color="C9B28F"),
    ClassDefinition(value=1, name="water", title="Water", color="2F6DB3"),
]
RUN_LINK = item_link("processing-execution", "runs", "tune-1")
SPLITS = ("train", "train", "validate", "test")
SHA = "ab" * 32


def geotiff(workspace: Workspace, name: str, bands: int, seed: int = 0, algorithm: str = "sha256") -> StoredFile:
    values = np.random.default_rng(seed).integers(0, 2 if bands == 1 else 4000, (bands, PIXELS, PIXELS))
    with workspace.store.scratch() as folder:
        path: Path = folder / name
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=PIXELS,
            height=PIXELS,
            count=bands,
            dtype="uint8" if bands == 1 else "uint16",
            crs=GRID.crs,
            transform=Affine(*GRID.transform),
            tiled=True,
            blockxsize=16,
            blockysize=16,
        ) as target:
            target.write(values.astype(target.dtypes[0]))
        return workspace.store.put(path, algorithm=algorithm)


def png(workspace: Workspace, name: str) -> StoredFile:
    rows, columns = np.mgrid[0:240, 0:320]
    picture = np.stack([80 + rows / 3, 110 + columns / 4, 160 - rows / 4]).astype("uint8")
    stream = BytesIO()
    Image.fromarray(np.moveaxis(picture, 0, -1)).save(stream, "PNG")
    return workspace.store.put_bytes(stream.getvalue(), name)


def fill(workspace: Workspace, chips: int = 4) -> Workspace:
    """Publish one scene, its label, chips, a dataset version, a model, a prediction and their runs."""
    area = GRID.footprint(WHEN)
    scene = scene_item(
        id="spain-s2",
        collection_id="flood-scenes",
        footprint=area,
        grid=GRID,
        image=geotiff(workspace, "spain.tif", 4),
        bands=BANDS,
        properties={"lab:params": {"source": {"file": "Spain_S2.tif", "sha256": SHA}}, "platform": "sentinel-2a"},
    )
    label = label_item(
        id="spain-label",
        collection_id="flood-labels",
        footprint=area,
        grid=GRID,
        raster=geotiff(workspace, "label.tif", 1),
        classes=CLASSES,
        class_counts={"land": 3000, "water": 1096},
        scene=scene,
        scene_asset="image",
        description="hand",
    )
    label["properties"]["lab:params"] = {"source": {"file": "Spain_Label.tif", "sha256": SHA[::-1]}}
    image, mask = (geotiff(workspace, f"{name}.tif", bands, 9, "md5") for name, bands in (("c", 4), ("m", 1)))
    cut = [
        chip_item(
            id=f"chip-{number:04d}",
            collection_id="flood-v1",
            dataset="flood",
            footprint=area,
            grid=GRID,
            features=[Feature("image", image, BANDS)],
            target=Target.mask(mask, CLASSES, {"land": 10, "water": 6}),
            valid_share=1.0,
            scenes=[scene],
            label=label,
            window=(0, number),
        )
        for number in range(chips)
    ]
    for number, chip in enumerate(cut):
        chip["properties"][SPLIT_PROP] = SPLITS[number % len(SPLITS)]
    version = dataset_item(
        id="flood-v1-0-0",
        dataset="flood",
        chips_collection="flood-v1",
        version="1.0.0",
        footprint=area,
        dvc_rev="a" * 40,
        dvc_tree="b" * 32 + ".dir",
        manifest=workspace.store.put_bytes(b'{"files": []}', "manifest.json"),
        dvc_file=workspace.store.put_bytes(b"outs: []\n", "chips.dvc"),
        class_counts={"land": 40, "water": 24},
        split_counts={"train": 2, "validate": 1, "test": 1},
        split_report={"touching_pairs": 0},
        sources=[derived_from(scene), derived_from(label)],
    )
    model = _model(workspace, area, version)
    prediction = _prediction(workspace, area, model, scene)
    runs = [
        _run(RunType.TUNE, "tune-1", area, RunStatus.SUCCEEDED, 11, [version], [("models", model["id"])]),
        _run(
            RunType.PREDICT,
            "predict-1",
            area,
            RunStatus.SUCCEEDED,
            12,
            [model, scene],
            [(prediction["collection"], prediction["id"])],
        ),
        _run(RunType.ONBOARD, "onboard-2", area, RunStatus.FAILED, 13, [], []),
    ]
    collections = [
        imagery_collection(id="flood-scenes", title="Flood scenes", description="Test", footprint=area, bands=BANDS),
        labels_collection(id="flood-labels", title="Flood labels", description="Test", footprint=area, classes=CLASSES),
        chips_collection(
            id="flood-v1",
            dataset="flood",
            description="Test",
            footprint=area,
            features=[Feature("image", None, BANDS)],
            target=Target(Task.SEGMENTATION, classes=CLASSES),
            summaries={"ml-aoi:split": ["train", "validate", "test"]},
        ),
        datasets_collection(area),
        models_collection(area),
        predictions_collection(
            id="flood-net-predictions", title="Predictions", description="Test", footprint=area, classes=CLASSES
        ),
        runs_collection(area),
    ]
    publish(workspace, collections, [scene, label, *cut, version, model, prediction, *runs])
    return workspace


def _model(workspace: Workspace, area: Footprint, version: dict) -> dict:
    curves = asset(png(workspace, "curves.png"), "image/png", ["overview"], "Training curves")
    return model_item(
        id="flood-net-abc",
        footprint=area,
        description=ModelDescription(
            name="flood-net",
            version="1.0.0",
            architecture="timm_resnet18 + UNetDecoder",
            framework_version="2.10.0",
            parameters=11_000_000,
            memory_size=44_000_000,
            pretrained=False,
            pretrained_source=None,
            hyperparameters={"epochs": 3},
            batch_size=8,
        ),
        model_input=ModelInput(["B02", "B03", "B04", "B08"], [900.0] * 4, [250.0] * 4, PIXELS),
        classes=CLASSES,
        weights=workspace.store.put_bytes(b"\x00" * 64, "model.safetensors"),
        config=workspace.store.put_bytes(b"{}", "config.json"),
        dataset="flood",
        dataset_version="1.0.0",
        metrics={"test_miou": 0.86, "test_accuracy": 0.95, "test_iou_water": 0.8},
        baseline={"test_miou": 0.81, "test_accuracy": 0.96},
        seed=1,
        assets={"curves": curves},
        links=[derived_from(version), RUN_LINK],
    )


def _prediction(workspace: Workspace, area: Footprint, model: dict, scene: dict) -> dict:
    return prediction_item(
        id="flood-net-spain",
        collection_id="flood-net-predictions",
        footprint=area,
        grid=GRID,
        raster=geotiff(workspace, "prediction.tif", 1, 5),
        classes=CLASSES,
        class_counts={"land": 3100, "water": 996},
        model=model,
        sources=[scene],
        params={"overlap": 16},
        software={"terralab": "0.1.0"},
        processed=datetime(2026, 1, 2, tzinfo=UTC),
        thumbnail=png(workspace, "thumbnail.png"),
        links=[item_link("processing-execution", "runs", "predict-1")],
    )


def _run(
    kind: RunType,
    id: str,
    area: Footprint,
    status: RunStatus,
    hour: int,
    inputs: list[dict],
    made: list[tuple[str, str]],
) -> dict:
    return RunRecord(
        id,
        kind,
        status,
        area,
        datetime(2026, 1, 2, hour, tzinfo=UTC),
        datetime(2026, 1, 2, hour, 5, tzinfo=UTC),
        params={"seed": 1},
        inputs=[derived_from(item) for item in inputs],
        produced=made,
        error={"code": "grid_mismatch", "message": "label is 10 px smaller"} if status == RunStatus.FAILED else None,
    ).to_item()


@pytest.fixture
def lab(workspace: Workspace) -> Workspace:
    """Return a lab with one object of every kind."""
    return fill(workspace)


@dataclass
class Server:
    """A running web process and a client of it."""

    url: str
    client: httpx.Client

    def get(self, path: str, **arguments: object) -> httpx.Response:
        return self.client.get(path, **arguments)  # type: ignore[arg-type]


def serve(app: FastAPI) -> Iterator[Server]:
    """Run an app under uvicorn on a free port, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", proxy_headers=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the web process did not start")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30, follow_redirects=True) as client:
        yield Server(url, client)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def shared_lab(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Yield one small lab for all tests that only read the catalog; they may add files to its store."""
    execute(postgres, f"CREATE DATABASE shared_lab TEMPLATE {template}")
    settings = Settings()
    settings.database.database_url = f"{postgres}/shared_lab"
    settings.lab.home = tmp_path_factory.mktemp("shared")
    settings.lab.schemas = official_schemas()
    yield fill(Workspace(settings))
    execute(postgres, "DROP DATABASE shared_lab WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_server(shared_lab: Workspace) -> Iterator[Server]:
    """Yield the web process of the shared lab."""
    yield from serve(create_app(shared_lab.settings))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Yield the web process of the test's own lab where it asks for `lab`, else of the shared one."""
    if "lab" in request.fixturenames:
        yield from serve(create_app(request.getfixturevalue("lab").settings))
    else:
        yield request.getfixturevalue("shared_server")
