"""Mixing pixels: interpolation between neighbours, and means of parts where a chip's pixels are the larger ones.

Pixels without data have no weight. Positions are those of the pixel map, exact in every coordinate system.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from terralab.datasets.chipping.pixel_map import PixelMap
from terralab.datasets.raster_file import valid_pixels
from terralab.extensions.raster import Grid

_SHARPNESS = -0.5  # of the cubic kernel (Keys 1981), as GDAL has it
_LEAST_WEIGHT = 0.25


def finer_grid(grid: Grid, parts: int) -> Grid:
    """Return a grid with `parts` x `parts` pixels in the place of each."""
    a, b, c, d, e, f = grid.transform
    return Grid(grid.crs, (a / parts, b, c, d, e / parts, f), (grid.shape[0] * parts, grid.shape[1] * parts))


def mean_of_parts(
    pixels: NDArray[Any], valid: NDArray[np.bool_], parts: int, fill: float
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the means of `parts` x `parts` pixels with data, and where there are any.

    Args:
        pixels: (bands, rows · parts, columns · parts).
        valid: where there is data.
        parts: along a side.
        fill: value where there is no data.
    """
    bands, rows, columns = pixels.shape
    shape = (bands, rows // parts, parts, columns // parts, parts)
    count = valid.reshape(shape).sum(axis=(2, 4))
    total = np.where(valid, pixels, 0).astype(np.float64).reshape(shape).sum(axis=(2, 4))
    return _finished(total / np.maximum(count, 1), count > 0, pixels.dtype, fill)


def interpolated(
    found: PixelMap, window: Window, pixels: NDArray[Any], nodata: float | None, fill: float, *, cubic: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return pixels interpolated between neighbours with data, and where the nearest one has data.

    Args:
        found: positions of the chip's pixels in the source.
        window: of the source.
        pixels: the window's (bands, rows, columns).
        nodata: the source's value of pixels without data.
        fill: value where there is no data.
        cubic: of 4 x 4 pixels; else of 2 x 2.
    """
    valid = valid_pixels(pixels, nodata)
    usable = np.where(valid, pixels, 0).astype(np.float64)
    y, x = (np.where(found.inside, line, 0.5) for line in (found.y - 0.5, found.x - 0.5))
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    reach = range(-1, 3) if cubic else range(2)
    kernel = _cubic if cubic else _linear
    total, weights = np.zeros((len(pixels), *row.shape)), np.zeros((len(pixels), *row.shape))
    for down in reach:
        for across in reach:
            weight = kernel(y - row - down) * kernel(x - column - across)
            rows = np.clip(row + down - window.row_off, 0, pixels.shape[1] - 1)
            columns = np.clip(column + across - window.col_off, 0, pixels.shape[2] - 1)
            there = weight * valid[:, rows, columns]
            total += there * usable[:, rows, columns]
            weights += there
    nearest = np.clip(found.rows - window.row_off, 0, pixels.shape[1] - 1)
    beside = np.clip(found.columns - window.col_off, 0, pixels.shape[2] - 1)
    has_data = found.inside & valid[:, nearest, beside]
    # The negative sides of the cubic kernel may leave too little weight where neighbours are missing.
    mixed = np.where(weights >= _LEAST_WEIGHT, total / np.where(weights == 0, 1, weights), usable[:, nearest, beside])
    return _finished(mixed, has_data, pixels.dtype, fill)


def _linear(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    weight: NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(distance))
    return weight


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    away = np.abs(distance)
    near = ((_SHARPNESS + 2) * away - (_SHARPNESS + 3)) * away**2 + 1
    far = _SHARPNESS * (((away - 5) * away + 8) * away - 4)
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0))


def _finished(
    values: NDArray[np.float64], valid: NDArray[np.bool_], data_type: np.dtype[Any], fill: float
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return values in the raster's own type, rounded, within its limits, and never the fill value."""
    if data_type.kind == "f":
        return np.where(valid, values, fill).astype(data_type), valid
    limits = np.iinfo(data_type)
    rounded = np.clip(np.rint(values), limits.min, limits.max)
    beside = fill + 1 if fill < limits.max else fill - 1
    rounded = np.where(rounded == fill, beside, rounded)
    return np.where(valid, rounded, fill).astype(data_type), valid
