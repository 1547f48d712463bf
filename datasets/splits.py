"""Splitting a dataset's chips into train, validate and test without leaks.

Neighbouring chips look alike, so a random split tests a model on what it has nearly seen. The default method therefore
assigns blocks of chips; blocks of different scenes that overlap on the ground go together. Among many seeded
assignments, then improved by swaps, the cheapest is taken: every class in every split, sizes near the wanted
proportions, class shares alike, few chips that touch a chip of another split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.datasets.chip_places import GroundPlan
from terralab.extensions.chips import SPLITS

_BLOCK_SIZES = ((4, 64), (2, 8))
"""(block size, least number of blocks) in the order of preference; else single chips."""

_CANDIDATE_STEPS, _MOST_CANDIDATES, _LEAST_CANDIDATES = 200_000, 256, 16
_SWAPS, _MOST_GROUPS_TO_SWAP = 3000, 1000
_COST_EMPTY, _COST_MISSING, _COST_SIZE, _COST_SHARES, _COST_TOUCHING = 1000.0, 10.0, 4.0, 2.0, 1.0

Assignment = NDArray[np.int64]


class SplitMethod(StrEnum):
    """How chips are assigned."""

    BLOCK = "block"
    RANDOM = "random"
    GROUP = "group"
    GIVEN = "given"


@dataclass(frozen=True)
class SplitRecipe:
    """How to split.

    Attributes:
        method: `block`, `random` (each chip alone; leaks), `group` (whole scenes) or `given`.
        seed: of all random choices.
        proportions: wanted shares of train, validate and test, adding up to 1.
        block_size: chips along a block's side; None to choose by the dataset's size.
        buffer: train chips nearer than this to validate or test chips are left out, metres.
        given: chip id → split, for the method `given`; chips that it does not name are left out.
    """

    method: SplitMethod = SplitMethod.BLOCK
    seed: int = 0
    proportions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    block_size: int | None = None
    buffer: float = 0.0
    given: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Split:
    """An assignment.

    Attributes:
        splits: per chip 0 train, 1 validate, 2 test, -1 left out.
        groups: per chip the name of the group that it was assigned with.
        block_size: that was used, None for methods without blocks.
    """

    splits: Assignment
    groups: list[str]
    block_size: int | None

    def name_of(self, chip: int) -> str | None:
        """Return the split of a chip by its place; None where it was left out."""
        place = int(self.splits[chip])
        return SPLITS[place] if place >= 0 else None

    def members(self, split: int) -> NDArray[np.int64]:
        """Return the places of the chips of a split (0, 1 or 2)."""
        return np.flatnonzero(self.splits == split)


def split_chips(plan: GroundPlan, recipe: SplitRecipe) -> Split:
    """Assign every chip of `plan`.

    Raises:
        TooFewChips: a split that should have chips would have none.
        InvalidInput: a given assignment names unknown chips or splits.
    """
    block_size = None
    if recipe.method is SplitMethod.GIVEN:
        groups, splits = [place.id for place in plan.places], _given(plan, recipe.given or {})
    elif recipe.method is SplitMethod.RANDOM:
        groups, splits = [place.id for place in plan.places], _random(len(plan.places), recipe)
    else:
        if recipe.method is SplitMethod.BLOCK:
            block_size = recipe.block_size or _choose_block_size(plan)
        groups = _merged(plan, _group_names(plan, block_size))
        splits = _assigned(plan, groups, recipe)
    if recipe.buffer > 0:
        others = np.flatnonzero(splits > 0)
        splits[plan.within(np.flatnonzero(splits == 0), others, recipe.buffer)] = -1
    _check_sizes(splits, groups, recipe)
    return Split(splits, groups, block_size)


def _check_sizes(splits: Assignment, groups: Sequence[str], recipe: SplitRecipe) -> None:
    for place, (name, share) in enumerate(zip(SPLITS, recipe.proportions, strict=True)):
        if share > 0 and not (splits == place).any():
            raise TooFewChips(
                f"the split {name!r} would have no chip: {len(splits)} chips in {len(set(groups))} independent groups;"
                " use smaller chips or blocks, a smaller buffer, more scenes, or other proportions"
            )


def _given(plan: GroundPlan, given: Mapping[str, str]) -> Assignment:
    known = {place.id for place in plan.places}
    strangers = sorted(set(given) - known)
    if strangers:
        raise InvalidInput(
            f"the given split names {len(strangers)} chips that the dataset lacks, such as {strangers[0]!r}"
        )
    wrong = sorted({name for name in given.values() if name not in SPLITS})
    if wrong:
        raise InvalidInput(f"the given split has {wrong[0]!r}; a split is {', '.join(SPLITS)}")
    return np.array([SPLITS.index(given[place.id]) if place.id in given else -1 for place in plan.places])


def _random(count: int, recipe: SplitRecipe) -> Assignment:
    order = np.random.default_rng(recipe.seed).permutation(count)
    splits = np.empty(count, np.int64)
    splits[order] = _runs(np.ones(count), recipe.proportions)
    return splits


def _choose_block_size(plan: GroundPlan) -> int:
    for size, least in _BLOCK_SIZES:
        if len(set(_group_names(plan, size))) >= least:
            return size
    return 1


def _group_names(plan: GroundPlan, block_size: int | None) -> list[str]:
    """Return each chip's block, or its scene where there are no blocks."""
    if block_size is None:
        return [place.scene for place in plan.places]
    return [
        f"{place.scene}-b{place.row // (place.size * block_size):03d}-{place.column // (place.size * block_size):03d}"
        for place in plan.places
    ]


