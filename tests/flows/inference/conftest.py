"""A small lab with real scenes and a model whose network is a threshold on one band (a stand-in for tests only)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import cog_writer
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.labels import label_item, labels_collection
from terralab.extensions.model import ModelDescription, ModelInput, model_item, models_collection
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid
from terralab.flows.predict import PredictRequest, predict_scenes
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome

WHEN = datetime(2020, 5, 1, 10, tzinfo=UTC)
UTM = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (150, 220))
DEGREES = Grid("EPSG:4326", (0.0001, 0, -3.0, 0, -0.0001, 37.9), (130, 170))
CLASSES = [
    ClassDefinition(value=0, name="land", title="Land", color="D2B48C"),
    ClassDefinition(value=2, name="water", title="Water", color="0072B2"),
]
MODEL_BANDS = ("B03", "B8A", "B11")
NODATA = 0


class RecordingProgress(LogProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.tables: dict[str, Any] = {}
        self.images: list[str] = []
        self.ticks: list[tuple[int, int]] = []

    def step(self, name: str) -> None:
        self.steps.append(name)

    def advance(self, done: int, total: int) -> None:
        self.ticks.append((done, total))

    def table(self, key: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
        self.tables[key] = rows

    def image(self, key: str, title: str, href: str) -> None:
        self.images.append(href)


@dataclass
class InferenceLab:
    """What tests of predictions do again and again."""

    workspace: Workspace
    progress: RecordingProgress = field(default_factory=RecordingProgress)
    when: datetime = WHEN
    loaded: int = 0
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def load(self, config: dict[str, Any], weights: Path):
        """Return the threshold network: water where the scaled band number `band` is low."""
        self.loaded += 1
        slope = json.loads(weights.read_bytes())["slope"]
        band = config["band"]

        def network(batch: np.ndarray) -> np.ndarray:
            self.seen.append(batch.shape)
            zero = np.zeros_like(batch[:, band])
            return np.stack([zero, -slope * batch[:, band]], axis=1)

        return network

    def predict(self, **values: Any) -> Outcome:
        return predict_scenes(self.workspace, PredictRequest(**values), self.progress, self.load)

    def pixels(self, grid: Grid, names: Sequence[str], seed: int = 0, data_type: str = "uint16") -> np.ndarray:
        """Return (bands, rows, columns): noise with dark water in B11, and a corner without data."""
        random = np.random.default_rng(seed)
        values = random.integers(200, 3000, (len(names), *grid.shape)).astype(data_type)
        values[:, :20, :30] = NODATA
        return values

    def write(self, path: Path, pixels: np.ndarray, grid: Grid, names: Sequence[str], nodata: Any = NODATA) -> Path:
        profile = {
            "driver": "GTiff",
            "count": len(pixels),
            "dtype": pixels.dtype,
            "height": grid.shape[0],
            "width": grid.shape[1],
            "crs": grid.crs,
            "transform": Affine(*grid.transform),
            "nodata": nodata,
        }
        with rasterio.open(path, "w", **profile) as dataset:
            if names:
                dataset.descriptions = tuple(names)
            dataset.write(pixels)
        return path

    def add_scene(
        self,
        id: str = "scene-1",
        grid: Grid = UTM,
        names: Sequence[str] = MODEL_BANDS,
        pixels: np.ndarray | None = None,
        when: datetime = WHEN,
        clouds: float | None = None,
        nodata: float | None = NODATA,
        asset_key: str = "image",
        collection: str = "floods-scenes",
    ) -> dict[str, Any]:
        values = self.pixels(grid, names) if pixels is None else pixels
        bands = [BandRecord(name, str(values.dtype), nodata) for name in names]
        with self.workspace.store.scratch() as folder:
            target = folder / f"{id}.tif"
            with cog_writer(
                target,
                count=len(values),
                data_type=str(values.dtype),
                grid=grid,
                nodata=nodata,
                names=names,
                labels=False,
            ) as cog:
                cog.write(values)
            image = self.workspace.store.put(target)
        item = scene_item(
            id=id,
            collection_id=collection,
            footprint=grid.footprint(when),
            grid=grid,
            image=image,
            bands=bands,
            properties={} if clouds is None else {"eo:cloud_cover": clouds},
        )
        item["assets"][asset_key] = item["assets"].pop("image")
        group = imagery_collection(
            id=collection, title="Scenes", description="Test", footprint=grid.footprint(when), bands=bands
        )
        publish(self.workspace, [group], [item])
        return item

    def add_model(
        self,
        id: str = "flood-tiny-1",
        name: str = "flood-tiny",
        version: str = "1.0.0",
        slope: float = 1.0,
        band: str = "B11",
        aliases: Sequence[str] = (),
        links: Sequence[dict[str, Any]] = (),
        classes: Sequence[ClassDefinition] = CLASSES,
        size: int = 64,
    ) -> dict[str, Any]:
        store = self.workspace.store
        weights = json.dumps({"slope": slope}).encode()
        config = {"format": "test-threshold/1", "band": MODEL_BANDS.index(band)}
        item = model_item(
            id=id,
            footprint=UTM.footprint(WHEN),
            description=ModelDescription(name, version, "threshold", "2.10.0", 1, 4, False, None, {"epochs": 1}, 8),
            model_input=ModelInput(MODEL_BANDS, [1600.0, 1500.0, 1400.0], [800.0, 810.0, 820.0], size),
            classes=classes,
            weights=store.put_bytes(weights, "model.safetensors"),
            config=store.put_bytes(json.dumps(config).encode(), "config.json"),
            dataset="floods",
            dataset_version="1.0.0",
            metrics={},
            baseline={},
            seed=0,
            assets={},
            links=links,
            aliases=aliases,
        )
        publish(self.workspace, [models_collection(UTM.footprint(WHEN))], [item])
        return item

    def add_label(
        self,
        scene: dict[str, Any],
        values: np.ndarray,
        grid: Grid = UTM,
        classes: Sequence[ClassDefinition] = CLASSES,
        collection: str = "floods-labels",
    ) -> dict[str, Any]:
        with self.workspace.store.scratch() as folder:
            target = folder / f"{scene['id']}_label.tif"
            with cog_writer(
                target, count=1, data_type="uint8", grid=grid, nodata=255, names=["label"], labels=True
            ) as cog:
                cog.write(values.astype(np.uint8), 1)
            raster = self.workspace.store.put(target)
        item = label_item(
            id=scene["id"],
            collection_id=collection,
            footprint=grid.footprint(WHEN),
            grid=grid,
            raster=raster,
            classes=classes,
            class_counts={entry.name: int((values == entry.value).sum()) for entry in classes},
            scene=scene,
            scene_asset="image",
            description="Test",
        )
        group = labels_collection(
            id=collection, title="Labels", description="Test", footprint=grid.footprint(WHEN), classes=classes
        )
        publish(self.workspace, [group], [item])
        return item

    def made(self, outcome: Outcome) -> list[dict[str, Any]]:
        return [self.workspace.catalog.item(*pair) for pair in outcome.produced]

    def raster(self, item: dict[str, Any], key: str = "prediction") -> tuple[np.ndarray, dict[str, Any]]:
        with rasterio.open(self.workspace.store.open_path(item["assets"][key]["href"])) as dataset:
            facts = {
                "transform": tuple(dataset.transform)[:6],
                "crs": dataset.crs.to_string(),
                "nodata": dataset.nodata,
                "tags": dataset.tags(1),
                "overviews": dataset.overviews(1),
                "compression": str(dataset.compression),
            }
            if key == "prediction":
                facts["colours"] = dataset.colormap(1)
            return dataset.read(1), facts

    def expected(self, pixels: np.ndarray, index: int = 2, mean: float = 1400, stddev: float = 820) -> np.ndarray:
        """Return the class map that the threshold gives of whole bands, nodata where any band has none."""
        scaled = (pixels[index].astype(np.float32) - np.float32(mean)) / np.float32(stddev)
        classes = np.where(-scaled > 0, 2, 0).astype(np.uint8)
        classes[(pixels == NODATA).any(axis=0)] = 255
        return classes


@pytest.fixture
def classes() -> list[ClassDefinition]:
    return CLASSES


@pytest.fixture
def lab(workspace: Workspace) -> InferenceLab:
    return InferenceLab(workspace)
