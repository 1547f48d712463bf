"""Where the values of each band lie over all chips, from the statistics on their items: the range of histograms."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from terralab.extensions.raster import BandStatistics

_SIGMAS = 4.0
_ROLE = "ml-aoi:role"
Range = tuple[float, float] | None


@dataclass
class _Sums:
    """Weighted sums of one band's statistics."""

    weight: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def add(self, known: BandStatistics) -> None:
        self.weight += known.valid_percent
        self.total += known.valid_percent * known.mean
        self.squares += known.valid_percent * (known.stddev**2 + known.mean**2)
        self.minimum, self.maximum = min(self.minimum, known.minimum), max(self.maximum, known.maximum)

    def range(self) -> Range:
        """Return four deviations around the mean, within the extremes; None where nothing is known."""
        if not self.weight:
            return None
        mean = self.total / self.weight
        reach = _SIGMAS * math.sqrt(max(self.squares / self.weight - mean**2, 0.0))
        return max(self.minimum, mean - reach), min(self.maximum, mean + reach)


class BandRanges:
    """Collects the ranges while chip items pass by."""

    def __init__(self) -> None:
        self._sums: dict[str, list[_Sums]] = {}

    def watching(self, items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the items, and take note of their bands."""
        for item in items:
            for key, entry in item["assets"].items():
                if entry.get(_ROLE) == "feature":
                    self._add(key, entry)
            yield item

    def found(self) -> dict[str, tuple[Range, ...]]:
        """Return the range of each band by the key of its feature."""
        return {key: tuple(sums.range() for sums in bands) for key, bands in self._sums.items()}

    def _add(self, key: str, entry: Mapping[str, Any]) -> None:
        bands = entry.get("bands") or []
        per_date = len(bands) // max(1, len(entry.get("lab:times") or ()))
        sums = self._sums.setdefault(key, [_Sums() for _ in range(per_date)])
        for place, band in enumerate(bands):
            known = BandStatistics.of_stac(band.get("statistics") or {})
            if known is not None and place % max(per_date, 1) < len(sums):
                sums[place % per_date].add(known)
