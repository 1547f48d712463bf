"""Overviews of an image: each half the size of the one before, until it fits into one tile."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.raster_file import valid_pixels

_IN_MEMORY = 256 << 20


@dataclass(frozen=True)
class Level:
    """An image in square tiles.

    Attributes:
        height: rows.
        width: columns.
        samples: bands.
        block: rows and columns of a tile.
        data_type: of the pixels.
        tile: returns the pixels (block, block, samples) of the tile in a tile row and column; what lies beyond the
            image is of no meaning.
    """

    height: int
    width: int
    samples: int
    block: int
    data_type: np.dtype[Any]
    tile: Callable[[int, int], NDArray[Any]]

    @property
    def across(self) -> int:
        """Return the number of tiles in a row."""
        return -(-self.width // self.block)

    @property
    def down(self) -> int:
        """Return the number of rows of tiles."""
        return -(-self.height // self.block)

    @property
    def tiles(self) -> int:
        """Return the number of tiles."""
        return self.across * self.down

    @property
    def bytes(self) -> int:
        """Return the size of all tiles, uncompressed."""
        return self.tiles * self.block**2 * self.samples * self.data_type.itemsize

    def padded_tile(self, row: int, column: int) -> NDArray[Any]:
        """Return a tile with zeros beyond the image, so that its bytes follow from the pixels alone."""
        pixels = self.tile(row, column)
        rows, columns = self.height - row * self.block, self.width - column * self.block
        if rows >= self.block and columns >= self.block:
            return pixels
        result = np.zeros_like(pixels)
        result[:rows, :columns] = pixels[:rows, :columns]
        return result


def overview_levels(image: Level, nodata: float | None, average: bool, folder: Path) -> list[Level]:
    """Return the overviews, the largest first.

    Args:
        image: the full image.
        nodata: value of pixels without data, which an average leaves out.
        average: of four pixels; else the upper left of them is taken.
        folder: where large overviews are kept until they are written.
    """
    levels = []
    last = image
    while max(last.height, last.width) > last.block:
        last = _halved(last, nodata, average, folder)
        levels.append(last)
    return levels


def _halved(level: Level, nodata: float | None, average: bool, folder: Path) -> Level:
    height, width, block = -(-level.height // 2), -(-level.width // 2), level.block
    shape = (-(-height // block) * block, -(-width // block) * block, level.samples)
    pixels = _array(shape, level.data_type, folder)
    half = block // 2
    for row in range(level.down):
        for column in range(level.across):
            tile = level.tile(row, column)
            tile = tile[: level.height - row * block, : level.width - column * block]
            small = _averaged(tile, nodata) if average else tile[::2, ::2]
            top, left = row * half, column * half
            pixels[top : top + small.shape[0], left : left + small.shape[1]] = small

    def cut(row: int, column: int) -> NDArray[Any]:
        return pixels[row * block : (row + 1) * block, column * block : (column + 1) * block]

    return Level(height, width, level.samples, block, level.data_type, cut)


def _array(shape: tuple[int, int, int], data_type: np.dtype[Any], folder: Path) -> NDArray[Any]:
    if np.prod(shape) * data_type.itemsize <= _IN_MEMORY:
        return np.zeros(shape, data_type)
    with TemporaryFile(dir=folder) as file:  # the map keeps the file until it is gone itself
        return np.memmap(file, data_type, "w+", shape=shape)


def _averaged(tile: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """Return the mean of each four pixels with data; of fewer at the lower and right edge."""
    if tile.shape[0] % 2 or tile.shape[1] % 2:
        tile = np.pad(tile, ((0, tile.shape[0] % 2), (0, tile.shape[1] % 2), (0, 0)), "edge")
    four = tile[::2, ::2], tile[::2, 1::2], tile[1::2, ::2], tile[1::2, 1::2]
    if _all_valid(tile, nodata):
        return _with_data(_mean(four, tile.dtype), nodata)
    valid = [valid_pixels(part, nodata) for part in four]
    count = sum(part.astype(np.uint8) for part in valid)
    total = sum(np.where(there, part, 0).astype(np.float64) for part, there in zip(four, valid, strict=True))
    mean = total / np.maximum(count, 1)
    fill = np.nan if nodata is None else nodata
    means = _with_data(_rounded(mean, tile.dtype), nodata)
    return np.where(count > 0, means, np.asarray(fill).astype(tile.dtype))


def _with_data(means: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """Move means that happen to be the value for `no data` to the one beside it."""
    if nodata is None or np.isnan(nodata):
        return means
    hidden = means == means.dtype.type(nodata)
    if hidden.any():
        beside = np.nextafter(means.dtype.type(nodata), np.inf) if means.dtype.kind == "f" else _beside(means, nodata)
        means[hidden] = beside
    return means


def _beside(means: NDArray[Any], nodata: float) -> int:
    return int(nodata) + (1 if nodata < np.iinfo(means.dtype).max else -1)


def _all_valid(tile: NDArray[Any], nodata: float | None) -> bool:
    if tile.dtype.kind != "f":
        return nodata is None or not (tile == nodata).any()
    return bool(valid_pixels(tile, nodata).all())


def _mean(four: tuple[NDArray[Any], ...], data_type: np.dtype[Any]) -> NDArray[Any]:
    if data_type.kind == "f" or data_type.itemsize > 2:
        wide = four[0].astype(np.float64)
        for part in four[1:]:
            wide += part
        return _rounded(wide / 4, data_type)
    total = four[0].astype(np.int32)
    for part in four[1:]:
        total += part
    return ((total + 2) >> 2).astype(data_type)  # halves are rounded up, as GDAL does


def _rounded(values: NDArray[np.float64], data_type: np.dtype[Any]) -> NDArray[Any]:
    return values.astype(data_type) if data_type.kind == "f" else np.floor(values + 0.5).astype(data_type)
