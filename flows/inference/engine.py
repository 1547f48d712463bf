"""Inference in one pass from top to bottom, in memory that grows with the raster's width only.

The raster is read by bands of rows, each row once. Windows that hold a valid pixel go through the network in batches,
and their logits are added, weighted, to a buffer that is one window high. Rows that no further window reaches are
finished: the class with the largest logit is taken, nodata is put back, and they are given to the caller.

Memory: (8 bytes × classes + 4 bytes × bands) × width × window height, besides the network's own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import LabError
from terralab.extensions.raster import MASK_NODATA
from terralab.flows.inference.blending import AxisWeights, axis_weights
from terralab.flows.inference.windows import WindowPlan, pad_to

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(batch, bands, rows, columns) float32, scaled → (batch, classes, rows, columns) float32 logits."""


class Reader(Protocol):
    """What the engine reads from."""

    def __call__(self, row: int, rows: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return scaled pixels (bands, rows, width), 0 without data, and whether all bands have data (rows, width)."""


@dataclass(frozen=True)
class PredictedRows:
    """Finished rows of the class map.

    Attributes:
        row: the first one's place in the raster.
        classes: (rows, width) uint8 class values, 255 where the source has no data.
        confidence: (rows, width) uint8, the winning class's softmax × 100, 255 likewise; None where not asked for.
    """

    row: int
    classes: NDArray[np.uint8]
    confidence: NDArray[np.uint8] | None


def predict_rows(
    read: Reader,
    network: Network,
    plan: WindowPlan,
    values: Sequence[int],
    *,
    batch_size: int,
    confidence: bool = False,
) -> Iterator[PredictedRows]:
    """Yield the class map from top to bottom.

    Args:
        read: gives rows of the raster.
        network: gives logits.
        plan: the windows.
        values: class value of each of the network's output channels.
        batch_size: windows that go through the network at once.
        confidence: whether to give the winning class's probability too.

    Raises:
        LabError: the network's output has another shape, or is not finite.
    """
    height, width = plan.shape
    bands = _Bands(read, plan)
    blend = _Blend(plan, len(values))
    for place, row in enumerate(plan.rows):
        pixels, valid = bands.rows_of(row)
        columns = [place for place, column in enumerate(plan.columns) if _has_data(valid, column, plan.crop)]
        for batch in (columns[first : first + batch_size] for first in range(0, len(columns), batch_size)):
            windows = np.stack([_cut(pixels, plan.columns[column], plan.crop) for column in batch])
            for column, logits in zip(batch, _checked(network(windows), len(values), plan.crop), strict=True):
                blend.add(place, column, logits)
        finished = (plan.rows[place + 1] if place + 1 < len(plan.rows) else height) - row
        classes, share = blend.finish(row, finished, confidence)
        nodata = ~valid[:finished, :width]
        found = np.asarray(values, np.uint8)[classes]
        found[nodata] = MASK_NODATA
        if share is not None:
            share[nodata] = MASK_NODATA
        yield PredictedRows(row, found, share)


class _Bands:
    """The rows under the current row of windows; rows that the next one shares are kept, not read again."""

    def __init__(self, read: Reader, plan: WindowPlan) -> None:
        self._read, self._plan = read, plan
        self._row = self._end = 0
        self._pixels: NDArray[np.float32] | None = None
        self._valid: NDArray[np.bool_] | None = None

    def rows_of(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return pixels (bands, rows, width) and validity (rows, width) of the windows from `row` down, unpadded."""
        end = min(row + self._plan.crop, self._plan.shape[0])
        pixels, valid = self._read(self._end, end - self._end)
        if self._pixels is not None and self._valid is not None and self._end > row:
            kept = slice(row - self._row, None)
            pixels = np.concatenate([self._pixels[:, kept], pixels], axis=1)
            valid = np.concatenate([self._valid[kept], valid])
        self._row, self._end, self._pixels, self._valid = row, end, pixels, valid
        return pixels, valid


class _Blend:
    """Weighted sums of logits over the rows that are not finished, one window high."""

    def __init__(self, plan: WindowPlan, classes: int) -> None:
        height, width = plan.shape
        self._plan = plan
        self._rows: AxisWeights = axis_weights(plan.rows, plan.crop, height)
        self._columns: AxisWeights = axis_weights(plan.columns, plan.crop, width)
        self._sums = np.zeros((classes, plan.crop, width))

    def add(self, row: int, column: int, logits: NDArray[np.float32]) -> None:
        """Add a window of the current row of windows; `row` and `column` are its place in the plan."""
        start, width = self._plan.columns[column], self._plan.shape[1]
        inside = min(self._plan.crop, width - start)
        weights = self._rows.windows[row][:, None] * self._columns.windows[column][None, :inside]
        self._sums[:, :, start : start + inside] += logits[:, :, :inside] * weights

    def finish(self, row: int, rows: int, confidence: bool) -> tuple[NDArray[np.intp], NDArray[np.uint8] | None]:
        """Return channel and confidence of the first `rows` rows, which begin at `row` of the raster, and drop them."""
        done = self._sums[:, :rows]
        channels = done.argmax(axis=0)
        share = None
        if confidence:
            logits = done / (self._rows.total[row : row + rows, None] * self._columns.total[None, :])
            share = np.round(100 / np.exp(logits - logits.max(axis=0)).sum(axis=0)).astype(np.uint8)
        kept = self._sums.shape[1] - rows
        self._sums[:, :kept] = self._sums[:, rows:].copy()
        self._sums[:, kept:] = 0
        return channels, share


def _has_data(valid: NDArray[np.bool_], column: int, crop: int) -> bool:
    return bool(valid[:, column : column + crop].any())


def _cut(pixels: NDArray[np.float32], column: int, crop: int) -> NDArray[np.float32]:
    return pad_to(pixels[:, :, column : column + crop], crop, crop)


def _checked(logits: NDArray[np.float32], classes: int, crop: int) -> NDArray[np.float32]:
    if logits.shape[1:] != (classes, crop, crop):
        raise LabError(
            f"the network gives {' x '.join(map(str, logits.shape[1:]))} values for a window, its catalog item"
            f" promises {classes} classes x {crop} x {crop} pixels"
        )
    if not np.isfinite(logits).all():
        raise LabError("the network's output is not a finite number everywhere; its weights are unusable")
    return logits
