"""Reprojection straight from the stored blocks: bounded work for any request, exact across tile borders.

Nearest neighbour is our own: for each output pixel the centre's place in the source decides, and nothing else: not the
tile's size, not its neighbours. So tiles of one zoom always fit together pixel by pixel, which GDAL's warper, with its
approximation per scan line, does not promise. The coordinate transform runs on a grid of nodes, refined until its error
is below a fiftieth of a source pixel, and one windowed read at the fitting overview fetches what is needed. Other
methods warp what that read gave; rio-tiler's own way makes an intermediate raster at full resolution, which never ends
for a large box.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, isfinite, log2

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rasterio.warp import reproject
from rasterio.windows import Window

FloatArray = NDArray[np.float64]
Bounds = tuple[float, float, float, float]

_STEP = 32  # divides every tile size, so that neighbouring tiles share their nodes
_TOLERANCE = 0.02  # source pixels
_TIE = 1e-6  # source pixels; where a centre falls on a pixel edge, rounding noise must not decide
_OUTSIDE = -1.0
_MAX_VALUES = 2**27  # read at once
_KERNEL = 4  # source pixels; Lanczos reaches three to each side


@dataclass(frozen=True)
class Target:
    """The image that is asked for: `bounds` (left, bottom, right, top) in `crs`, `width` × `height` pixels."""

    bounds: Bounds
    crs: CRS
    width: int
    height: int


def read_target(
    dataset: DatasetReader, target: Target, indexes: tuple[int, ...], nodata: float | None, method: str = "nearest"
) -> np.ma.MaskedArray:
    """Read the target image from a dataset. The work is bounded by the target's size, wherever it lies.

    Args:
        dataset: an open raster with an affine position.
        target: what to make.
        indexes: bands, counted from 1.
        nodata: value of pixels without data; None to use the dataset's own mask.
        method: a resampling method of GDAL.

    Returns:
        The dataset's data type (bands, height, width), masked outside the raster and where there is no data.
    """
    at_row, at_column = _source_places(dataset, target)
    factor = _decimation(dataset, target)
    while True:
        rows, columns = _to_index(at_row, factor, dataset.height), _to_index(at_column, factor, dataset.width)
        inside = (rows >= 0) & (columns >= 0)
        if not inside.any():
            shape = (len(indexes), target.height, target.width)
            return np.ma.MaskedArray(np.zeros(shape, dataset.dtypes[indexes[0] - 1]), True)
        margin = 0 if method == "nearest" else _KERNEL
        top, height = _span(rows[inside], margin, dataset.height, factor)
        left, width = _span(columns[inside], margin, dataset.width, factor)
        if height * width * len(indexes) <= _MAX_VALUES:
            break
        factor *= 2  # only for images with very oblong pixels or many bands
    window, size = _window(dataset, top, left, (height, width), factor), (height, width)
    places = np.where(inside, (rows - top) * width + (columns - left), 0)
    read = dataset.read(indexes, window=window, out_shape=(len(indexes), *size))
    nearest = np.take(read.reshape(len(indexes), -1), places, axis=1)
    absent = ~inside[None] | _without_data(dataset, nearest, indexes, nodata, window, size, places)
    mask = np.broadcast_to(absent, nearest.shape).copy()  # numpy takes no mask of one band for several
    if method == "nearest":
        return np.ma.MaskedArray(nearest, mask)
    return np.ma.MaskedArray(_warped(read, dataset, window, target, nodata, method), mask)


def _warped(
    read: NDArray[np.generic], dataset: DatasetReader, window: Window, target: Target, nodata: float | None, method: str
) -> NDArray[np.generic]:
    """Return the read part of the source, resampled by GDAL's warper."""
    left, bottom, right, top = target.bounds
    reduced = Affine.scale(window.width / read.shape[2], window.height / read.shape[1])
    found, _ = reproject(
        read,
        np.zeros((len(read), target.height, target.width), read.dtype),
        src_transform=dataset.window_transform(window) @ reduced,
        src_crs=dataset.crs,
        src_nodata=nodata,
        dst_transform=from_bounds(left, bottom, right, top, target.width, target.height),
        dst_crs=target.crs,
        dst_nodata=nodata,
        resampling=Resampling[method],
    )
    return np.asarray(found)


def _span(indexes: NDArray[np.int64], margin: int, length: int, factor: int) -> tuple[int, int]:
    """Return first index and count of the reduced source's rows or columns that are needed."""
    first = max(0, int(indexes.min()) - margin)
    last = min(ceil(length / factor) - 1, int(indexes.max()) + margin)
    return first, last - first + 1


