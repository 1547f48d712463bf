"""Splits by calendar year: the test is a time that the model has not seen."""

from collections.abc import Mapping, Sequence

import numpy as np

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.proportions import Numbers, dealt, runs
from terralab.datasets.splitting.recipe import Parts, SplitRecipe
from terralab.extensions.chips import SPLITS


def split_years(plan: GroundPlan, recipe: SplitRecipe) -> tuple[Parts, dict[str, list[int]]]:
    """Assign chips by their years; chips whose years fall into several parts, or that have none, are left out.

    Without given years these go in their order, the oldest to train; of folds each gets the years that it lacks most.

    Returns:
        The part of each chip, and the years of each part.

    Raises:
        InvalidInput: a given split is none, or folds and years are both given.
        TooFewChips: there are fewer years than parts.
    """
    if recipe.years is not None:
        part_of = _given(recipe)
    else:
        part_of = _by_shares([place.years for place in plan.places], recipe)
    parts = np.array([_part(place.years, part_of) for place in plan.places], np.int64)
    years: dict[str, list[int]] = {name: [] for name in recipe.part_names}
    for year, part in sorted(part_of.items()):
        years[recipe.part_names[part]].append(year)
    return parts, years


def year_names(plan: GroundPlan) -> list[str]:
    """Return the years of each chip as text, such as `2019` or `2019-2020`."""
    return ["-".join(str(year) for year in sorted({*place.years[:1], *place.years[-1:]})) for place in plan.places]


def _given(recipe: SplitRecipe) -> dict[int, int]:
    assert recipe.years is not None
    if recipe.folds:
        raise InvalidInput("years that are given to splits leave nothing for folds; give one or the other")
    wrong = sorted({name for name in recipe.years.values() if name not in SPLITS})
    if wrong:
        raise InvalidInput(f"years are given to {wrong[0]!r}; a split is {', '.join(SPLITS)}")
    return {int(year): SPLITS.index(name) for year, name in recipe.years.items()}


def _by_shares(years: Sequence[tuple[int, ...]], recipe: SplitRecipe) -> dict[int, int]:
    first = np.array([own[0] for own in years if own], np.int64)
    found = np.array(sorted({year for own in years for year in own}), np.int64)
    shares: Numbers = recipe.shares
    if len(found) < np.count_nonzero(shares):
        raise TooFewChips(
            f"the chips are of {len(found)} years, fewer than the {np.count_nonzero(shares)} parts to split into;"
            " use another method, or other proportions"
        )
    sizes = (first[:, None] == found).sum(axis=0).astype(np.float64)
    if recipe.folds:
        parts = dealt(sizes, shares, np.random.default_rng(recipe.seed))
    else:
        parts = _without_empty(runs(sizes, shares), shares)
    return {int(year): int(part) for year, part in zip(found, parts, strict=True)}


def _without_empty(parts: Parts, shares: Numbers) -> Parts:
    """Move the cuts of ascending parts so that every wanted part has a year at least."""
    wanted = np.flatnonzero(shares > 0)
    places = np.searchsorted(wanted, parts)
    count, last = len(places), len(wanted) - 1
    for number in range(count):  # at most one step up at a time, starting at the first part
        places[number] = min(places[number], places[number - 1] + 1 if number else 0)
    for number in range(count):  # so high that the parts that are left still get a year each
        places[number] = max(places[number], last - (count - 1 - number))
    found: Parts = wanted[places]
    return found


def _part(years: Sequence[int], part_of: Mapping[int, int]) -> int:
    parts = {part_of.get(year, -1) for year in years}
    return parts.pop() if len(parts) == 1 else -1
