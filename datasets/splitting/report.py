"""What a split is worth: sizes, class balance, what the splits have in common, and whether it leaks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from terralab.datasets.splitting.between import Between, measure_between
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.groups import class_names, class_table
from terralab.datasets.splitting.recipe import Parts, Split, SplitMethod, SplitRecipe, splits_of_parts
from terralab.extensions.chips import SPLITS

_DIGITS = 6


def split_report(plan: GroundPlan, split: Split, recipe: SplitRecipe) -> dict[str, Any]:
    """Measure a split.

    Returns:
        JSON values; `docs/splits.md` says what each means. With folds, the members of one split are those of the first
        round, and `folds` has all rounds. `leaks` is True where chips of different splits, in any round, share ground
        or pixels; touching chips are a warning.
    """
    between = measure_between(plan, split)
    rounds = [_round(plan, split, between, number) for number in range(split.fold_count or 1)]
    first = rounds[0]
    leaks = any(own["leaks"] for own in rounds)
    said = {
        "method": str(recipe.method),
        "seed": recipe.seed,
        "proportions": _proportions(recipe),
        "block_size": split.block_size,
        "buffer_m": recipe.buffer,
        **split.facts,
        **{key: value for key, value in first.items() if key != "fold"},
        "left_out": int((split.parts < 0).sum()),
        "left_out_by": dict(split.left_out),
        "without_place": int((~plan.placed).sum()),
        "leaks": leaks,
        "warnings": _warnings(plan, split, recipe, rounds),
    }
    return {**said, "folds": rounds} if split.fold_count else said


def _round(plan: GroundPlan, split: Split, between: Between, number: int) -> dict[str, Any]:
    """Return what is measured of one split: the only one, or that of one round of the folds."""
    split_of = np.arange(len(SPLITS)) if split.fold_count is None else splits_of_parts(split.fold_count, number)[:-1]
    splits = np.append(split_of, -1)[split.parts]
    pairs = {
        f"{name}_pairs": between.of_splits(table, split_of)
        for name, table in (
            ("touching", between.touching),
            ("overlapping", between.overlapping),
            ("duplicate", between.duplicates),
            ("same_scene", between.same_scene),
            ("same_time", between.same_time),
        )
    }
    names, groups = class_names(plan), np.array(split.groups)
    pixels = class_table(plan)
    return {
        "fold": number,
        "chips": {name: int((splits == place).sum()) for place, name in enumerate(SPLITS)},
        "groups": {name: len(np.unique(groups[splits == place])) for place, name in enumerate(SPLITS)},
        "class_share": {name: _shares(names, pixels[splits == place].sum(axis=0)) for place, name in enumerate(SPLITS)},
        "minimum_distance_m": between.distances(split_of),
        **pairs,
        "leaks": any(pairs["overlapping_pairs"].values()) or any(pairs["duplicate_pairs"].values()),
    }


def _proportions(recipe: SplitRecipe) -> dict[str, float]:
    if not recipe.folds:
        return dict(zip(SPLITS, recipe.proportions, strict=True))
    counts = np.bincount(splits_of_parts(recipe.folds, 0)[:-1], minlength=len(SPLITS))
    return {name: round(float(count) / recipe.folds, _DIGITS) for name, count in zip(SPLITS, counts, strict=True)}


def _shares(names: Sequence[str], counts: Parts) -> dict[str, float]:
    total = float(counts.sum())
    shares = counts / total if total else counts
    return {name: round(float(share), _DIGITS) for name, share in zip(names, shares, strict=True)}


def _warnings(plan: GroundPlan, split: Split, recipe: SplitRecipe, rounds: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    pairs = {key: max(sum(own[key].values()) for own in rounds) for key in rounds[0] if key.endswith("_pairs")}
    if pairs["overlapping_pairs"]:
        found.append("chips of different splits overlap on the ground: the test is not independent")
    if pairs["duplicate_pairs"]:
        found.append("chips of different splits have equal pixels or are marked duplicates: drop all but one of each")
    if recipe.method is SplitMethod.RANDOM and pairs["same_scene_pairs"]:
        found.append("random chips of one scene are in several splits: expect test figures that are too good")
    if pairs["touching_pairs"]:
        count = pairs["touching_pairs"]
        found.append(f"{count} pairs of touching chips are in different splits; --buffer leaves them out")
    if split.left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in split.left_out.items())
        found.append(f"chips were left out: {reasons}")
    without = int((~plan.placed & (split.parts >= 0)).sum())
    if without:
        found.append(f"{without} chips have no place on the ground: whether they leak is known by their pixels alone")
    return found + _missing_classes(rounds)


def _missing_classes(rounds: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for own in rounds:
        place = f" of fold {own['fold']}" if len(rounds) > 1 else ""
        present = {label for shares in own["class_share"].values() for label, share in shares.items() if share}
        for name, shares in own["class_share"].items():
            absent = [label for label, share in shares.items() if label in present and not share]
            if absent and own["chips"][name]:
                found.append(f"the split {name}{place} has no pixel of {', '.join(absent)}")
    return found
