"""A catalog with a scene, its label and a prediction, and the tile server over it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image
from rio_cogeo import cog_profiles, cog_translate

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import StoredFile, derived_from
from terralab.extensions.labels import label_item, labels_collection
from terralab.extensions.raster import BandRecord, BandStatistics, ClassDefinition, Grid
from terralab.tiler.app import create_tiler_app

WHEN = datetime(2020, 5, 1, 10, tzinfo=UTC)
SIDE = 700
TMS = morecantile.tms.get("WebMercatorQuad")
UTM = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (SIDE, SIDE))
# 4.777… m: pixels are those of zoom 15, and the raster begins at a tile corner
HALF = 20037508.342789244
MERCATOR_STEP = 2 * HALF / 256 / 2**15
MERCATOR = Grid(
    "EPSG:3857",
    (MERCATOR_STEP, 0, 256 * 16000 * MERCATOR_STEP - HALF, 0, -MERCATOR_STEP, HALF - 256 * 12500 * MERCATOR_STEP),
    (SIDE, SIDE),
)
CLASSES = [
    ClassDefinition(value=0, name="land", title="Land", color="D2B48C"),
    ClassDefinition(value=1, name="water", title="Water", color="1F6FB2"),
    ClassDefinition(value=2, name="forest", color="2E7D32"),
]


def class_raster(side: int = SIDE, seed: int = 7) -> np.ndarray:
    """Return blobs of three classes with a corner of nodata (255), uint8 (side, side)."""
    noise = np.random.default_rng(seed).random((side // 20 + 1, side // 20 + 1))
    fine = np.kron(noise, np.ones((20, 20)))[:side, :side]
    values = np.digitize(fine, [0.4, 0.75]).astype("uint8")
    values[: side // 7, : side // 7] = 255
    return values


def scene_raster(side: int = SIDE, seed: int = 3) -> np.ndarray:
    """Return four bands of noise on a gradient with a border of nodata (0), uint16 (4, side, side)."""
    gradient = np.linspace(200, 2600, side)
    noise = np.random.default_rng(seed).integers(0, 400, (4, side, side))
    values = (gradient[None, None, :] + noise + gradient[None, :, None] / 4).astype("uint16")
    values[:, :, :9] = 0
    return values


def write_cog(path: Path, values: np.ndarray, grid: Grid, nodata: float | None, **profile: Any) -> Path:
    """Write a cloud-optimized GeoTIFF of `values` (bands, height, width)."""
    source = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    source |= {"dtype": values.dtype, "crs": grid.crs, "transform": rasterio.Affine(*grid.transform), "nodata": nodata}
    with rasterio.MemoryFile() as memory:
        with memory.open(**source) as dataset:
            dataset.write(values)
        with memory.open() as dataset:
            chosen = cog_profiles.get("deflate") | {"blockxsize": 256, "blockysize": 256} | profile
            cog_translate(dataset, path, chosen, quiet=True, overview_resampling="nearest", in_memory=True)
    return path


def statistics_of(values: np.ndarray) -> BandStatistics:
    """Return statistics of a band without its zeros."""
    valid = values[values > 0].astype("float64")
    return BandStatistics(
        float(valid.min()), float(valid.max()), float(valid.mean()), float(valid.std()), 100 * valid.size / values.size
    )


def scene_bands(values: np.ndarray) -> list[BandRecord]:
    """Return records of the bands B02, B03, B04, B08."""
    names = ("B02", "B03", "B04", "B08")
    return [BandRecord(name, "uint16", 0, statistics_of(band)) for name, band in zip(names, values, strict=True)]


def publish_scene(workspace: Workspace, image: StoredFile, bands: list[BandRecord], id: str = "scene-1") -> dict:
    """Publish a scene and return its item."""
    footprint = UTM.footprint(WHEN)
    item = scene_item(id=id, collection_id="imagery", footprint=footprint, grid=UTM, image=image, bands=bands)
    collection = imagery_collection(id="imagery", title="Imagery", description="Test", footprint=footprint, bands=bands)
    publish(workspace, [collection], [item])
    return item


def publish_labels(
    workspace: Workspace, raster: StoredFile, scene: dict, grid: Grid = UTM, id: str = "label-1"
) -> dict:
    """Publish a label raster and return its item."""
    footprint = grid.footprint(WHEN)
    item = label_item(
        id=id,
        collection_id="labels",
        footprint=footprint,
        grid=grid,
        raster=raster,
        classes=CLASSES,
        class_counts={"land": 1},
        scene=scene,
        scene_asset="image",
        description="Test",
        links=[derived_from(scene)],
    )
    collection = labels_collection(
        id="labels", title="Labels", description="Test", footprint=footprint, classes=CLASSES
    )
    publish(workspace, [collection], [item])
    return item


@dataclass(repr=False)
class Lab:
    """A lab with one scene and one label raster on it, and a client of its tile server."""

    SCENE = "/collections/imagery/items/scene-1/assets/image"
    LABELS = "/collections/labels/items/label-1/assets/raster_labels"
    COLOURS = np.zeros((256, 4), "uint8")
    UTM, MERCATOR, SIDE = UTM, MERCATOR, SIDE
    class_raster, scene_raster = staticmethod(class_raster), staticmethod(scene_raster)
    for _entry in CLASSES:
        COLOURS[_entry.value] = [*bytes.fromhex(_entry.color), 255]

    workspace: Workspace
    client: TestClient
    folder: Path
    scene: dict
    label: dict

    def get(self, path: str, **params: Any) -> Response:
        """Ask the tile server."""
        return self.client.get(path, params=params)

    def picture(self, path: str, **params: Any) -> np.ndarray:
        """Return an image as RGBA, uint8 (height, width, 4)."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return np.asarray(Image.open(BytesIO(response.content)).convert("RGBA"))

    def centre(self, path: str, zoom: int) -> morecantile.Tile:
        """Return the tile in the middle of an asset."""
        west, south, east, north = self.get(f"{path}/tilejson.json").json()["bounds"]
        return TMS.tile((west + east) / 2, (south + north) / 2, zoom)

    def store_cog(self, values: np.ndarray, grid: Grid, nodata: float | None, name: str) -> StoredFile:
        """Store `values` as a COG."""
        return self.workspace.store.put(write_cog(self.folder / name, values, grid, nodata))

    def add_scene(self, values: np.ndarray, grid: Grid, id: str) -> dict:
        """Publish a scene of 13 Sentinel-2 bands and return its item."""
        names = "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12".split()
        bands = [BandRecord(n, str(values.dtype), 0, statistics_of(b)) for n, b in zip(names, values, strict=True)]
        stored, footprint = self.store_cog(values, grid, 0, f"{id}.tif"), grid.footprint(WHEN)
        item = scene_item(id=id, collection_id=f"{id}s", footprint=footprint, grid=grid, image=stored, bands=bands)
        title = {"title": "Flood scenes", "description": "Test", "footprint": footprint, "bands": bands}
        publish(self.workspace, [imagery_collection(id=f"{id}s", **title)], [item])
        return item

    def add_labels(self, values: np.ndarray, grid: Grid, id: str) -> str:
        """Publish a class raster and return its path at the tile server."""
        stored = self.workspace.store.put(write_cog(self.folder / f"{id}.tif", values[None], grid, 255))
        publish_labels(self.workspace, stored, self.scene, grid, id)
        return f"/collections/labels/items/{id}/assets/raster_labels"

    def add_file(self, path: Path, id: str) -> str:
        """Publish any file as if it were a scene and return its path at the tile server."""
        stored = self.workspace.store.put(path, "image.tif")
        publish_scene(self.workspace, stored, scene_bands(scene_raster(50)), id)
        return f"/collections/imagery/items/{id}/assets/image"


@pytest.fixture
def lab(workspace: Workspace, tmp_path: Path) -> Iterator[Lab]:
    """Yield the lab."""
    values = scene_raster()
    image = workspace.store.put(write_cog(tmp_path / "scene.tif", values, UTM, 0))
    scene = publish_scene(workspace, image, scene_bands(values))
    raster = workspace.store.put(write_cog(tmp_path / "label.tif", class_raster()[None], UTM, 255))
    label = publish_labels(workspace, raster, scene)
    app = create_tiler_app(workspace.settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Lab(workspace, client, tmp_path, scene, label)
