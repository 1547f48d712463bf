"""Putting shapes on a chip's pixels: polygons by their pixels' centres, points into the pixel that holds them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from terralab.datasets.chipping.label_shapes import Overlaps
from terralab.datasets.chipping.places import to_crs
from terralab.extensions.raster import MASK_NODATA, Grid

_WGS84 = "EPSG:4326"
_ON_EDGE = 1e-7


@dataclass(frozen=True)
class ValuedShape:
    """A geometry in longitude and latitude as WKB, and its value: of a class, or a measured number."""

    wkb: bytes
    value: float

    def on(self, grid: Grid) -> BaseGeometry:
        """Return the geometry in the grid's coordinate system."""
        return to_crs(shapely.from_wkb(self.wkb), _WGS84, grid.crs)


def burned_classes(
    shapes: Sequence[ValuedShape],
    grid: Grid,
    *,
    all_touched: bool = False,
    overlaps: Overlaps = Overlaps.UNLABEL,
    background: int | None = None,
    radius: int = 0,
) -> tuple[NDArray[np.uint8], int]:
    """Return the mask of the shapes, and how many of its pixels several classes claim.

    Args:
        shapes: of class values.
        grid: the chip's.
        all_touched: every pixel that a polygon touches, not only those whose centre it covers.
        overlaps: who wins a disputed pixel.
        background: class value outside of all shapes; None for no label.
        radius: pixels around a point that take its label as well.
    """
    mask = np.full(grid.shape, MASK_NODATA if background is None else background, np.uint8)
    claims = np.full(grid.shape, MASK_NODATA, np.uint8)
    disputed = np.zeros(grid.shape, bool)
    for covered, value in _covered(shapes, grid, all_touched, radius):
        other = covered & (claims != MASK_NODATA) & (claims != value)
        disputed |= other
        won = covered & ~other if overlaps is Overlaps.FIRST else covered
        claims[won] = np.uint8(value)
    labelled = claims != MASK_NODATA
    mask[labelled] = claims[labelled]
    if overlaps in (Overlaps.UNLABEL, Overlaps.REFUSE):
        mask[disputed] = MASK_NODATA
    return mask, int(disputed.sum())


def burned_numbers(
    shapes: Sequence[ValuedShape], grid: Grid, *, all_touched: bool = False, radius: int = 0
) -> NDArray[np.float32]:
    """Return the numbers of the shapes (1, rows, columns); NaN elsewhere, the mean where several meet."""
    total, count = np.zeros(grid.shape), np.zeros(grid.shape, int)
    for covered, value in _covered(shapes, grid, all_touched, radius):
        total[covered] += value
        count[covered] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / count).astype(np.float32)[np.newaxis]


def point_pixel(grid: Grid, x: float, y: float) -> tuple[int, int]:
    """Return row and column of the pixel that holds a point; they may lie outside the grid.

    A point on the chip's own edge is in the chip, whatever the last digit of a division says.
    """
    a, _, c, _, e, f = grid.transform
    return _step_of((y - f) / e), _step_of((x - c) / a)


def _step_of(position: float) -> int:
    return 0 if abs(position) < _ON_EDGE else int(np.floor(position))


def boxes_on(shapes: Sequence[ValuedShape], grid: Grid) -> list[tuple[int, list[float]]]:
    """Return class value and pixel box [column0, row0, column1, row1] of the shapes, cut at the chip's edge."""
    rows, columns = grid.shape
    a, _, c, _, e, f = grid.transform
    found = []
    for shape in shapes:
        left, bottom, right, top = shape.on(grid).bounds
        box = [(left - c) / a, (top - f) / e, (right - c) / a, (bottom - f) / e]
        cut = [max(0.0, box[0]), max(0.0, box[1]), min(float(columns), box[2]), min(float(rows), box[3])]
        if cut[0] < cut[2] and cut[1] < cut[3]:
            found.append((int(shape.value), [round(number, 3) for number in cut]))
    return found


def _covered(
    shapes: Sequence[ValuedShape], grid: Grid, all_touched: bool, radius: int
) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Yield where each shape lies on the chip, and its value."""
    for shape in shapes:
        geometry = shape.on(grid)
        points = [part for part in shapely.get_parts(geometry) if part.geom_type == "Point"]
        covered = np.zeros(grid.shape, bool)
        for point in points:
            row, column = point_pixel(grid, point.x, point.y)
            rows = slice(max(0, row - radius), max(0, row + radius + 1))
            columns = slice(max(0, column - radius), max(0, column + radius + 1))
            covered[rows, columns] = True
        rest = [part for part in shapely.get_parts(geometry) if part.geom_type != "Point"]
        if rest:
            burned = rasterize(
                [(part, 1) for part in rest],
                out_shape=grid.shape,
                transform=Affine(*grid.transform),
                all_touched=all_touched,
                dtype="uint8",
            )
            covered |= burned.astype(bool)
        yield covered, shape.value
