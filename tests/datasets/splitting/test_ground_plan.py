"""Distances and neighbours of chips, against the slow way: outlines point by point, measured on the ellipsoid."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from terralab.datasets.splitting.chip_place import ChipPlace
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.extensions.raster import Grid
from tests.datasets.splitting.chip_scenes import DEGREE_PIXEL, SIZE, place, scene

GEOD = Geod(ellps="WGS84")
CORNERS = {
    "utm 30 and 31": ("EPSG:32630", (762_000.0, 4_203_000.0)),
    "south": ("EPSG:32733", (300_000.0, 8_000_000.0)),
    "180 degrees": ("EPSG:4326", (179.99, 10.0)),
    "north pole": ("EPSG:3413", (-300.0, 300.0)),
    "far north": ("EPSG:4326", (20.0, 78.0)),
}


def slow_distance(one: ChipPlace, other: ChipPlace, points: int = 41) -> float:
    """Return the least geodesic distance of points along two outlines, metres."""
    outlines = []
    for chip in (one, other):
        assert chip.grid is not None
        corners = np.array([*chip.corners(), chip.corners()[0]])
        steps = np.linspace(0, 1, points)[:, None]
        line = np.concatenate([start + steps * (end - start) for start, end in itertools.pairwise(corners)])
        lonlat = Transformer.from_crs(chip.grid.crs, "EPSG:4326", always_xy=True)
        outlines.append(np.stack(lonlat.transform(line[:, 0], line[:, 1]), axis=1))
    left, right = np.repeat(outlines[0], len(outlines[1]), axis=0), np.tile(outlines[1], (len(outlines[0]), 1))
    return float(GEOD.inv(left[:, 0], left[:, 1], right[:, 0], right[:, 1])[2].min())


@settings(deadline=None, max_examples=40)
@given(
    where=st.sampled_from(sorted(CORNERS)),
    east=st.floats(-40, 40).filter(lambda value: abs(value) > 1.5),
    north=st.floats(-30, 30),
)
def test_distance_is_the_geodesic_one_everywhere(where: str, east: float, north: float) -> None:
    crs, (left, top) = CORNERS[where]
    pixel = DEGREE_PIXEL if crs == "EPSG:4326" else 10.0
    one = place("a", left, top, crs, pixel)
    moved = left + east * SIZE * pixel
    if crs == "EPSG:4326" and moved > 180:
        moved -= 360  # the neighbour beyond 180° says so in its own coordinates
    other = place("b", moved, top + north * SIZE * pixel, crs, pixel)
    plan = GroundPlan([one, other])
    found = plan.distance(np.array([0]), np.array([1]))
    slow = slow_distance(one, other)
    assert found == pytest.approx(slow, rel=2e-3, abs=1)
    assert found <= slow + 0.5
    sites = np.array([0]), np.array([1])
    assert len(plan.within(*sites, found * 1.001 + 1)) == 1
    assert len(plan.within(*sites, found * 0.999 - 1)) == 0


def test_distance_between_zones() -> None:
    middle = Transformer.from_crs("EPSG:32630", "EPSG:32631", always_xy=True).transform(770_000, 4_203_000)
    one, other = place("a", 760_000, 4_203_000), place("b", *middle, "EPSG:32631")
    found = GroundPlan([one, other]).distance(np.array([0]), np.array([1]))
    assert found == pytest.approx(slow_distance(one, other), abs=0.5)


def test_known_distance() -> None:
    plan = GroundPlan([*scene("a", 1, 1), *scene("b", 1, 1, (500_000 + SIZE * 10 + 3000, 4_200_000))])
    assert plan.distance(np.array([0]), np.array([1])) == pytest.approx(3000 / 0.9996, rel=1e-4)


@pytest.mark.parametrize("where", ["EPSG:32630", "EPSG:4326", "180 degrees", "rotated"])
def test_neighbours_of_a_grid_are_its_edges_and_corners(where: str) -> None:
    if where == "rotated":
        places = [_turned(chip) for chip in scene("a", 4, 5)]
    elif where == "180 degrees":
        side = SIZE * DEGREE_PIXEL
        places = [
            place(f"{row}-{column}", 180 + column * side if column < 0 else -180 + column * side, 5 - row * side,
                  "EPSG:4326", DEGREE_PIXEL)
            for row in range(4) for column in range(-2, 3)
        ]  # fmt: skip
    else:
        places = scene("a", 4, 5, (-0.78, 38.1) if where == "EPSG:4326" else (500_000, 4_200_000), where)
    pairs, overlapping = GroundPlan(places).neighbours
    assert len(pairs) == 4 * 4 + 5 * 3 + 2 * 4 * 3
    assert not overlapping.any()


def _turned(chip: ChipPlace) -> ChipPlace:
    """Return a chip on a grid that is turned by 30°."""
    assert chip.grid is not None
    a, _, left, _, e, top = chip.grid.transform
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    x, y = left - 500_000, top - 4_200_000
    left, top = 500_000 + x * cos - y * sin, 4_200_000 + x * sin + y * cos
    turned = Grid(chip.grid.crs, (a * cos, -e * sin, left, a * sin, e * cos, top), (SIZE, SIZE))
    return ChipPlace(chip.id, chip.scenes, turned, chip.extent)


def test_overlap_across_zones_is_seen() -> None:
    to_31 = Transformer.from_crs("EPSG:32630", "EPSG:32631", always_xy=True)
    one = place("a", 760_000, 4_203_000)
    near = place("b", *to_31.transform(760_320, 4_203_000), "EPSG:32631")
    far = place("c", *to_31.transform(770_000, 4_203_000), "EPSG:32631")
    pairs, overlapping = GroundPlan([one, near, far]).neighbours
    assert pairs.tolist() == [[0, 1]]
    assert overlapping.tolist() == [True]


def test_padding_beyond_the_scene_does_not_overlap_its_neighbour() -> None:
    plan = GroundPlan([place("a", 500_000, 4_200_000, extent=(SIZE, 40)), place("b", 500_400, 4_200_000)])
    pairs, overlapping = plan.neighbours
    assert pairs.tolist() == [[0, 1]]
    assert overlapping.tolist() == [False]


def test_chips_without_ground_have_no_place() -> None:
    lost = ChipPlace("x", ("x",), None)
    beyond = place("y", 9e9, 9e9)
    plan = GroundPlan([lost, beyond, *scene("a", 2, 2)])
    assert [chip.id for chip, placed in zip(plan.places, plan.placed, strict=True) if not placed] == ["x", "y"]
    assert len(plan.neighbours[0]) == 6
    assert not GroundPlan([lost]).placed.any()


def test_chips_of_one_grid_are_one_site() -> None:
    plan = GroundPlan([*scene("a", 3, 3), *scene("b", 3, 3)])
    assert len(plan.middles) == 9
    np.testing.assert_array_equal(plan.site_of[:9], plan.site_of[9:])


def test_one_huge_chip_among_small_ones() -> None:
    huge = place("z", 400_000, 4_400_000, pixel=5000.0)
    plan = GroundPlan([*scene("a", 5, 5), huge])
    site = plan.site_of[-1]
    small = plan.site_of[:-1]
    assert plan.distance(small, np.array([site])) == 0
    assert len(plan.within(small, np.array([site]), 1.0)) == 25
