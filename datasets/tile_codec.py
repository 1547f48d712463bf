"""Compressing one tile of a TIFF: Zstandard after TIFF's predictors, as GDAL decodes them.

The compressor is the one in pyarrow; it works outside Python's lock, so threads use all cores.
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

NO_PREDICTOR, HORIZONTAL, FLOATING = 1, 2, 3


def predictor_of(data_type: np.dtype[Any]) -> int:
    """Return the predictor that suits measured values of a type."""
    return FLOATING if data_type.kind == "f" else HORIZONTAL


def compressed_tile(tile: NDArray[Any], predictor: int, level: int) -> bytes:
    """Return a tile's bytes in the file.

    Args:
        tile: (rows, columns, samples), little-endian.
        predictor: of TIFF: 1 none, 2 horizontal, 3 floating point.
        level: of Zstandard.
    """
    import pyarrow as pa

    content = np.ascontiguousarray(_predicted(tile, predictor))
    codec = pa.Codec("zstd", compression_level=level)
    return cast(bytes, codec.compress(content.data, asbytes=True))


def _predicted(tile: NDArray[Any], predictor: int) -> NDArray[Any]:
    if predictor == HORIZONTAL:
        numbers = tile.view(f"u{tile.dtype.itemsize}")
        differences = np.empty(tile.shape, numbers.dtype)
        differences[:, 0] = numbers[:, 0]
        np.subtract(numbers[:, 1:], numbers[:, :-1], out=differences[:, 1:])
        return differences
    if predictor == FLOATING:
        return _planes(tile)
    return tile


def _planes(tile: NDArray[Any]) -> NDArray[np.uint8]:
    """Return each row's bytes by significance, the highest first, and then their differences one pixel apart."""
    rows, columns, samples = tile.shape
    width = tile.dtype.itemsize
    octets = np.ascontiguousarray(tile).view(np.uint8).reshape(rows, columns * samples, width)
    planes = np.ascontiguousarray(octets[:, :, ::-1].transpose(0, 2, 1)).reshape(rows, -1)
    result = planes.copy()
    result[:, samples:] -= planes[:, :-samples]
    return result
