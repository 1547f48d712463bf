"""Statistics of bands and classes, pooled exactly from those of the chips.

Each chip carries count, mean and spread of its valid pixels per band; pooling them gives the same figures as one pass
over all pixels (Chan, Golub and LeVeque 1979), so a subset such as the training chips needs no pixel read again.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.extensions.raster import BandStatistics

_EXACT = 2**53  # up to it float64 holds every whole number


@dataclass(frozen=True)
class BandSums:
    """What is known of one band's valid pixels; `spread` is the sum of squared differences from the mean.

    Attributes:
        pixels: all pixels, valid or not.
        count: valid pixels.
        mean: of the valid pixels.
        spread: Σ (value − mean)².
        minimum: +inf where no pixel is valid.
        maximum: −inf where no pixel is valid.
    """

    pixels: int = 0
    count: int = 0
    mean: float = 0.0
    spread: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def statistics(self) -> BandStatistics | None:
        """Return the STAC statistics, None where no pixel is valid."""
        if not self.count:
            return None
        return BandStatistics(
            self.minimum,
            self.maximum,
            self.mean,
            math.sqrt(self.spread / self.count),
            100 * self.count / self.pixels,
        )

    @classmethod
    def of_pixels(cls, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> "BandSums":
        """Measure one band: `pixels` and `valid` of the same shape; sums are in float64."""
        given = pixels.ravel() if valid.all() else pixels[valid]
        if not given.size:
            return cls(pixels=pixels.size)
        values = given.astype(np.float64, copy=False)
        lowest, highest = float(given.min()), float(given.max())
        if given.dtype.kind != "f" and max(abs(lowest), abs(highest)) ** 2 * given.size < _EXACT:
            total, squares = int(values.sum()), int(np.square(values).sum())  # both exact: whole numbers
            mean, spread = total / given.size, (given.size * squares - total * total) / given.size
        else:
            mean = float(values.mean())
            spread = float(np.square(values - mean).sum())
        return cls(pixels.size, given.size, mean, spread, lowest, highest)

    @classmethod
    def of_stac(cls, statistics: Mapping[str, float] | None, pixels: int) -> "BandSums":
        """Read a chip's `statistics` object back; `pixels` is the chip's pixel count."""
        if not statistics:
            return cls(pixels=pixels)
        count = round(statistics["valid_percent"] * pixels / 100)
        spread = statistics["stddev"] ** 2 * count
        return cls(pixels, count, statistics["mean"], spread, statistics["minimum"], statistics["maximum"])

    @classmethod
    def pooled(cls, parts: Iterable["BandSums"]) -> "BandSums":
        """Return the sums over all parts together."""
        known = list(parts)
        count = sum(part.count for part in known)
        pixels = sum(part.pixels for part in known)
        if not count:
            return cls(pixels=pixels)
        mean = math.fsum(part.mean * part.count for part in known) / count
        spread = math.fsum(part.spread + part.count * (part.mean - mean) ** 2 for part in known)
        lowest, highest = min(part.minimum for part in known), max(part.maximum for part in known)
        return cls(pixels, count, mean, spread, lowest, highest)


def pooled_bands(chips: Iterable[Sequence[BandSums]]) -> list[BandSums]:
    """Pool each band over chips; every chip has the same bands in the same order."""
    return [BandSums.pooled(band) for band in zip(*chips, strict=True)]


def total_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add pixel counts by class name, keeping the order of the first."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def class_shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Return each class's share (0 … 1) of the labelled pixels; all 0 where there are none."""
    total = sum(counts.values())
    return {name: count / total if total else 0.0 for name, count in counts.items()}


def class_weights(counts: Mapping[str, int]) -> dict[str, float]:
    """Return weights inverse to the classes' frequency, 1 on average over pixels; 0 for a class without pixels."""
    present = {name: count for name, count in counts.items() if count}
    total = sum(present.values())
    return {name: total / (len(present) * count) if count else 0.0 for name, count in counts.items()}
