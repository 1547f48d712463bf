"""Which pixels of a scene are clouds, shadows or the like: HLS Fmask, Sentinel-2 SCL, or any raster of values.

A mask of `each` takes pixels away from its own date; of `any` it takes a pixel away from all dates as soon as one of
them is clouded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidInput

FMASK_BITS: Mapping[str, int] = {
    "cirrus": 0,
    "cloud": 1,
    "near_cloud_or_shadow": 2,
    "cloud_shadow": 3,
    "snow": 4,
    "water": 5,
}
_FMASK_FILL = 255  # no observation; its bits say nothing
SCL_CLASSES: Mapping[str, tuple[int, ...]] = {
    "nodata": (0,),
    "defective": (1,),
    "dark": (2,),
    "cloud_shadow": (3,),
    "vegetation": (4,),
    "bare": (5,),
    "water": (6,),
    "unclassified": (7,),
    "cloud": (8, 9),
    "cirrus": (10,),
    "snow": (11,),
}


class MaskKind(StrEnum):
    """What the raster of a mask holds."""

    FMASK = "fmask"
    SCL = "scl"
    VALUES = "values"


class Strategy(StrEnum):
    """Whether a masked pixel is lost to its own date or to all."""

    EACH = "each"
    ANY = "any"


@dataclass(frozen=True)
class PixelMask:
    """Which pixels are taken away.

    Attributes:
        kind: what the raster holds.
        names: such as `cloud` and `cloud_shadow`; for `values` the numbers as text.
        strategy: each date for itself, or all together.
    """

    kind: MaskKind
    names: tuple[str, ...]
    strategy: Strategy = Strategy.EACH

    def __post_init__(self) -> None:
        known: Mapping[str, Any] = {MaskKind.FMASK: FMASK_BITS, MaskKind.SCL: SCL_CLASSES}.get(self.kind, {})
        wrong = [name for name in self.names if (name not in known if known else not name.lstrip("-").isdigit())]
        if wrong or not self.names:
            choices = ", ".join(known) if known else "whole numbers"
            raise InvalidInput(f"mask {self.kind.value}: {', '.join(wrong) or 'nothing'} is none of {choices}")

    def masked(self, quality: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pixels are taken away; `quality` holds whole numbers, any shape."""
        if self.kind is MaskKind.FMASK:
            bits = sum(1 << FMASK_BITS[name] for name in self.names)
            flagged: NDArray[np.bool_] = ((quality.astype(np.int64) & bits) != 0) & (quality != _FMASK_FILL)
            return flagged
        if self.kind is MaskKind.SCL:
            values = [value for name in self.names for value in SCL_CLASSES[name]]
        else:
            values = [int(name) for name in self.names]
        found: NDArray[np.bool_] = np.isin(quality, values)
        return found


def masks_of_dates(masks: Sequence[NDArray[np.bool_]], strategy: Strategy) -> list[NDArray[np.bool_]]:
    """Return the mask of each date by the strategy."""
    if strategy is Strategy.EACH or not masks:
        return list(masks)
    anywhere = np.logical_or.reduce(masks)
    return [anywhere for _ in masks]
