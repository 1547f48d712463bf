"""Rasters, plans and chips for tests: small files in one UTM zone, cut without a catalog."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.chipping.cleaning import Cleaning
from terralab.datasets.chipping.making import MadeChip, make_chips
from terralab.datasets.chipping.plan import (
    Acquisition,
    ChipPlan,
    FeatureRecipe,
    ItemKey,
    Recipe,
    ScenePart,
    TargetPlan,
    TargetRecipe,
)
from terralab.datasets.chipping.sources import RasterSource
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition, Grid

CRS = "EPSG:32630"
GRID = Grid(CRS, (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0), (16, 16))
CLASSES = tuple(ClassDefinition(value=value, name=f"c{value}", color="112233") for value in range(3))
TIME = "2020-01-01T00:00:00Z"
NODATA = -1


def raster(
    folder: Path, name: str, pixels: np.ndarray, grid: Grid = GRID, nodata: float | None = NODATA
) -> RasterSource:
    """Write a raster and return it as a source."""
    path = folder / f"{name}.tif"
    bands = pixels if pixels.ndim == 3 else pixels[np.newaxis]
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(
        path, "w", driver="GTiff", crs=grid.crs, transform=rasterio.Affine(*grid.transform), nodata=nodata, **profile
    ) as dataset:
        dataset.write(bands)
    return RasterSource(path, path.name, grid, tuple(range(1, len(bands) + 1)), nodata)


def shot(*parts: tuple[RasterSource, RasterSource | None]) -> Acquisition:
    """Return an acquisition of scenes, each an image and what says where it is clouded."""
    return Acquisition(TIME, tuple(ScenePart(ItemKey("s", image.name), (image,), quality) for image, quality in parts))


def cut(
    folder: Path,
    dates: Sequence[Sequence[Acquisition]],
    label: RasterSource,
    *,
    cleaning: Cleaning | None = None,
    **feature: Any,
) -> tuple[MadeChip, np.ndarray, np.ndarray]:
    """Cut one chip, and return it with its image and mask (empty where it was dropped)."""
    first = dates[0][0].parts[0].rasters[0]
    with rasterio.open(first.path) as dataset:
        data_type, count = dataset.dtypes[0], dataset.count
    recipe = Recipe(
        16,
        (FeatureRecipe("image", None, tuple(f"B{n}" for n in range(count)), data_type, NODATA, len(dates), **feature),),
        TargetRecipe(Task.SEGMENTATION, CLASSES),
        cleaning or Cleaning(),
    )
    plan = ChipPlan(
        "chip",
        GRID,
        (tuple(tuple(date) for date in dates),),
        TargetPlan((label,)),
        ItemKey("l", "l"),
        TIME,
        TIME,
        (0, 0),
    )
    store = FolderStore(folder / "store")
    (made,) = make_chips(store, recipe, [plan])
    if made.files is None:
        return made, np.empty(0), np.empty(0)
    with rasterio.open(store.open_path(made.files["image"].href)) as image:
        pixels = image.read()
    with rasterio.open(store.open_path(made.files["mask"].href)) as mask:
        return made, pixels, mask.read(1)
