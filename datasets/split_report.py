"""What a split is worth: sizes, class balance, distances between the splits, and whether it leaks."""

from itertools import combinations
from typing import Any

import numpy as np

from terralab.datasets.chip_places import GroundPlan
from terralab.datasets.splits import Split, SplitMethod, SplitRecipe
from terralab.datasets.statistics import class_shares, total_counts
from terralab.extensions.chips import SPLITS

_DIGITS = 6


def split_report(plan: GroundPlan, split: Split, recipe: SplitRecipe) -> dict[str, Any]:
    """Measure a split.

    Returns:
        JSON values: `chips`, `groups` and `class_share` per split, and per pair of splits (`train_test` …) the least
        ground distance in metres, and the pairs of chips that touch or overlap. `leaks` is True where chips of
        different splits overlap on the ground; touching chips are a warning.
    """
    distances, touching, overlapping = _between(plan, split)
    counts = {name: int((split.splits == place).sum()) for place, name in enumerate(SPLITS)}
    leaks = any(overlapping.values())
    return {
        "method": str(recipe.method),
        "seed": recipe.seed,
        "proportions": dict(zip(SPLITS, recipe.proportions, strict=True)),
        "block_size": split.block_size,
        "buffer_m": recipe.buffer,
        "chips": counts,
        "left_out": int((split.splits < 0).sum()),
        "groups": {name: _groups(split, place) for place, name in enumerate(SPLITS)},
        "class_share": {name: _shares(plan, split, place) for place, name in enumerate(SPLITS)},
        "minimum_distance_m": distances,
        "touching_pairs": touching,
        "overlapping_pairs": overlapping,
        "leaks": leaks,
        "warnings": _warnings(plan, split, recipe, leaks, sum(touching.values())),
    }


def split_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table of the splits: chips, groups and class shares."""
    return [
        {
            "split": name,
            "chips": report["chips"][name],
            "groups": report["groups"][name],
            **{f"share of {label}": share for label, share in report["class_share"][name].items()},
        }
        for name in SPLITS
    ]


def distance_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table of the pairs of splits: distance, touching and overlapping chips."""
    return [
        {
            "splits": pair.replace("_", " – "),
            "minimum distance (m)": distance,
            "touching pairs": report["touching_pairs"][pair],
            "overlapping pairs": report["overlapping_pairs"][pair],
        }
        for pair, distance in report["minimum_distance_m"].items()
    ]


def _between(plan: GroundPlan, split: Split) -> tuple[dict[str, float | None], dict[str, int], dict[str, int]]:
    distances: dict[str, float | None] = {}
    touching: dict[str, int] = {}
    overlapping: dict[str, int] = {}
    pairs, overlaps = plan.neighbours
    ends = np.sort(split.splits[pairs], axis=1)
    for one, other in combinations(range(len(SPLITS)), 2):
        name = f"{SPLITS[one]}_{SPLITS[other]}"
        across = (ends[:, 0] == one) & (ends[:, 1] == other)
        overlapping[name] = int((across & overlaps).sum())
        touching[name] = int((across & ~overlaps).sum())
        distance = plan.distance(split.members(one), split.members(other))
        if distance is not None:
            # Chips that share an edge are some nanometres apart in floating point.
            distance = 0.0 if touching[name] or overlapping[name] else round(distance, 2)
        distances[name] = distance
    return distances, touching, overlapping


def _groups(split: Split, place: int) -> int:
    return len({split.groups[chip] for chip in split.members(place)})


def _shares(plan: GroundPlan, split: Split, place: int) -> dict[str, float]:
    counts = total_counts(plan.places[chip].class_counts for chip in split.members(place))
    return {name: round(share, _DIGITS) for name, share in class_shares(counts).items()}


def _warnings(plan: GroundPlan, split: Split, recipe: SplitRecipe, leaks: bool, touching: int) -> list[str]:
    found = []
    if leaks:
        found.append("chips of different splits overlap on the ground: the test is not independent")
    if recipe.method is SplitMethod.RANDOM:
        found.append("random chips of one scene are in several splits: expect test figures that are too good")
    if touching:
        found.append(f"{touching} pairs of touching chips are in different splits; --buffer leaves them out")
    classes = total_counts(place.class_counts for place in plan.places)
    for place, name in enumerate(SPLITS):
        own = total_counts(plan.places[chip].class_counts for chip in split.members(place))
        absent = [label for label, count in classes.items() if count and own and not own[label]]
        if absent:
            found.append(f"the split {name} has no pixel of {', '.join(absent)}")
    return found
