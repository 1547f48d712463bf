"""Tiles of ours beside those of plain titiler-core, on the same COG, in one run.

`python -m pytest tests/benchmarks/bench_tiles.py -s` prints one JSON object. Pixels are compared first; times are
medians over the same tiles, both through their ASGI app in this process, ours with its catalog lookup.
"""

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import morecantile
import numpy as np
import pytest
import rasterio
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from rio_cogeo import cog_profiles, cog_translate
from titiler.core.factory import TilerFactory

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.labels import class_renders
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid
from terralab.tiler.app import create_tiler_app

SIDE, TILES, ROUNDS = 4096, 12, 3
WHEN = datetime(2020, 5, 1, 10, tzinfo=UTC)
GRID = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (SIDE, SIDE))
NAMES = ("B02", "B03", "B04", "B08", "B11", "B12")
CLASSES = [
    ClassDefinition(value=0, name="land", color="D2B48C"),
    ClassDefinition(value=1, name="water", color="1F6FB2"),
]
TMS = morecantile.tms.get("WebMercatorQuad")


def imagery_values() -> np.ndarray:
    """Return a noisy scene, uint16 (6, SIDE, SIDE)."""
    noise = np.random.default_rng(1)
    smooth = np.kron(noise.random((6, SIDE // 64, SIDE // 64)), np.ones((64, 64)))
    return (300 + 2500 * smooth + noise.integers(0, 200, (6, SIDE, SIDE))).astype("uint16")


def class_values() -> np.ndarray:
    """Return blobs of two classes, uint8 (1, SIDE, SIDE)."""
    noise = np.random.default_rng(2).random((SIDE // 32, SIDE // 32))
    return (np.kron(noise, np.ones((32, 32))) > 0.6).astype("uint8")[None]


def write_cog(path: Path, values: np.ndarray, nodata: int) -> None:
    """Write what rio-cogeo makes by default."""
    profile = {"driver": "GTiff", "count": len(values), "height": SIDE, "width": SIDE, "dtype": values.dtype}
    profile |= {"crs": GRID.crs, "transform": rasterio.Affine(*GRID.transform), "nodata": nodata}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(values)
        with memory.open() as dataset:
            cog_translate(dataset, path, cog_profiles.get("deflate"), quiet=True, in_memory=True)


def published(workspace: Workspace, folder: Path) -> dict[str, str]:
    """Publish both rasters as items and return their files by item id."""
    files = {}
    records = [BandRecord(name, "uint16", 0) for name in NAMES]
    for id, values, nodata, bands in (
        ("scene", imagery_values(), 0, records),
        ("classes", class_values(), 255, [BandRecord("B01", "uint8", 255)]),
    ):
        write_cog(folder / f"{id}.tif", values, nodata)
        stored = workspace.store.put(folder / f"{id}.tif")
        footprint = GRID.footprint(WHEN)
        item = scene_item(id=id, collection_id=id, footprint=footprint, grid=GRID, image=stored, bands=bands)
        collection = imagery_collection(id=id, title=id, description=id, footprint=footprint, bands=bands)
        if id == "classes":
            collection["renders"] = class_renders(CLASSES, "image")
        publish(workspace, [collection], [item])
        files[id] = str(workspace.store.open_path(stored.href))
    return files


def tiles_inside(zoom: int) -> list[morecantile.Tile]:
    """Return tiles of a zoom that the raster covers, spread over it."""
    west, south, east, north = (-2.95, 37.62, -2.58, 37.90)
    inside = list(TMS.tiles(west, south, east, north, zooms=zoom))
    return inside[:: max(1, len(inside) // TILES)][:TILES]


def median_ms(ask: Callable[[morecantile.Tile], bytes], tiles: list[morecantile.Tile]) -> float:
    """Return the median time of a tile."""
    times = []
    for _ in range(ROUNDS):
        for tile in tiles:
            start = time.perf_counter()
            ask(tile)
            times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1000, 2)


def rgba(content: bytes) -> np.ndarray:
    """Return an image with the colour of transparent pixels set to 0."""
    found = np.asarray(Image.open(BytesIO(content)).convert("RGBA")).copy()
    found[found[..., 3] == 0] = 0
    return found


@pytest.fixture
def results(workspace: Workspace, tmp_path: Path) -> dict[str, dict[str, float]]:
    """Measure and return the figures by layer and zoom."""
    files, plain = published(workspace, tmp_path), FastAPI()
    plain.include_router(TilerFactory().router)
    colours = json.dumps(class_renders(CLASSES, "image")["default"]["colormap"])
    wanted = {
        "scene": {"bidx": [3, 2, 1], "rescale": "300,3000"},
        "classes": {"colormap": colours, "nodata": 255},
    }
    figures = {}
    with TestClient(create_tiler_app(workspace.settings)) as ours, TestClient(plain) as theirs:
        for layer, zooms in (("scene", (14, 13, 11)), ("classes", (14, 13, 11))):
            for zoom in zooms:
                tiles = tiles_inside(zoom)

                def ask_ours(tile: morecantile.Tile, layer: str = layer) -> bytes:
                    root = f"/collections/{layer}/items/{layer}/assets/image/WebMercatorQuad"
                    path = f"{root}/{tile.z}/{tile.x}/{tile.y}.png"
                    given = wanted[layer] if layer == "scene" else {}
                    return ours.get(path, params=given).raise_for_status().content

                def ask_theirs(tile: morecantile.Tile, layer: str = layer) -> bytes:
                    path = f"/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.png"
                    return theirs.get(path, params={"url": files[layer], **wanted[layer]}).raise_for_status().content

                pairs = [(ask_ours(tile), ask_theirs(tile)) for tile in tiles]
                equal = np.mean([(rgba(one) == rgba(other)).all(-1).mean() for one, other in pairs])
                own, other = median_ms(ask_ours, tiles), median_ms(ask_theirs, tiles)
                figures[f"{layer} z{zoom}"] = {
                    "equal_pixels": round(float(equal), 4),
                    "ours_ms": own,
                    "titiler_ms": other,
                    "ratio": round(other / own, 2),
                    "ours_bytes": int(np.mean([len(pair[0]) for pair in pairs])),
                    "titiler_bytes": int(np.mean([len(pair[1]) for pair in pairs])),
                }
    return figures


def test_tiles_beside_titiler(results: dict[str, dict[str, float]]) -> None:
    print(json.dumps(results, indent=2))
    for name, figures in results.items():
        if name.endswith("z14"):  # native resolution: both must find the same source pixel
            assert figures["equal_pixels"] > 0.99, name
