"""How overlapping windows are blended: by weights that fall off towards a window's inner borders like a raised cosine.

The weights are whole numbers from 1 to 256. A weighted sum of 32-bit logits in 64-bit floating point is then exact, so
where all windows agree the blend is bit for bit what each of them says, in whatever order they come. The weights of a
pixel are separable, so their sum over all windows is the product of one sum by row and one by column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FULL = 256


@dataclass(frozen=True)
class AxisWeights:
    """Weights along one axis.

    Attributes:
        windows: (windows, crop) float64, whole numbers from 1 to 256.
        total: (length,) float64, sum of the weights of all windows over each pixel of the raster.
    """

    windows: NDArray[np.float64]
    total: NDArray[np.float64]


def axis_weights(starts: tuple[int, ...], crop: int, length: int) -> AxisWeights:
    """Return the weights of the windows that begin at `starts` on an axis of `length` pixels.

    A window's weights rise over what it shares with the one before and fall over what it shares with the next; at the
    raster's own border they stay full, because nothing else covers it.
    """
    ends = (0, *(start + crop for start in starts[:-1]))
    nexts = (*starts[1:], starts[-1] + crop)
    windows = np.stack(
        [
            np.minimum(_rise(crop, end - start), _rise(crop, start + crop - following)[::-1])
            for start, end, following in zip(starts, ends, nexts, strict=True)
        ]
    )
    total = np.zeros(length)
    for start, weights in zip(starts, windows, strict=True):
        inside = min(crop, length - start)
        total[start : start + inside] += weights[:inside]
    return AxisWeights(windows, total)


def _rise(crop: int, ramp: int) -> NDArray[np.float64]:
    """Return `crop` weights that rise over the first `ramp` pixels."""
    weights = np.full(crop, float(_FULL))
    if ramp > 0:
        phase = (np.arange(ramp) + 0.5) / ramp
        weights[:ramp] = np.maximum(1, np.round(_FULL * (0.5 - 0.5 * np.cos(np.pi * phase))))
    return weights