def _merged(plan: GroundPlan, names: Sequence[str]) -> list[str]:
    """Give groups that overlap on the ground one name, the first of theirs."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    pairs, overlapping = plan.neighbours
    for one, other in pairs[overlapping]:
        low, high = sorted((root(names[one]), root(names[other])))
        parent[high] = low
    return [root(name) for name in names]


def _assigned(plan: GroundPlan, groups: Sequence[str], recipe: SplitRecipe) -> Assignment:
    """Return the cheapest assignment of groups that was found, per chip."""
    names, of_chip = np.unique(np.array(groups), return_inverse=True)
    search = _Search(plan, of_chip.ravel(), len(names), recipe)
    wanted = sum(share > 0 for share in recipe.proportions)
    if len(names) < wanted:
        raise TooFewChips(
            f"{len(groups)} chips form only {len(names)} independent groups, fewer than the {wanted} splits;"
            " use smaller chips or blocks, or more scenes that do not overlap"
        )
    return search.best()[of_chip.ravel()]


def _runs(weights: NDArray[np.float64], proportions: Sequence[float]) -> Assignment:
    """Cut a sequence into runs of the wanted shares of its weight, and number them."""
    middles = np.cumsum(weights) - weights / 2
    return np.searchsorted(np.cumsum(proportions)[:-1] * weights.sum(), middles, side="right")


class _Search:
    """Looks for a cheap assignment of groups to splits."""

    def __init__(self, plan: GroundPlan, of_chip: NDArray[np.int64], count: int, recipe: SplitRecipe) -> None:
        self.count, self.recipe = count, recipe
        self.proportions = np.array(recipe.proportions)
        self.sizes = np.bincount(of_chip, minlength=count).astype(np.float64)
        self.classes = _class_pixels(plan, of_chip, count)
        self.shares = self.classes.sum(axis=0) / max(self.classes.sum(), 1)
        self.spread = (self.classes > 0).sum(axis=0) >= np.count_nonzero(self.proportions)
        self.centers = np.stack(
            [np.bincount(of_chip, plan.centers[:, axis], count) / self.sizes for axis in (0, 1)], axis=1
        )
        self.edges, self.touching = _touching(plan, of_chip)

    def best(self) -> Assignment:
        """Return the split of each group."""
        tries = min(_MOST_CANDIDATES, max(_LEAST_CANDIDATES, _CANDIDATE_STEPS // self.count))
        candidates = [self._candidate(number) for number in range(tries)]
        start = min(candidates, key=self.cost)
        return self._improved(start) if self.count <= _MOST_GROUPS_TO_SWAP else start

    def cost(self, splits: Assignment) -> float:
        """Return how bad an assignment is; 0 is the best."""
        member = (splits[None, :] == np.arange(len(SPLITS))[:, None]).astype(np.float64)
        sizes, pixels = member @ self.sizes, member @ self.classes
        wanted = self.proportions > 0
        empty = np.count_nonzero(wanted & (sizes == 0)) + np.count_nonzero(~wanted & (sizes > 0))
        missing = np.count_nonzero(pixels[wanted][:, self.spread] == 0)
        size_error = float(np.abs(sizes / self.sizes.sum() - self.proportions).max())
        shares = pixels[wanted] / np.maximum(pixels[wanted].sum(axis=1, keepdims=True), 1)
        share_error = float(np.abs(shares - self.shares).sum(axis=1).mean()) / 2
        apart = splits[self.edges[:, 0]] != splits[self.edges[:, 1]]
        touching = float(self.touching[apart].sum() / max(self.touching.sum(), 1))
        return (
            _COST_EMPTY * empty
            + _COST_MISSING * missing
            + _COST_SIZE * size_error
            + _COST_SHARES * share_error
            + _COST_TOUCHING * touching
        )

    def _candidate(self, number: int) -> Assignment:
        """Assign runs of the groups, in random order or along a direction (which makes few neighbours differ)."""
        random = np.random.default_rng([self.recipe.seed, number])
        angle, jitter = random.uniform(0, 2 * np.pi), random.choice([0.0, 0.1, 0.3])
        along = self.centers @ np.array([np.cos(angle), np.sin(angle)])
        along = (along - along.mean()) / (along.std() or 1) + jitter * random.normal(size=self.count)
        order = random.permutation(self.count) if number % 2 else np.argsort(along, kind="stable")
        sequence = random.permutation(len(SPLITS))
        splits = np.empty(self.count, np.int64)
        splits[order] = sequence[_runs(self.sizes[order], self.proportions[sequence].tolist())]
        return splits

    def _improved(self, splits: Assignment) -> Assignment:
        """Swap the splits of two groups, or move one, as long as it helps."""
        random = np.random.default_rng([self.recipe.seed, _MOST_CANDIDATES])
        best, cost = splits.copy(), self.cost(splits)
        for _ in range(_SWAPS):
            one, other = random.integers(self.count, size=2)
            if best[one] == best[other]:
                continue
            tried = best.copy()
            tried[one] = best[other]
            if random.random() < 0.7:
                tried[other] = best[one]
            found = self.cost(tried)
            if found < cost:
                best, cost = tried, found
        return best


def _class_pixels(plan: GroundPlan, of_chip: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return labelled pixels (groups, classes)."""
    names = list(plan.places[0].class_counts)
    pixels = np.array([[place.class_counts[name] for name in names] for place in plan.places], np.float64)
    return np.stack([np.bincount(of_chip, pixels[:, place], count) for place in range(len(names))], axis=1)


def _touching(plan: GroundPlan, of_chip: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of different groups (n, 2) and how many pairs of their chips touch."""
    pairs = np.sort(of_chip[plan.neighbours[0]], axis=1)
    different = pairs[pairs[:, 0] != pairs[:, 1]].reshape(-1, 2)
    edges, touching = np.unique(different, axis=0, return_counts=True)
    return edges, touching.astype(np.float64)
