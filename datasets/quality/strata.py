"""Whether a dataset is biased: how its chips, clouds and labels differ by season, region, sensor and land cover."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from terralab.datasets.quality.collected import Collected, Place
from terralab.datasets.quality.label_errors import LabelJudgement

RARE = 0.05
WORSE = 0.15
_FEWEST = 5
_SEASONS = ("winter", "spring", "summer", "autumn")
_TROPICS, _POLAR = 23.5, 66.5


def strata(chips: Collected, labels: LabelJudgement) -> dict[str, list[dict[str, Any]]]:
    """Return, for each way to divide the chips that gives more than one part, a row for each part.

    A row has `name`, `chips`, `share`, the mean `cloud` where it is known, and `agreement`: how often a quick model
    that has not seen the chips agrees with their labels. Parts of fewer than 5 chips have no means.
    """
    ways: dict[str, Callable[[int, Place], str]] = {
        "season": lambda _, place: _season(place),
        "latitude": lambda _, place: _belt(place),
        "region": lambda _, place: _region(place),
        "sensor": lambda _, place: place.platform or "not said",
        "land cover": lambda number, _: _cover(chips, number),
    }
    found = {}
    for way, name_of in ways.items():
        members: dict[str, list[int]] = defaultdict(list)
        for number, place in enumerate(chips.places):
            members[name_of(number, place)].append(number)
        if len(members) > 1:
            ordered = sorted(members.items(), key=lambda part: (-len(part[1]), part[0]))
            found[way] = [_row(chips, labels, name, numbers) for name, numbers in ordered]
    return found


def _row(chips: Collected, labels: LabelJudgement, name: str, numbers: list[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "chips": len(numbers), "share": round(len(numbers) / len(chips), 4)}
    if len(numbers) < _FEWEST:
        return row
    clouds = [float(chips.qa[number]["cloud"]) for number in numbers if "cloud" in chips.qa[number]]
    if clouds:
        row["cloud"] = round(float(np.mean(clouds)), 4)
    agreement = labels.agreement[numbers]
    if np.isfinite(agreement).sum() >= _FEWEST:
        row["agreement"] = round(float(np.nanmean(agreement)), 4)
    return row


def _season(place: Place) -> str:
    """Return the season by months, six months later in the south."""
    month = place.moment.month % 12 // 3
    south = place.bounds[1] + place.bounds[3] < 0
    return _SEASONS[(month + 2) % 4 if south else month]


def _belt(place: Place) -> str:
    latitude = (place.bounds[1] + place.bounds[3]) / 2
    if abs(latitude) < _TROPICS:
        return "tropics"
    side = "north" if latitude > 0 else "south"
    return f"polar {side}" if abs(latitude) > _POLAR else f"temperate {side}"


def _region(place: Place) -> str:
    """Return the cell of 10° that the chip's middle lies in."""
    south = int(np.floor((place.bounds[1] + place.bounds[3]) / 20) * 10)
    west = int(np.floor((place.bounds[0] + place.bounds[2]) / 20) * 10)
    north_south = f"{abs(south)}°{'S' if south < 0 else 'N'}"
    return f"{north_south} {abs(west)}°{'W' if west < 0 else 'E'}"


def _cover(chips: Collected, number: int) -> str:
    counts = chips.class_counts[number] if chips.classes else np.zeros(0)
    return f"mostly {chips.classes[int(counts.argmax())]}" if counts.sum() else "no labels"
