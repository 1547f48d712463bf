"""One image out of many dates: the median of what can be seen, or the best view of each pixel."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.chipping.reader import Patch


class Composite(StrEnum):
    """How dates become one image."""

    MEDIAN = "median"
    BEST = "best"


def mosaic(parts: Sequence[Patch]) -> Patch:
    """Return one image of several scenes: each pixel from the first that has data in all of its bands.

    Where none has all bands, the first with any band is taken. A pixel's bands are never mixed from two scenes.
    """
    pixels, valid = parts[0].pixels, parts[0].valid
    if len(parts) == 1 or valid.all():
        return parts[0]
    pixels, valid = pixels.copy(), valid.copy()
    for wanted in (np.all, np.any):
        for part in parts[1:]:
            better = wanted(part.valid, axis=0) & ~wanted(valid, axis=0)
            pixels[:, better], valid[:, better] = part.pixels[:, better], part.valid[:, better]
    return Patch(pixels, valid)


def composed(dates: Sequence[Patch], how: Composite, fill: float) -> Patch:
    """Return one image of several dates.

    Args:
        dates: the best date first.
        how: the median of each band over the dates with data, or each pixel from the best date that has it.
        fill: value where no date has data.
    """
    if how is Composite.BEST or len(dates) == 1:
        return mosaic(dates)
    stack = np.stack([np.where(date.valid, date.pixels, np.nan).astype(np.float64) for date in dates])
    seen = np.logical_or.reduce([date.valid for date in dates])
    middle = _median(stack, seen)
    data_type = dates[0].pixels.dtype
    if data_type.kind != "f":
        middle = np.rint(middle)
    pixels = np.full(seen.shape, fill, data_type)
    pixels[seen] = middle[seen].astype(data_type)
    return Patch(pixels, seen)


def _median(stack: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the median over the first axis, without the pixels that no date has (there NaN, and no warning)."""
    result = np.full(seen.shape, np.nan)
    result[seen] = np.nanmedian(stack[:, seen], axis=0)
    return result
