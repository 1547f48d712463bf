"""Cleaning chips: those with too little data are left out, labels are spread or thinned.

Labels of single points teach little: `buffer` spreads them to the pixels around, never over another label and never
where it would be disputed. Labels of one class that drown the others are thinned by `limit`, by a choice that depends
on the chip's id alone.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from terralab.extensions.raster import MASK_NODATA


@dataclass(frozen=True)
class Cleaning:
    """How chips are cleaned.

    Attributes:
        max_nodata: largest share (0 … 1) of pixels without data in any band; what is above is left out.
        min_labelled: smallest share (0 … 1) of labelled pixels; what is below is left out.
        buffer: class value → radius (pixels, a square) by which its labels are spread.
        limit: class value → largest number of labelled pixels in a chip.
        mask_labels: labels where the image has no data are taken away.
    """

    max_nodata: float = 1.0
    min_labelled: float = 0.0
    buffer: Mapping[int, int] = field(default_factory=dict)
    limit: Mapping[int, int] = field(default_factory=dict)
    mask_labels: bool = False


def cleaned_mask(
    mask: NDArray[np.uint8], valid: NDArray[np.bool_], cleaning: Cleaning, chip_id: str
) -> NDArray[np.uint8]:
    """Return a mask (rows, columns) with its labels spread, then taken away where there is no data, then thinned.

    Args:
        mask: class values, 255 without label.
        valid: where the chip has data (rows, columns).
        cleaning: how.
        chip_id: of which the choice of thinned pixels follows.
    """
    result = _spread(mask, cleaning.buffer)
    if cleaning.mask_labels:
        result = np.where(valid, result, np.uint8(MASK_NODATA))
    return _thinned(result, cleaning.limit, chip_id)


def _spread(mask: NDArray[np.uint8], radii: Mapping[int, int]) -> NDArray[np.uint8]:
    """Give unlabelled pixels the label within its radius, where only one class is."""
    if not any(radii.values()):
        return mask
    claims = np.zeros(mask.shape, np.uint8)
    result = mask.copy()
    free = mask == MASK_NODATA
    for value, radius in sorted(radii.items()):
        near = _dilated(mask == value, radius) & free
        claims[near] += 1
        result[near] = value
    result[free & (claims > 1)] = MASK_NODATA
    return result


def _dilated(here: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Return the pixels that have one of `here` in the square of `radius` pixels around."""
    padded = np.pad(here, radius)
    rows, columns = here.shape
    down = np.zeros((rows, columns + 2 * radius), bool)
    for shift in range(2 * radius + 1):
        down |= padded[shift : shift + rows]
    result = np.zeros_like(here)
    for shift in range(2 * radius + 1):
        result |= down[:, shift : shift + columns]
    return result


def _thinned(mask: NDArray[np.uint8], limits: Mapping[int, int], chip_id: str) -> NDArray[np.uint8]:
    result = mask
    for value, most in sorted(limits.items()):
        places = np.flatnonzero(result == value)
        if len(places) <= most:
            continue
        seed = int.from_bytes(hashlib.sha256(f"{chip_id}/{value}".encode()).digest()[:8], "big")
        dropped = np.random.default_rng(seed).permutation(places)[most:]
        result = result.copy()
        result.flat[dropped] = MASK_NODATA
    return result
