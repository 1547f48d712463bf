"""Splitting a dataset's chips into train, validate and test, or into folds, without leaks.

Neighbouring chips look alike, so a random split tests a model on what it has nearly seen. The default method therefore
assigns blocks of chips; what overlaps on the ground or has equal pixels goes together. Equal seeds give equal splits,
whatever the order of the chips.
"""

from collections.abc import Callable, Sequence

import numpy as np

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.datasets.splitting.apart import leave_out, leave_out_near, split_apart
from terralab.datasets.splitting.given import split_as_given
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.groups import (
    Groups,
    attribute_names,
    block_names,
    choose_block_size,
    merged,
    single_names,
)
from terralab.datasets.splitting.proportions import runs
from terralab.datasets.splitting.recipe import TRAIN, Parts, Split, SplitMethod, SplitRecipe
from terralab.datasets.splitting.search import Search
from terralab.datasets.splitting.stratified import stratified
from terralab.datasets.splitting.years import split_years, year_names

NO_PLACE, NO_GROUP, NO_YEAR, NO_SPLIT = "no place", "no group", "years of several parts", "no split given"
NEAR, PROPORTIONS = "near another split", "to keep the proportions"


def split_chips(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    """Assign the chips of `plan`.

    Raises:
        TooFewChips: a split that should have chips would have none.
        InvalidInput: given years or splits are wrong, or the method lacks what it needs.
    """
    found = _METHODS[recipe.method](plan, recipe)
    if recipe.buffer > 0 and recipe.method is not SplitMethod.DISTANCE:
        found = _buffered(plan, found, recipe)
    _check_sizes(found, recipe)
    return found


def _random(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    count = len(plan.places)
    parts = np.empty(count, np.int64)
    parts[np.random.default_rng(recipe.seed).permutation(count)] = runs(np.ones(count), recipe.shares)
    return Split(parts, [place.id for place in plan.places], recipe.folds)


def _block(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    size = recipe.block_size or choose_block_size(plan)
    return _searched(plan, recipe, block_names(plan, size), NO_PLACE, size)


def _group(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    names = attribute_names(plan)
    if not any(names):
        raise InvalidInput("no chip has the property to group by; name one that they have, or onboard them with it")
    return _searched(plan, recipe, names, NO_GROUP)


def _searched(
    plan: GroundPlan, recipe: SplitRecipe, names: Sequence[str | None], reason: str, block_size: int | None = None
) -> Split:
    groups = Groups.of(plan, merged(plan, names))
    _require_groups(groups, recipe)
    parts = groups.spread(Search(groups, recipe.shares, recipe.seed).best())
    return Split(parts, groups.chip_names, recipe.folds, block_size, _count(parts, reason))


def _distance(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    if recipe.buffer <= 0:
        raise InvalidInput("the method `distance` needs a buffer: how many metres to keep the splits apart")
    if not plan.placed.any():
        raise InvalidInput("no chip has a place on the ground; use the method `random`, `group` or `stratified`")
    found = split_apart(plan, recipe.shares, recipe.seed, recipe.buffer)
    reasons = {NO_PLACE: int((~plan.placed).sum()), NEAR: found.near, PROPORTIONS: found.trimmed}
    return Split(found.parts, found.groups.chip_names, recipe.folds, None, _known(reasons))


def _year(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    parts, years = split_years(plan, recipe)
    return Split(parts, year_names(plan), recipe.folds, None, _count(parts, NO_YEAR), {"years": years})


def _stratified(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    if not any(place.class_counts for place in plan.places):
        raise InvalidInput("no chip has class counts to stratify by; use another method")
    names = attribute_names(plan)
    groups = Groups.of(plan, merged(plan, names if any(names) else single_names(plan)))
    _require_groups(groups, recipe)
    parts = groups.spread(stratified(groups, recipe.shares, recipe.seed))
    return Split(parts, groups.chip_names, recipe.folds, None, _count(parts, NO_GROUP))


def _given(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    if recipe.folds:
        raise InvalidInput("a given split has no folds; leave --folds out")
    parts = split_as_given(plan, recipe.given)
    return Split(parts, [place.id for place in plan.places], None, None, _count(parts, NO_SPLIT))


_METHODS: dict[SplitMethod, Callable[[GroundPlan, SplitRecipe], Split]] = {
    SplitMethod.RANDOM: _random,
    SplitMethod.BLOCK: _block,
    SplitMethod.GROUP: _group,
    SplitMethod.DISTANCE: _distance,
    SplitMethod.YEAR: _year,
    SplitMethod.STRATIFIED: _stratified,
    SplitMethod.GIVEN: _given,
}


def _buffered(plan: GroundPlan, found: Split, recipe: SplitRecipe) -> Split:
    """Leave train chips near the others out; of folds each trains another, so all are kept apart."""
    parts = found.parts
    if recipe.folds:
        kept = leave_out_near(plan, parts, recipe.buffer, recipe.folds)
    else:
        kept = leave_out(plan, parts, parts == TRAIN, parts > TRAIN, recipe.buffer)
    near = int((kept < 0).sum() - (parts < 0).sum())
    reasons = _known({**found.left_out, NEAR: near})
    return Split(kept, found.groups, found.fold_count, found.block_size, reasons, found.facts)


def _require_groups(groups: Groups, recipe: SplitRecipe) -> None:
    wanted = np.count_nonzero(recipe.shares)
    if len(groups.names) < wanted:
        raise TooFewChips(
            f"{int(groups.sizes.sum())} chips form only {len(groups.names)} independent groups, fewer than the"
            f" {wanted} {'folds' if recipe.folds else 'splits'}; use smaller chips or blocks, or more scenes that do"
            " not overlap"
        )


def _check_sizes(found: Split, recipe: SplitRecipe) -> None:
    for number, name in enumerate(recipe.part_names):
        if _is_wanted(recipe, number) and not (found.parts == number).any():
            raise TooFewChips(
                f"the split {name!r} would have no chip: {len(found.parts)} chips in"
                f" {len(set(found.groups) - {''})} independent groups; use smaller chips or blocks, a smaller buffer,"
                " more scenes, or other proportions"
            )


def _is_wanted(recipe: SplitRecipe, part: int) -> bool:
    """Say whether a part must have chips; a list that was given may lack a split."""
    if recipe.method is SplitMethod.GIVEN:
        return False
    if recipe.years is not None:
        return recipe.part_names[part] in recipe.years.values()
    return bool(recipe.shares[part] > 0)


def _count(parts: Parts, reason: str) -> dict[str, int]:
    return _known({reason: int((parts < 0).sum())})


def _known(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}
