"""Splits: every chip once, blocks whole, no overlap, every class where it can be, and the same again by seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from terralab.catalog.errors import TooFewChips
from terralab.datasets.chip_places import ChipPlace, GroundPlan
from terralab.datasets.split_report import split_report
from terralab.datasets.splits import SplitMethod, SplitRecipe, split_chips
from terralab.extensions.raster import Grid

SIZE = 64
DEGREE_PIXEL = 8.983152841195215e-05


def scene(
    name: str,
    rows: int,
    columns: int,
    origin: tuple[float, float] = (500_000, 4_200_000),
    crs: str = "EPSG:32630",
    seed: int = 0,
) -> list[ChipPlace]:
    """Return a scene of chips, the upper left third of them water."""
    random = np.random.default_rng(seed)
    pixel = DEGREE_PIXEL if crs == "EPSG:4326" else 10.0
    places = []
    for row in range(rows):
        for column in range(columns):
            transform = (pixel, 0.0, origin[0] + column * SIZE * pixel, 0.0, -pixel, origin[1] - row * SIZE * pixel)
            water = int(random.integers(0, 900)) if row + column < (rows + columns) / 3 else 0
            counts = {"land": SIZE * SIZE - water, "water": water}
            grid = Grid(crs, transform, (SIZE, SIZE))
            places.append(
                ChipPlace(f"{name}-{row}-{column}", name, row * SIZE, column * SIZE, SIZE, grid, (SIZE, SIZE), counts)
            )
    return places


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
    found, again = split_chips(plan, recipe), split_chips(plan, recipe)
    np.testing.assert_array_equal(found.splits, again.splits)
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
    assert len({found.splits[place] for place in range(72)}) == 1
    assert not split_report(plan, found, recipe)["leaks"]


def test_distance_is_that_on_the_ground() -> None:
    left, right = scene("a", 1, 1), scene("b", 1, 1, (500_000 + SIZE * 10 + 3000, 4_200_000))
    plan = GroundPlan([*left, *right])
    metres = plan.distance(np.array([0]), np.array([1]))
    assert metres == pytest.approx(3000 / 0.9996, rel=1e-4)
    degrees = GroundPlan([*scene("a", 1, 1, (10, 60), "EPSG:4326"), *scene("b", 1, 1, (10.1, 60), "EPSG:4326")])
    assert degrees.distance(np.array([0]), np.array([1])) == pytest.approx(
        5578.0 - SIZE * DEGREE_PIXEL * 55_800, rel=2e-3
    )


def test_buffer_keeps_train_away() -> None:
    plan = GroundPlan(scene("a", 16, 16))
    recipe = SplitRecipe(buffer=500.0)
    report = split_report(plan, split_chips(plan, recipe), recipe)
    assert report["minimum_distance_m"]["train_test"] >= 500
    assert report["minimum_distance_m"]["train_validate"] >= 500
    assert report["left_out"] > 0


def test_padding_beyond_the_scene_does_not_overlap_its_neighbour() -> None:
    grid = Grid("EPSG:32630", (10, 0, 500_000, 0, -10, 4_200_000), (SIZE, SIZE))
    east = Grid("EPSG:32630", (10, 0, 500_400, 0, -10, 4_200_000), (SIZE, SIZE))
    counts = {"land": 1}
    plan = GroundPlan(
        [
            ChipPlace("a", "a", 0, 0, SIZE, grid, (SIZE, 40), counts),
            ChipPlace("b", "b", 0, 0, SIZE, east, (SIZE, SIZE), counts),
        ]
    )
    pairs, overlapping = plan.neighbours
    assert pairs.tolist() == [[0, 1]]
    assert overlapping.tolist() == [False]


@pytest.mark.parametrize("method", [SplitMethod.BLOCK, SplitMethod.RANDOM, SplitMethod.GROUP])
def test_too_few_chips_are_refused(method: SplitMethod) -> None:
    with pytest.raises(TooFewChips, match="smaller"):
        split_chips(GroundPlan(scene("a", 1, 2)), SplitRecipe(method))


def test_ten_thousand_chips_are_split_quickly() -> None:
    plan = GroundPlan(scene("a", 100, 100))
    found = split_chips(plan, SplitRecipe())
    assert found.block_size == 4
    assert not split_report(plan, found, SplitRecipe())["leaks"]
