"""Flips and quarter turns of chips: what is seen from above has no top."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TURNS = 8
"""Four quarter turns, each with and without a flip."""


def draw_turns(seed: int, epoch: int, count: int) -> NDArray[np.integer]:
    """Return a turn, 0 … 7, for each of so many chips: f(seed, epoch, place of the chip)."""
    return np.random.default_rng([seed, epoch]).integers(TURNS, size=count)


def turned(raster: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return a raster, (…, rows, columns), turned; a view."""
    if turn == 0:
        return raster
    rotated = np.rot90(raster, turn % 4, (-2, -1))
    return np.flip(rotated, -1) if turn >= 4 else rotated
