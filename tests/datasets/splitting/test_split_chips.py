"""Splits: every chip once, groups whole, proportions within one group, and the same again by seed in any order."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.datasets.splitting.chip_place import ChipPlace
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.recipe import Split, SplitMethod, SplitRecipe, splits_of_parts
from terralab.datasets.splitting.report import split_report
from terralab.datasets.splitting.split_chips import split_chips
from tests.datasets.splitting.chip_scenes import place, scene

METHODS = [method for method in SplitMethod if method is not SplitMethod.GIVEN]


def assigned(plan: GroundPlan, recipe: SplitRecipe) -> dict[str, int]:
    parts = split_chips(plan, recipe).parts
    return {chip.id: int(part) for chip, part in zip(plan.places, parts, strict=True)}


def scattered(count: int, seed: int) -> list[ChipPlace]:
    """Return chips of clusters all over the world, with classes, groups and years; some at the same place."""
    random = np.random.default_rng(seed)
    homes = np.stack([random.uniform(-180, 180, 8), random.uniform(-70, 75, 8)], axis=1)
    chips = []
    for number in range(count):
        home = int(random.integers(len(homes)))
        lon, lat = homes[home] + np.round(random.uniform(-0.3, 0.3, 2), 2)
        counts = {name: int(random.integers(0, 2) * random.integers(1, 4000)) for name in ("a", "b", "c")}
        chips.append(
            place(
                f"c{number:04d}", (lon + 180) % 360 - 180, lat, "EPSG:4326", 1e-4, group=f"home {home}",
                class_counts=counts, years=(2015 + int(random.integers(6)),),
            )
        )  # fmt: skip
    return chips


def within_one_group(plan: GroundPlan, found: Split, shares: np.ndarray) -> bool:
    """Say whether every part has its share of the chips that were assigned, within the largest group."""
    chosen = found.parts >= 0
    sizes = np.bincount(found.parts[chosen], minlength=len(shares))
    largest = max(np.unique(np.array(found.groups)[chosen], return_counts=True)[1])
    return bool((np.abs(sizes - shares * chosen.sum()) <= largest + 1e-6).all())


@settings(deadline=None, max_examples=20)
@given(
    method=st.sampled_from([method for method in METHODS if method is not SplitMethod.YEAR]),
    count=st.integers(60, 150),
    seed=st.integers(0, 1000),
    folds=st.sampled_from([None, 4]),
    shares=st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (0.34, 0.33, 0.33)]),
)
def test_proportions_are_exact_within_one_group(
    method: SplitMethod, count: int, seed: int, folds: int | None, shares: tuple[float, float, float]
) -> None:
    plan = GroundPlan(scattered(count, seed))
    recipe = SplitRecipe(method, seed, shares, buffer=3000.0 * (method is SplitMethod.DISTANCE), folds=folds)
    found = split_chips(plan, recipe)
    assert within_one_group(plan, found, recipe.shares)
    assert sum(found.left_out.values()) == (found.parts < 0).sum()


@settings(deadline=None, max_examples=14)
@given(method=st.sampled_from(METHODS), seed=st.integers(0, 50), order=st.randoms(use_true_random=False))
def test_the_order_of_the_chips_changes_nothing(method: SplitMethod, seed: int, order: object) -> None:
    chips = scattered(80, 3)
    shuffled = list(chips)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    recipe = SplitRecipe(method, seed, buffer=2000.0 * (method is SplitMethod.DISTANCE))
    assert assigned(GroundPlan(chips), recipe) == assigned(GroundPlan(shuffled), recipe)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), metres=st.sampled_from([300.0, 2000.0, 40_000.0]), folds=st.sampled_from([None, 3]))
def test_distance_keeps_all_parts_apart(seed: int, metres: float, folds: int | None) -> None:
    plan = GroundPlan(scattered(120, seed))
    found = split_chips(plan, SplitRecipe(SplitMethod.DISTANCE, seed, buffer=metres, folds=folds))
    for one in range(3):
        for other in range(one):
            sites = [np.unique(plan.site_of[found.parts == part]) for part in (one, other)]
            distance = plan.distance(*sites)
            assert distance is not None
            assert distance >= metres


@pytest.mark.parametrize("origin", ["utm", "180 degrees"])
def test_distance_cuts_one_large_area(origin: str) -> None:
    places = scene("a", 24, 24)
    if origin == "180 degrees":
        side = 64 * 1e-4
        places = [
            place(
                f"{row:02d}-{column:02d}", (179.95 + column * side + 180) % 360 - 180, 2 - row * side, "EPSG:4326", 1e-4
            )
            for row in range(24)
            for column in range(24)
        ]
    plan = GroundPlan(places)
    recipe = SplitRecipe(SplitMethod.DISTANCE, buffer=1000.0)
    found = split_chips(plan, recipe)
    report = split_report(plan, found, recipe)
    assert all(metres >= 1000 for metres in report["minimum_distance_m"].values())
    assert within_one_group(plan, found, recipe.shares)
    assert (found.parts >= 0).sum() > 0.5 * len(places)
    assert report["left_out"] == sum(report["left_out_by"].values()) > 0
    assert not report["leaks"]


def test_distance_leaves_out_and_counts_chips_without_a_place() -> None:
    plan = GroundPlan([*scene("a", 20, 20), ChipPlace("lost", ("x",), None)])
    recipe = SplitRecipe(SplitMethod.DISTANCE, buffer=500.0)
    report = split_report(plan, split_chips(plan, recipe), recipe)
    assert report["left_out_by"]["no place"] == report["without_place"] == 1
    with pytest.raises(InvalidInput, match="no chip has a place"):
        split_chips(GroundPlan([ChipPlace("lost", ("x",), None)]), recipe)
    with pytest.raises(TooFewChips, match="buffer"):
        split_chips(GroundPlan(scene("a", 8, 8)), SplitRecipe(SplitMethod.DISTANCE, buffer=100_000.0))


@settings(deadline=None, max_examples=8)
@given(
    rows=st.integers(6, 12),
    columns=st.integers(6, 12),
    seed=st.integers(0, 50),
    crs=st.sampled_from(["EPSG:32630", "EPSG:4326"]),
)
def test_block_splits_hold_what_they_promise(rows: int, columns: int, seed: int, crs: str) -> None:
    origin = (500_000.0, 4_200_000.0) if crs != "EPSG:4326" else (-0.78, 38.1)
    plan = GroundPlan(scene("a", rows, columns, origin, crs, seed))
    recipe = SplitRecipe(seed=seed)
    found = split_chips(plan, recipe)
    assert (found.splits >= 0).all()
    of_group: dict[str, set[int]] = {}
    for group, split in zip(found.groups, found.splits, strict=True):
        of_group.setdefault(group, set()).add(int(split))
    assert all(len(splits) == 1 for splits in of_group.values())
    report = split_report(plan, found, recipe)
    for name, share in zip(("train", "validate", "test"), recipe.proportions, strict=True):
        assert abs(report["chips"][name] / len(plan.places) - share) <= 0.08
        assert report["class_share"][name]["water"] > 0
    assert not report["leaks"]
    random_report = split_report(plan, split_chips(plan, SplitRecipe(SplitMethod.RANDOM, seed)), recipe)
    assert sum(report["touching_pairs"].values()) < sum(random_report["touching_pairs"].values())


def test_same_place_at_two_dates_stays_together() -> None:
    plan = GroundPlan([*scene("a", 8, 8), *scene("b", 8, 8, seed=1)])
    found = split_chips(plan, SplitRecipe())
    half = len(plan.places) // 2
    np.testing.assert_array_equal(found.splits[:half], found.splits[half:])
    assert not split_report(plan, found, SplitRecipe())["leaks"]
    recipe = SplitRecipe(SplitMethod.RANDOM)
    report = split_report(plan, split_chips(plan, recipe), recipe)
    assert report["leaks"]
    assert any("overlap" in warning for warning in report["warnings"])


def test_scenes_of_two_zones_that_show_the_same_ground_stay_together() -> None:
    # The meridian 0° is the border of zones 30 and 31; the second scene begins in the middle of the first.
    middle = Transformer.from_crs("EPSG:32630", "EPSG:32631", always_xy=True).transform(762_000, 4_203_000)
    plan = GroundPlan([
        *scene("a", 6, 6, (760_000, 4_205_000), "EPSG:32630"),
        *scene("b", 6, 6, middle, "EPSG:32631"),
        *scene("c", 6, 6, (500_000, 4_204_000), "EPSG:32630"),
        *scene("d", 6, 6, (600_000, 4_204_000), "EPSG:32630"),
    ])  # fmt: skip
    recipe = SplitRecipe(SplitMethod.GROUP)
    found = split_chips(plan, recipe)
    assert len(set(found.splits[:72].tolist())) == 1
    assert not split_report(plan, found, recipe)["leaks"]


def test_equal_files_and_marked_duplicates_stay_together() -> None:
    chips = [
        replace(chip, checksum="same" if number in (3, 140) else f"{number}")
        for number, chip in enumerate(scene("a", 12, 12))
    ]
    chips[50] = replace(chips[50], duplicate_of=(chips[100].id,))
    plan = GroundPlan(chips)
    found = split_chips(plan, SplitRecipe(block_size=1))
    assert found.splits[3] == found.splits[140]
    assert found.splits[50] == found.splits[100]
    apart = {chip.id: ("train", "test")[number in (100, 140)] for number, chip in enumerate(chips)}
    recipe = SplitRecipe(SplitMethod.GIVEN, given=apart)
    report = split_report(plan, split_chips(plan, recipe), recipe)
    assert report["duplicate_pairs"] == {"train_validate": 0, "train_test": 2, "validate_test": 0}
    assert report["leaks"]


def test_buffer_keeps_train_away() -> None:
    plan = GroundPlan(scene("a", 16, 16))
    recipe = SplitRecipe(buffer=500.0)
    report = split_report(plan, split_chips(plan, recipe), recipe)
    assert report["minimum_distance_m"]["train_test"] >= 500
    assert report["minimum_distance_m"]["train_validate"] >= 500
    assert report["left_out"] == report["left_out_by"]["near another split"] > 0


def test_groups_are_values_of_a_property() -> None:
    plan = GroundPlan(
        [replace(chip, group=None if n % 50 == 0 else chip.group) for n, chip in enumerate(scattered(200, 1))]
    )
    recipe = SplitRecipe(SplitMethod.GROUP, 1)
    found = split_chips(plan, recipe)
    assert found.left_out == {"no group": 4}
    of_group: dict[str | None, set[int]] = {}
    for chip, part in zip(plan.places, found.parts, strict=True):
        of_group.setdefault(chip.group, set()).add(int(part))
    assert all(len(parts) == 1 for parts in of_group.values())
    assert of_group[None] == {-1}
    with pytest.raises(InvalidInput, match="property to group by"):
        split_chips(GroundPlan([replace(chip, group=None) for chip in scene("a", 2, 2)]), recipe)


def test_folds_take_turns() -> None:
    plan = GroundPlan(scene("a", 16, 16))
    recipe = SplitRecipe(folds=5, block_size=2)
    found = split_chips(plan, recipe)
    report = split_report(plan, found, recipe)
    assert [own["fold"] for own in report["folds"]] == [0, 1, 2, 3, 4]
    for number, own in enumerate(report["folds"]):
        sizes = {name: own["chips"][name] for name in ("train", "validate", "test")}
        assert sizes["test"] == (found.parts == number).sum()
        assert sizes["validate"] == (found.parts == (number + 1) % 5).sum()
        assert sum(sizes.values()) == 256
        turn = splits_of_parts(5, number)[found.parts]
        sites = [plan.site_of[turn == split] for split in (0, 2)]
        assert own["minimum_distance_m"]["train_test"] == pytest.approx(plan.distance(*sites), abs=0.01)
    assert report["chips"] == report["folds"][0]["chips"]
    assert {found.name_of(chip) for chip in range(256)} == {"train", "validate", "test"}
    two = split_report(plan, split_chips(plan, SplitRecipe(folds=2)), SplitRecipe(folds=2))
    assert two["chips"]["validate"] == 0
    assert two["minimum_distance_m"]["train_validate"] is None


@pytest.mark.parametrize("method", [SplitMethod.BLOCK, SplitMethod.RANDOM, SplitMethod.GROUP, SplitMethod.STRATIFIED])
def test_too_few_chips_are_refused(method: SplitMethod) -> None:
    with pytest.raises(TooFewChips, match="smaller"):
        split_chips(GroundPlan(scene("a", 1, 2)), SplitRecipe(method))


def test_chips_without_classes_or_windows_are_split() -> None:
    bare = [replace(chip, class_counts={}, window=None) for chip in scene("a", 16, 16)]
    plan = GroundPlan(bare)
    report = split_report(plan, split_chips(plan, SplitRecipe()), SplitRecipe())
    assert report["class_share"]["train"] == {}
    assert sum(report["touching_pairs"].values()) < 200
    with pytest.raises(InvalidInput, match="class counts"):
        split_chips(plan, SplitRecipe(SplitMethod.STRATIFIED))


def test_ten_thousand_chips_are_split_quickly() -> None:
    plan = GroundPlan(scene("a", 100, 100))
    found = split_chips(plan, SplitRecipe())
    assert found.block_size == 4
    assert not split_report(plan, found, SplitRecipe())["leaks"]


def test_long_time_series_cost_no_more_than_one_date() -> None:
    plan = GroundPlan([chip for date in range(60) for chip in scene(f"d{date}", 6, 6)])
    report = split_report(plan, split_chips(plan, SplitRecipe(SplitMethod.RANDOM)), SplitRecipe(SplitMethod.RANDOM))
    counts = report["chips"]
    same = sum(report["overlapping_pairs"].values())
    assert len(plan.neighbours[0]) == 6 * 5 * 2 + 2 * 25
    assert 0 < same < sum(counts.values()) * 60
    assert report["leaks"]
