"""Reading chips out of rasters: one window for all chips of a strip, one step from source pixel to chip pixel.

The chips of a strip lie side by side, so their windows in the source do as well: they are read as one, each block of
the file is decoded once, and every chip takes its pixels from there.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from terralab.catalog.errors import InvalidRaster
from terralab.datasets.chipping.pixel_map import PixelMap, pixel_map
from terralab.datasets.chipping.resample import finer_grid, interpolated, mean_of_parts
from terralab.datasets.chipping.sources import RasterSource, Resampling
from terralab.datasets.raster_file import open_raster, valid_pixels
from terralab.extensions.raster import Grid

_COARSER = 1.5  # source pixels along a chip's pixel, from which `auto` averages
_WASTE = 3.0  # a window for all chips may be so many times as large as those of each
_MARGIN = 2  # pixels around a window that interpolation looks at


@dataclass(frozen=True)
class Patch:
    """Pixels of one raster on a chip's grid.

    Attributes:
        pixels: (bands, rows, columns); what has no data has the fill value.
        valid: where there is data (same shape, bool).
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


class ChipReader:
    """Reads chips from rasters, which stay open until it is left."""

    def __init__(self) -> None:
        self._open: dict[Path, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "ChipReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.clear()
        self._stack.close()

    def read(self, source: RasterSource, grids: Sequence[Grid], resampling: Resampling, fill: float) -> list[Patch]:
        """Return the source's pixels on each of the grids.

        Args:
            source: the raster.
            grids: of chips, best those of one strip.
            resampling: how.
            fill: value of pixels without data; no pixel with data may have it.

        Raises:
            InvalidRaster: the file cannot be read, or has the fill value as data.
        """
        patches = self._patches(source, grids, resampling, fill, None)
        for patch in patches:
            self._refuse_fill_as_data(source, patch, fill)
        return patches

    def _patches(
        self,
        source: RasterSource,
        grids: Sequence[Grid],
        resampling: Resampling,
        fill: float,
        data_type: np.dtype[Any] | None,
    ) -> list[Patch]:
        if not grids:
            return []
        averaged = [_parts(pixel_map(grid, source.grid), resampling) for grid in grids]
        maps = [
            pixel_map(finer_grid(grid, parts) if parts > 1 else grid, source.grid)
            for grid, parts in zip(grids, averaged, strict=True)
        ]
        margin = _MARGIN if resampling in (Resampling.BILINEAR, Resampling.CUBIC) else 0
        windows = self._windows(source, maps, margin, data_type)
        patches = []
        for found, parts, (window, pixels) in zip(maps, averaged, windows, strict=True):
            patch = _patch(found, window, pixels, source.nodata, resampling, fill)
            patches.append(patch if parts == 1 else Patch(*mean_of_parts(patch.pixels, patch.valid, parts, fill)))
        return patches

    def read_numbers(
        self, source: RasterSource, grids: Sequence[Grid], resampling: Resampling, fill: float
    ) -> list[Patch]:
        """Return a label's numbers as float64 on each of the grids; the fill may be a value of pixels with data."""
        return self._patches(source, grids, resampling, fill, np.dtype(np.float64))

    def _windows(
        self, source: RasterSource, maps: Sequence[PixelMap], margin: int, data_type: np.dtype[Any] | None
    ) -> Iterator[tuple[Window, NDArray[Any]]]:
        """Yield for each map the window that holds its pixels, and that window's pixels."""
        windows = [_widened(found.window(), margin, source.grid.shape) for found in maps]
        known = [window for window in windows if window is not None]
        whole = _union(known)
        shared = whole is not None and _area(whole) <= _WASTE * sum(map(_area, known))
        pixels = self._read(source, whole, data_type) if whole is not None and shared else None
        for window in windows:
            if window is None:
                yield (
                    Window(0, 0, 0, 0),
                    np.empty((len(source.bands), 0, 0), data_type or self._dataset(source).dtypes[0]),
                )
            elif pixels is not None and whole is not None:
                yield whole, pixels
            else:
                yield window, self._read(source, window, data_type)

    def _read(self, source: RasterSource, window: Window, data_type: np.dtype[Any] | None) -> NDArray[Any]:
        try:
            pixels: NDArray[Any] = self._dataset(source).read(list(source.bands), window=window)
        except RasterioError as error:
            raise InvalidRaster(f"{source.name}: rows from {window.row_off} cannot be read; copy it again") from error
        return pixels if data_type is None else pixels.astype(data_type)

    def _dataset(self, source: RasterSource) -> Any:
        if source.path not in self._open:
            self._open[source.path] = self._stack.enter_context(open_raster(source.path))
        return self._open[source.path]

    def _refuse_fill_as_data(self, source: RasterSource, patch: Patch, fill: float) -> None:
        if (source.nodata is not None and (source.nodata == fill or np.isnan(source.nodata))) or np.isnan(fill):
            return
        if bool((patch.valid & (patch.pixels == fill)).any()):
            raise InvalidRaster(
                f"{source.name}: {fill:g}, which is to stand for `no data` in the chips, is a value of pixels"
                " with data; choose another one with --nodata"
            )


def _parts(found: PixelMap, resampling: Resampling) -> int:
    """Return into how many parts a side of a chip's pixel is divided to be averaged; 1 for none."""
    if found.shift is not None:
        return 1
    averages = resampling is Resampling.AVERAGE or (resampling is Resampling.AUTO and found.scale >= _COARSER)
    return max(1, int(np.ceil(found.scale - 1e-6))) if averages else 1


def _patch(
    found: PixelMap, window: Window, pixels: NDArray[Any], nodata: float | None, resampling: Resampling, fill: float
) -> Patch:
    if not found.inside.any():
        shape = (len(pixels), *found.inside.shape)
        return Patch(np.full(shape, fill, pixels.dtype), np.zeros(shape, bool))
    if found.shift is None and resampling in (Resampling.BILINEAR, Resampling.CUBIC):
        return Patch(*interpolated(found, window, pixels, nodata, fill, cubic=resampling is Resampling.CUBIC))
    taken = _sliced(found, window, pixels, fill) if found.shift else _gathered(found, window, pixels, fill)
    valid = valid_pixels(taken, nodata)
    if not found.inside.all():
        valid &= found.inside
    if nodata != fill and not valid.all():
        taken[~valid] = fill
    return Patch(taken, valid)


def _sliced(found: PixelMap, window: Window, pixels: NDArray[Any], fill: float) -> NDArray[Any]:
    """Copy the pixels of a chip that lies on the source's own pixels."""
    rows, columns = found.inside.shape
    assert found.shift is not None
    top, left = found.shift[0] - window.row_off, found.shift[1] - window.col_off
    first = max(0, top), max(0, left)
    part = pixels[:, first[0] : top + rows, first[1] : left + columns]
    if part.shape[1:] == (rows, columns):
        return part.copy()
    result = np.full((len(pixels), rows, columns), fill, pixels.dtype)
    down, across = first[0] - top, first[1] - left
    result[:, down : down + part.shape[1], across : across + part.shape[2]] = part
    return result


def _gathered(found: PixelMap, window: Window, pixels: NDArray[Any], fill: float) -> NDArray[Any]:
    places = (found.rows - np.int32(window.row_off)) * np.int64(window.width)
    places += found.columns - np.int32(window.col_off)
    flat = pixels.reshape(len(pixels), -1)
    if found.inside.all():
        return flat.take(places, axis=1)
    result = flat.take(np.where(found.inside, places, 0), axis=1)
    result[:, ~found.inside] = fill
    return result


def _widened(window: tuple[int, int, int, int] | None, margin: int, shape: tuple[int, int]) -> Window | None:
    if window is None:
        return None
    top, left = max(0, window[0] - margin), max(0, window[1] - margin)
    bottom, right = min(shape[0], window[2] + margin), min(shape[1], window[3] + margin)
    return Window(left, top, right - left, bottom - top)


def _union(windows: Sequence[Window]) -> Window | None:
    if not windows:
        return None
    left, top = min(each.col_off for each in windows), min(each.row_off for each in windows)
    right = max(each.col_off + each.width for each in windows)
    bottom = max(each.row_off + each.height for each in windows)
    return Window(left, top, right - left, bottom - top)


def _area(window: Window) -> float:
    return float(window.width * window.height)
