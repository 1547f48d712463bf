"""Whether the test can be trusted: chips of different splits that share ground, pixels or a scene."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from terralab.datasets.quality.collected import Collected
from terralab.datasets.quality.duplicates import Duplicates, across_splits

_SHARED = 0.05
_SHOWN = 50


def leakage(chips: Collected, duplicates: Duplicates, split_report: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what connects the splits.

    Returns:
        `exact` and `near`: pairs of duplicates in different splits; `overlapping`: pairs of chips of different splits
        that share more than 5 % of the smaller one's ground (padding counts as ground); `scenes`: how many scenes have
        chips in several splits; `leaks`: whether any of the first three is there, or the split's own report says so.
    """
    exact, near = across_splits(chips, duplicates.exact), across_splits(chips, duplicates.near)
    overlapping = _overlapping(chips)
    reported = bool((split_report or {}).get("leaks"))
    return {
        "exact": exact,
        "near": near,
        "overlapping": overlapping[:_SHOWN],
        "overlapping_pairs": len(overlapping),
        "scenes": _divided_scenes(chips),
        "split_report_leaks": reported,
        "leaks": bool(exact or near or overlapping or reported),
    }


def _overlapping(chips: Collected) -> list[tuple[int, int]]:
    splits = np.array([place.split or "" for place in chips.places])
    boxes = shapely.box(*np.array([place.bounds for place in chips.places]).reshape(-1, 4).T)
    pairs = shapely.STRtree(boxes).query(boxes, predicate="intersects").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    one, other = splits[pairs[:, 0]], splits[pairs[:, 1]]
    pairs = pairs[(one != other) & (one != "") & (other != "")]
    left, right = boxes[pairs[:, 0]], boxes[pairs[:, 1]]
    least = np.minimum(shapely.area(left), shapely.area(right))
    shared = shapely.area(shapely.intersection(left, right)) > _SHARED * least
    return [(int(low), int(high)) for low, high in pairs[shared]]


def _divided_scenes(chips: Collected) -> int:
    splits: dict[str, set[str]] = defaultdict(set)
    for place in chips.places:
        if place.split:
            splits[place.scene].add(place.split)
    return sum(len(found) > 1 for found in splits.values())


def split_balance(chips: Collected) -> dict[str, dict[str, Any]]:
    """Return, per split, its chips and the pixels of each class."""
    counts = Counter(place.split or "no split" for place in chips.places)
    found = {}
    for split in sorted(counts):
        own = [number for number, place in enumerate(chips.places) if (place.split or "no split") == split]
        pixels = chips.class_counts[own].sum(axis=0)
        found[split] = {
            "chips": counts[split],
            "classes": {name: int(count) for name, count in zip(chips.classes, pixels, strict=True)},
        }
    return found
