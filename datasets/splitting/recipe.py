"""How to split, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.extensions.chips import SPLITS

Parts = NDArray[np.int64]
"""The number of the part (split or fold) that each chip or group is in, -1 for none."""

TRAIN, VALIDATE, TEST = range(len(SPLITS))


class SplitMethod(StrEnum):
    """How chips are assigned."""

    BLOCK = "block"
    RANDOM = "random"
    GROUP = "group"
    DISTANCE = "distance"
    YEAR = "year"
    STRATIFIED = "stratified"
    GIVEN = "given"


@dataclass(frozen=True)
class SplitRecipe:
    """How to split.

    Attributes:
        method: `block` (blocks of neighbours), `random` (each chip alone; leaks), `group` (whole scenes or places),
            `distance` (at least `buffer` metres apart), `year`, `stratified` (equal class shares) or `given`.
        seed: of all random choices.
        proportions: wanted shares of train, validate and test, adding up to 1; `folds` replaces them.
        block_size: chips along a block's side; None to choose by the dataset's size.
        buffer: metres that chips of different splits are kept apart, by leaving chips out.
        folds: how many parts of equal size for a cross validation; None for one split.
        years: calendar year → split, for the method `year`; None to assign years in their order by the proportions.
        given: chip id → split, for the method `given`; None to take the split that each chip came with.
    """

    method: SplitMethod = SplitMethod.BLOCK
    seed: int = 0
    proportions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    block_size: int | None = None
    buffer: float = 0.0
    folds: int | None = None
    years: Mapping[int, str] | None = None
    given: Mapping[str, str] | None = None

    @property
    def shares(self) -> NDArray[np.float64]:
        """Return the wanted share of each part: the splits, or the folds."""
        return np.full(self.folds, 1 / self.folds) if self.folds else np.array(self.proportions)

    @property
    def part_names(self) -> list[str]:
        """Return the names of the parts."""
        return [f"fold {number}" for number in range(self.folds)] if self.folds else list(SPLITS)


@dataclass(frozen=True)
class Split:
    """An assignment of the chips of a plan, in their order.

    Attributes:
        parts: split (0 train, 1 validate, 2 test) of each chip, or its fold where there are folds; -1 left out.
        groups: name of the group that each chip was assigned with; empty where it was left out at the outset.
        fold_count: how many folds, None for one split.
        block_size: chips along a block's side, None for methods without blocks.
        left_out: chips that were left out, by reason.
        facts: what else the method decided, such as the years of each split.
    """

    parts: Parts
    groups: list[str]
    fold_count: int | None = None
    block_size: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> Parts:
        """Return the split of each chip; with folds, that of the first round."""
        return self.parts if self.fold_count is None else splits_of_parts(self.fold_count, 0)[self.parts]

    def name_of(self, chip: int) -> str | None:
        """Return the split of a chip by its place; None where it was left out."""
        number = int(self.splits[chip])
        return SPLITS[number] if number >= 0 else None

    def fold_of(self, chip: int) -> int | None:
        """Return the fold of a chip by its place; None without folds and where it was left out."""
        return None if self.fold_count is None or self.parts[chip] < 0 else int(self.parts[chip])

    def members(self, split: int) -> NDArray[np.int64]:
        """Return the places of the chips of a split (0, 1 or 2)."""
        return np.flatnonzero(self.splits == split)


def splits_of_parts(folds: int, turn: int) -> Parts:
    """Return the split of each fold in one round of a cross validation, and -1 at the end for chips in no fold.

    In round k, fold k is the test, fold k + 1 (the first after the last) validates, and all others train. Of two folds
    none validates.
    """
    found = np.full(folds + 1, TRAIN, np.int64)
    if folds > len(SPLITS) - 1:
        found[(turn + 1) % folds] = VALIDATE
    found[turn] = TEST
    found[-1] = -1
    return found
