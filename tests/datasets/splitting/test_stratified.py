"""Stratified, by year and given: the shares of classes, what goes where in time, and lists from elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.datasets.splitting.given import read_given
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.recipe import SplitMethod, SplitRecipe
from terralab.datasets.splitting.report import split_report
from terralab.datasets.splitting.split_chips import split_chips
from tests.datasets.splitting.chip_scenes import place, scene


def labelled(labels: list[dict[str, int]]) -> GroundPlan:
    """Return chips far apart with these class counts."""
    return GroundPlan(
        [place(f"c{n:04d}", 300_000 + 1000 * n, 4e6, class_counts=counts) for n, counts in enumerate(labels)]
    )


def table(plan: GroundPlan, parts: np.ndarray, names: list[str], count: int) -> np.ndarray:
    found = np.zeros((len(names), count))
    for chip, part in zip(plan.places, parts, strict=True):
        found[:, part] += [chip.class_counts.get(name, 0) for name in names]
    return found


@settings(deadline=None, max_examples=40)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    shares=st.sampled_from([(0.6, 0.2, 0.2), (0.7, 0.15, 0.15), (0.5, 0.0, 0.5)]),
    folds=st.sampled_from([None, 5]),
    seed=st.integers(0, 99),
)
def test_one_label_a_chip_is_balanced_within_one_chip(
    counts: list[int], shares: tuple[float, float, float], folds: int | None, seed: int
) -> None:
    counts[0] += 12
    names = [f"k{number}" for number in range(len(counts))]
    plan = labelled([{name: 1} for name, count in zip(names, counts, strict=True) for _ in range(count)])
    recipe = SplitRecipe(SplitMethod.STRATIFIED, seed, shares, folds=folds)
    parts = split_chips(plan, recipe).parts
    found = table(plan, parts, names, len(recipe.shares))
    assert (np.abs(found - np.array(counts)[:, None] * recipe.shares) < 1 + 1e-6).all()
    assert (np.abs(found.sum(axis=0) - sum(counts) * recipe.shares) < 1 + 1e-6).all()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999))
def test_several_labels_a_chip_are_balanced(seed: int) -> None:
    random = np.random.default_rng(seed)
    present = random.random((300, 6)) < np.array([0.6, 0.4, 0.2, 0.1, 0.05, 0.03])
    names = list("abcdef")
    plan = labelled([{name: 1 for name, own in zip(names, row, strict=True) if own} for row in present])
    recipe = SplitRecipe(SplitMethod.STRATIFIED, seed)
    parts = split_chips(plan, recipe).parts
    wanted = present.sum(axis=0)[:, None] * recipe.shares
    off = np.abs(table(plan, parts, names, 3) - wanted)
    assert off.max() <= 2
    shuffled = split_chips(plan, SplitRecipe(SplitMethod.RANDOM, seed)).parts
    assert off.sum() <= np.abs(table(plan, shuffled, names, 3) - wanted).sum()
    assert np.abs(np.bincount(parts, minlength=3) - 300 * recipe.shares).max() <= 1


def test_pixels_of_several_classes_are_balanced() -> None:
    random = np.random.default_rng(5)
    water = (random.random(400) < 0.3) * random.integers(1, 4000, 400)
    plan = labelled([{"land": 4096 - int(pixels), "water": int(pixels)} for pixels in water])
    recipe = SplitRecipe(SplitMethod.STRATIFIED)
    report = split_report(plan, split_chips(plan, recipe), recipe)
    shares = [report["class_share"][name]["water"] for name in ("train", "validate", "test")]
    assert max(shares) - min(shares) < 0.002
    assert report["chips"] == {"train": 240, "validate": 80, "test": 80}


def years(chips: int, per_year: list[int]) -> GroundPlan:
    of_chip = [2015 + number for number, count in enumerate(per_year) for _ in range(count)]
    return GroundPlan([place(f"c{n:04d}", 3e5 + 1000 * n, 4e6, years=(of_chip[n],)) for n in range(chips)])


@settings(deadline=None, max_examples=40)
@given(per_year=st.lists(st.integers(1, 30), min_size=3, max_size=9))
def test_years_go_in_their_order(per_year: list[int]) -> None:
    plan = years(sum(per_year), per_year)
    found = split_chips(plan, SplitRecipe(SplitMethod.YEAR))
    assert (np.diff(found.parts) >= 0).all()
    assert set(found.parts.tolist()) == {0, 1, 2}
    of_year = {chip.years[0]: int(part) for chip, part in zip(plan.places, found.parts, strict=True)}
    assert [year for own in found.facts["years"].values() for year in own] == sorted(of_year)


def test_years_are_within_one_group_where_there_are_enough() -> None:
    per_year = [7, 5, 6, 8, 5, 7, 6, 4, 9, 5]
    plan = years(sum(per_year), per_year)
    sizes = np.bincount(split_chips(plan, SplitRecipe(SplitMethod.YEAR)).parts, minlength=3)
    assert (np.abs(sizes - np.array([0.6, 0.2, 0.2]) * sum(per_year)) <= max(per_year)).all()


def test_years_as_told_and_chips_between_them() -> None:
    plan = years(30, [10, 10, 10])
    chips = [replace(chip, years=(2015, 2016)) if n == 0 else chip for n, chip in enumerate(plan.places)]
    chips[1] = replace(chips[1], years=(2016, 2017))
    chips[2] = replace(chips[2], years=())
    told = {2015: "test", 2016: "test", 2017: "train"}
    found = split_chips(GroundPlan(chips), SplitRecipe(SplitMethod.YEAR, years=told))
    assert found.splits.tolist() == [2, -1, -1, *[2] * 17, *[0] * 10]
    assert found.left_out == {"years of several parts": 2}
    assert found.facts["years"] == {"train": [2017], "validate": [], "test": [2015, 2016]}


def test_too_few_years_are_refused() -> None:
    with pytest.raises(TooFewChips, match="2 years"):
        split_chips(years(4, [2, 2]), SplitRecipe(SplitMethod.YEAR))


def test_a_split_may_come_with_the_chips() -> None:
    names = ("training", "val", "test", None)
    plan = GroundPlan([replace(chip, given=names[n % 4]) for n, chip in enumerate(scene("a", 4, 4))])
    found = split_chips(plan, SplitRecipe(SplitMethod.GIVEN))
    assert found.splits.tolist() == [0, 1, 2, -1] * 4
    assert found.left_out == {"no split given": 4}
    with pytest.raises(InvalidInput, match="no chip came with a split"):
        split_chips(GroundPlan(scene("a", 2, 2)), SplitRecipe(SplitMethod.GIVEN))


def test_lists_of_splits_are_read_from_json_and_csv() -> None:
    assert read_given(b'{"a": "train"}', "x") == {"a": "train"}
    assert read_given("\ufeffid,split,group\na,train,g\nb,,g\nc,test,g\n".encode(), "x") == {"a": "train", "c": "test"}
    for wrong in (b'["a"]', b"{", b"a,train\n", b"\xff\xfe", b"", b"id,split\na,train\na,test\n", b'{"a": 1}'):
        with pytest.raises(InvalidInput, match="x"):
            read_given(wrong, "x")
