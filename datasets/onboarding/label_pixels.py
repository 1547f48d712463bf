"""Labels as pixels on the image's grid, strip by strip: class values (uint8, 255 for no label) or numbers (float32)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from terralab.datasets.onboarding.plan import MaskPlan, NumbersPlan, ShapesPlan
from terralab.datasets.raster_file import open_raster, strips, valid_pixels
from terralab.extensions.raster import MASK_NODATA, Grid

_STRIP_ROWS = 256


def mask_strips(label: MaskPlan | ShapesPlan, grid: Grid) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (first row, class values (1, rows, columns)) from the top.

    Raises:
        InvalidRaster: a block of the label's file cannot be read.
    """
    if isinstance(label, ShapesPlan):
        yield from _drawn(label, grid)
        return
    with open_raster(label.facts.path) as source:
        for row, pixels in strips(source, label.facts.name):
            yield row, mask_of_values(pixels, label.unlabelled)


def number_strips(label: NumbersPlan) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first row, numbers (1, rows, columns), NaN where there is none) from the top.

    Raises:
        InvalidRaster: a block of the label's file cannot be read.
    """
    with open_raster(label.facts.path) as source:
        for row, pixels in strips(source, label.facts.name):
            numbers = pixels.astype(np.float32)
            yield row, np.where(valid_pixels(pixels, label.nodata), numbers, np.float32("nan"))


def mask_of_values(values: NDArray[Any], unlabelled: Sequence[float]) -> NDArray[np.uint8]:
    """Return class values as uint8 with 255 where there is no label; any shape."""
    usable = valid_pixels(values, None)
    for value in unlabelled:
        usable &= values != value
    return np.where(usable, values, MASK_NODATA).astype(np.uint8)


def draw(
    shapes: Sequence[tuple[BaseGeometry, int]], grid: Grid, background: int | None, all_touched: bool
) -> NDArray[np.uint8]:
    """Return outlines as class values on a grid (rows, columns); the last wins where they overlap.

    A pixel belongs to an outline that its centre lies in, or with `all_touched` to every outline that it meets.

    Args:
        shapes: (geometry in the grid's coordinate system, value).
        grid: where the pixels lie.
        background: value of pixels outside all outlines; None for 255, no label.
        all_touched: as above.
    """
    fill = MASK_NODATA if background is None else background
    if not shapes:
        return np.full(grid.shape, fill, np.uint8)
    transform = Affine(*grid.transform)
    drawn: NDArray[np.uint8] = rasterize(
        shapes, grid.shape, fill=fill, transform=transform, all_touched=all_touched, dtype="uint8"
    )
    return drawn


def _drawn(label: ShapesPlan, grid: Grid) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    rows, columns = grid.shape
    a, b, left, d, e, top = grid.transform
    tree = shapely.STRtree([geometry for geometry, _ in label.shapes])
    for row in range(0, rows, _STRIP_ROWS):
        height = min(_STRIP_ROWS, rows - row)
        part = Grid(grid.crs, (a, b, left, d, e, top + e * row), (height, columns))
        frame = shapely.box(left, top + e * (row + height), left + a * columns, top + e * row)
        reached = [label.shapes[place] for place in sorted(tree.query(frame).tolist())]
        yield row, draw(reached, part, label.background, label.all_touched)[np.newaxis]
