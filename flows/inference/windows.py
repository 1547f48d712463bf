"""Where the windows of an inference lie: edge to edge over the whole raster, overlapping.

On each axis windows follow each other at a fixed step, and the last one ends where the raster ends. So every pixel lies
in a window, no window reaches beyond the raster, and no overlap is smaller than asked for. The step is not evened out:
a network that halves its resolution five times agrees best with itself where windows are shifted by a multiple of 32
pixels, as the default steps are. A raster that is smaller than a window has one window on that axis, the rest of it
padding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WindowPlan:
    """All windows over a raster.

    Attributes:
        shape: rows and columns of the raster.
        crop: rows and columns of a window.
        rows: first row of each row of windows, from the top.
        columns: first column of each column of windows, from the left.
    """

    shape: tuple[int, int]
    crop: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (row, column) of the upper left pixel of each window, row by row."""
        return ((row, column) for row in self.rows for column in self.columns)


def plan_windows(shape: tuple[int, int], crop: int, overlap: int) -> WindowPlan:
    """Return the windows that cover a raster.

    Args:
        shape: rows and columns of the raster, each at least 1.
        crop: rows and columns of a window, pixels.
        overlap: pixels that neighbours share at least, less than `crop`.

    Raises:
        ValueError: an argument is out of its range.
    """
    if min(shape) < 1 or crop < 1 or not 0 <= overlap < crop:
        raise ValueError(
            f"no windows of {crop} pixels with an overlap of {overlap} over {shape[0]} x {shape[1]} pixels"
        )
    rows, columns = (_starts(length, crop, overlap) for length in shape)
    return WindowPlan(shape, crop, rows, columns)


def pad_to(pixels: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return (bands, rows, columns) from a smaller array, continued below and to the right by reflection."""
    missing = (rows - pixels.shape[1], columns - pixels.shape[2])
    if not any(missing):
        return pixels
    return np.pad(pixels, ((0, 0), (0, missing[0]), (0, missing[1])), mode="reflect")


def _starts(length: int, crop: int, overlap: int) -> tuple[int, ...]:
    last = length - crop
    if last <= 0:
        return (0,)
    return (*range(0, last, crop - overlap), last)
