"""Which pixels of a grid a box on the ground covers."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely import box, get_coordinates, segmentize

from terralab.datasets.imagery.area import Box
from terralab.extensions.raster import Grid

_PARTS_OF_A_SIDE = 16
_NEARLY = 1e-6  # of a pixel: a box that ends on a pixel's edge does not take the next one


@dataclass(frozen=True)
class PixelWindow:
    """Rows and columns of a grid."""

    row: int
    column: int
    height: int
    width: int

    def grid(self, whole: Grid) -> Grid:
        """Return the window's own grid."""
        a, b, c, d, e, f = whole.transform
        moved = (a, b, c + a * self.column + b * self.row, d, e, f + d * self.column + e * self.row)
        return Grid(whole.crs, moved, (self.height, self.width))


def window_of(grid: Grid, lonlat: Box) -> PixelWindow | None:
    """Return the pixels that a box in longitude and latitude covers wholly or in part; None where it covers none.

    Args:
        grid: north-up.
        lonlat: west, south, east, north in degrees.
    """
    corners = get_coordinates(
        segmentize(box(*lonlat), max(lonlat[2] - lonlat[0], lonlat[3] - lonlat[1]) / _PARTS_OF_A_SIDE)
    )
    to_grid = Transformer.from_crs("EPSG:4326", CRS.from_user_input(grid.crs), always_xy=True)
    xs, ys = to_grid.transform(corners[:, 0], corners[:, 1])
    seen = np.isfinite(xs) & np.isfinite(ys)
    if not seen.any():
        return None
    a, _, c, _, e, f = grid.transform
    columns, rows = (xs[seen] - c) / a, (ys[seen] - f) / e
    left, right = max(0, math.floor(columns.min() + _NEARLY)), min(grid.shape[1], math.ceil(columns.max() - _NEARLY))
    top, bottom = max(0, math.floor(rows.min() + _NEARLY)), min(grid.shape[0], math.ceil(rows.max() - _NEARLY))
    return PixelWindow(top, left, bottom - top, right - left) if right > left and bottom > top else None


def nearest(pixels: NDArray[np.generic], source: Grid, target: Grid, fill: float) -> NDArray[np.generic]:
    """Return the values of the source pixels in which the centres of the target pixels lie.

    Args:
        pixels: (rows, columns) on the grid `source`.
        source: grid of `pixels`.
        target: another grid in the same coordinate system.
        fill: value where the source has no pixel.
    """
    if source == target:
        return pixels
    rows = _places(target.transform[5], target.transform[4], target.shape[0], source.transform[5], source.transform[4])
    columns = _places(
        target.transform[2], target.transform[0], target.shape[1], source.transform[2], source.transform[0]
    )
    inside = ((rows >= 0) & (rows < source.shape[0]))[:, None] & ((columns >= 0) & (columns < source.shape[1]))[None, :]
    taken = pixels[np.clip(rows, 0, source.shape[0] - 1)[:, None], np.clip(columns, 0, source.shape[1] - 1)[None, :]]
    found: NDArray[np.generic] = np.where(inside, taken, np.asarray(fill).astype(pixels.dtype))
    return found


def _places(start: float, step: float, count: int, origin: float, size: float) -> NDArray[np.int64]:
    centres = start + step * (np.arange(count) + 0.5)
    found: NDArray[np.int64] = np.floor((centres - origin) / size).astype(np.int64)
    return found