def _without_data(
    dataset: DatasetReader,
    data: NDArray[np.generic],
    indexes: tuple[int, ...],
    nodata: float | None,
    window: Window,
    size: tuple[int, int],
    places: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return True where pixels have no data, in a shape that broadcasts to that of `data`."""
    if nodata is not None:
        return np.asarray(np.isnan(data) if np.isnan(nodata) else data == nodata)
    if all(dataset.mask_flag_enums[index - 1] == [MaskFlags.all_valid] for index in indexes):
        return np.zeros((1, 1, 1), dtype=np.bool_)
    mask = dataset.dataset_mask(window=window, out_shape=size)
    return np.asarray(mask.reshape(-1)[places][None] == 0)


def _decimation(dataset: DatasetReader, target: Target) -> int:
    """Return the power of two by which to reduce the source, the same for all tiles of one zoom."""
    centre_row, centre_column = dataset.height / 2, dataset.width / 2
    x, y = dataset.transform @ (centre_column, centre_row)
    x0, y0 = _transformer(dataset.crs.to_wkt(), target.crs.to_wkt()).transform(x, y)
    step_x = (target.bounds[2] - target.bounds[0]) / target.width
    step_y = (target.bounds[3] - target.bounds[1]) / target.height
    columns, rows = _to_source(dataset, target, np.array([x0, x0 + step_x, x0]), np.array([y0, y0, y0 + step_y]))
    moved = np.hypot(columns[1:] - columns[0], rows[1:] - rows[0]).min()
    largest = max(1, min(dataset.height, dataset.width))
    if not isfinite(moved) or moved < 2:
        return 1
    return int(2 ** min(floor(log2(moved + 1e-3)), floor(log2(largest))))


def _source_places(dataset: DatasetReader, target: Target) -> tuple[FloatArray, FloatArray]:
    """Return row and column, in source pixels from the upper left corner, of every output pixel's centre."""
    centre_y, centre_x = (np.arange(side, dtype=np.float64) + 0.5 for side in (target.height, target.width))
    step = _STEP
    while step > 1:
        nodes_y, nodes_x = _nodes(target.height, step), _nodes(target.width, step)
        places = _exact_places(dataset, target, nodes_y, nodes_x)
        middle_y, middle_x = (nodes_y[1:] + nodes_y[:-1]) / 2, (nodes_x[1:] + nodes_x[:-1]) / 2
        exact = _exact_places(dataset, target, middle_y, middle_x)
        guess = [_between(_between(part, nodes_y, middle_y, 0), nodes_x, middle_x, 1) for part in places]
        if _farthest(guess, exact) <= _TOLERANCE:
            rows, columns = (_between(_between(part, nodes_y, centre_y, 0), nodes_x, centre_x, 1) for part in places)
            return rows, columns
        step //= 4
    return _exact_places(dataset, target, centre_y, centre_x)


def _farthest(guess: list[FloatArray], exact: tuple[FloatArray, FloatArray]) -> float:
    with np.errstate(invalid="ignore"):
        return max(float(np.abs(one - other).max()) for one, other in zip(guess, exact, strict=True))


def _nodes(length: int, step: int) -> FloatArray:
    return np.append(np.arange(0, length, step), length).astype(np.float64)


def _exact_places(
    dataset: DatasetReader, target: Target, at_y: FloatArray, at_x: FloatArray
) -> tuple[FloatArray, FloatArray]:
    left, bottom, right, top = target.bounds
    xs = left + at_x * ((right - left) / target.width)
    ys = top - at_y * ((top - bottom) / target.height)
    grid_x, grid_y = np.meshgrid(xs, ys)
    columns, rows = _to_source(dataset, target, grid_x, grid_y)
    return rows, columns


def _to_source(dataset: DatasetReader, target: Target, xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return column and row of places given in the target's coordinates, infinite where there are none."""
    if target.crs != dataset.crs:
        xs, ys = _transformer(target.crs.to_wkt(), dataset.crs.to_wkt()).transform(xs, ys)
    with np.errstate(invalid="ignore"):
        columns, rows = ~dataset.transform @ (xs, ys)
    return columns, rows


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _between(values: FloatArray, nodes: FloatArray, wanted: FloatArray, axis: int) -> FloatArray:
    """Interpolate along one axis, from `nodes` to `wanted`."""
    cell = np.clip(np.searchsorted(nodes, wanted, side="right") - 1, 0, len(nodes) - 2)
    share = (wanted - nodes[cell]) / (nodes[cell + 1] - nodes[cell])
    share = share[:, None] if axis == 0 else share
    lower, upper = np.take(values, cell, axis), np.take(values, cell + 1, axis)
    return np.asarray(lower + (upper - lower) * share)


def _to_index(places: FloatArray, factor: int, length: int) -> NDArray[np.int64]:
    """Return the index of the reduced source's pixel, -1 outside."""
    biased = places + _TIE
    inside = (biased >= 0) & (biased < length)  # False also where the transform has no answer (NaN, infinity)
    return np.where(inside, np.where(inside, biased, 0) // factor, _OUTSIDE).astype(np.int64)


def _window(dataset: DatasetReader, top: int, left: int, size: tuple[int, int], factor: int) -> Window:
    height = min(size[0] * factor, dataset.height - top * factor)
    width = min(size[1] * factor, dataset.width - left * factor)
    return Window(left * factor, top * factor, width, height)
