"""Windows of GeoTIFFs at a provider: the blocks that a window touches are fetched, and no others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from terralab.catalog.errors import InvalidRaster, TooLarge
from terralab.datasets.imagery.area import Box
from terralab.datasets.imagery.pixel_window import PixelWindow, window_of
from terralab.datasets.raster_file import RASTER_OPTIONS, check_stream, raster_grid
from terralab.extensions.raster import Grid
from terralab.flows.imagery.http_reads import HttpReads
from terralab.flows.imagery.remote_file import RemoteFile


@dataclass(frozen=True)
class BandWindow:
    """Pixels of one band over a place.

    Attributes:
        pixels: (rows, columns).
        grid: where they lie.
        nodata: as the file says.
    """

    pixels: NDArray[Any]
    grid: Grid
    nodata: float | None


def read_windows(
    reads: HttpReads, href: str, indexes: Sequence[int], place: Box, most_pixels: int
) -> list[BandWindow] | None:
    """Return bands of a remote GeoTIFF over a place, on the file's own grid; None where the file does not reach it.

    Args:
        reads: of the provider.
        href: of the file.
        indexes: numbers of the bands, from 1.
        place: west, south, east, north in degrees.
        most_pixels: of one window.

    Raises:
        InvalidRaster: the file is no GeoTIFF that the lab can use, or refers to other files.
        TooLarge: the window is larger than allowed.
        LabError: the provider fails.
    """
    file = RemoteFile(reads, href)
    file.open()
    name = href.split("?")[0].rpartition("/")[2]
    check_stream(file.view(), name)
    if file.failure:
        raise file.failure
    with _opened(file, name) as dataset:
        if max(indexes) > dataset.count:
            raise InvalidRaster(f"{name}: has {dataset.count} bands, the provider's catalog speaks of {max(indexes)}")
        grid = raster_grid(dataset, name)
        window = window_of(grid, place)
        if window is None:
            return None
        if window.height * window.width > most_pixels:
            raise TooLarge(
                f"{name}: the area has {window.height} × {window.width} pixels, {most_pixels} are allowed in one scene"
                " (TERRALAB_IMAGERY_MAX_PIXELS); divide the area"
            )
        file.prefetch(_block_ranges(file, window, indexes))
        return _read(file, dataset, grid, window, indexes, name)


@contextmanager
def _opened(file: RemoteFile, name: str) -> Iterator[Any]:
    with rasterio.Env(**RASTER_OPTIONS):
        try:
            dataset = rasterio.open(
                "remote.tif", driver="GTiff", sharing=False, opener=lambda path, mode="rb", **_: file.view()
            )
        except RasterioError as error:
            raise file.failure or InvalidRaster(f"{name}: not a readable GeoTIFF") from error
        with dataset:
            if dataset.tags(ns="OVERVIEWS"):
                raise InvalidRaster(f"{name}: its metadata sends GDAL to other files")
            yield dataset


def _read(
    file: RemoteFile, dataset: Any, grid: Grid, window: PixelWindow, indexes: Sequence[int], name: str
) -> list[BandWindow]:
    try:
        pixels = dataset.read(list(indexes), window=Window(window.column, window.row, window.width, window.height))
    except RasterioError as error:
        raise file.failure or InvalidRaster(f"{name}: cannot be decoded; it is damaged at the provider") from error
    if file.failure:
        raise file.failure
    own = window.grid(grid)
    nodata = [dataset.nodatavals[index - 1] for index in indexes]
    return [BandWindow(np.ascontiguousarray(band), own, value) for band, value in zip(pixels, nodata, strict=True)]


def _block_ranges(file: RemoteFile, window: PixelWindow, indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Return where the blocks that a window touches lie in the file."""
    with tifffile.TiffFile(cast(Any, file.view())) as tiff:
        page = tiff.pages[0]
        height, width = page.imagelength, page.imagewidth
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip or height, width)
        across, down = -(-width // columns), -(-height // rows)
        planes = [index - 1 for index in indexes] if page.planarconfig == 2 and page.samplesperpixel > 1 else [0]
        found = []
        for plane in planes:
            for row in range(window.row // rows, -(-(window.row + window.height) // rows)):
                for column in range(window.column // columns, -(-(window.column + window.width) // columns)):
                    block = (plane * down + row) * across + column
                    offset, size = page.dataoffsets[block], page.databytecounts[block]
                    if size:
                        found.append((int(offset), int(offset + size)))
    return found
