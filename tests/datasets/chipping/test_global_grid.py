"""Every point lies in one pixel of one chip, and neighbours share their edges to the last digit."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from terralab.datasets.chipping.global_grid import Cell, GlobalGrid
from terralab.datasets.chipping.zones import native_crs, short_name, utm_zone, wrapped_longitude

SIZES = st.sampled_from([1, 16, 112, 128, 224, 256])
STEPS = st.sampled_from([10.0, 30.0, 0.1, 1 / 3, 8.983152841195215e-05, 0.0002694945852358564, 7.7])
COORDINATES = st.floats(-2e7, 2e7, allow_nan=False)
CELLS = st.builds(Cell, st.integers(-10_000, 10_000), st.integers(-10_000, 10_000))


@given(x=COORDINATES, y=COORDINATES, step=STEPS, size=SIZES)
def test_a_point_lies_in_the_pixel_and_chip_that_are_named(x: float, y: float, step: float, size: int) -> None:
    grid = GlobalGrid("EPSG:32630", step, size)
    cell = grid.cell_of(x, y)
    row, column = grid.pixel_of(cell, x, y)
    assert 0 <= row < size
    assert 0 <= column < size
    assert grid.column_of(x) * step <= x < (grid.column_of(x) + 1) * step
    assert -(grid.row_of(y) + 1) * step < y <= -grid.row_of(y) * step
    left, bottom, right, top = grid.bounds(cell)
    assert left <= x < right
    assert bottom < y <= top


@given(cell=CELLS, step=STEPS, size=SIZES)
def test_neighbours_share_their_edge_to_the_last_digit(cell: Cell, step: float, size: int) -> None:
    grid = GlobalGrid("EPSG:32630", step, size)
    left, bottom, right, top = grid.bounds(cell)
    assert grid.bounds(Cell(cell.up, cell.right + 1))[0] == right
    assert grid.bounds(Cell(cell.up + 1, cell.right))[1] == top
    assert grid.bounds(Cell(cell.up, cell.right - 1))[2] == left
    assert grid.bounds(Cell(cell.up - 1, cell.right))[3] == bottom


@settings(max_examples=50)
@given(cell=CELLS, step=STEPS, size=st.sampled_from([1, 16, 112]), data=st.data())
def test_a_pixel_centre_leads_back_to_its_pixel(cell: Cell, step: float, size: int, data: st.DataObject) -> None:
    grid = GlobalGrid("EPSG:32630", step, size)
    row, column = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    a, _, c, _, e, f = grid.grid(cell).transform
    x, y = c + a * (column + 0.5), f + e * (row + 0.5)
    assert grid.cell_of(x, y) == cell
    assert grid.pixel_of(cell, x, y) == (row, column)


@given(left=st.integers(-500, 500), bottom=st.integers(-500, 500), width=st.integers(1, 90), height=st.integers(1, 90))
def test_the_cells_of_a_box_cover_it_once_and_no_more(left: int, bottom: int, width: int, height: int) -> None:
    grid = GlobalGrid("EPSG:32630", 10.0, 2)
    cells = list(grid.cells(10 * left, 10 * bottom, 10 * (left + width), 10 * (bottom + height)))
    assert len(cells) == len(set(cells))
    wanted = {grid.cell_of(10 * (left + i) + 5, 10 * (bottom + j) + 5) for i in range(width) for j in range(height)}
    assert set(cells) == wanted


def test_a_chip_that_ends_on_the_box_is_not_doubled() -> None:
    grid = GlobalGrid("EPSG:32630", 10.0, 16)
    assert list(grid.cells(160, 160, 320, 320)) == [Cell(1, 1)]


def test_names_tell_all_chips_apart() -> None:
    grid = GlobalGrid("EPSG:32630", 10.0, 16)
    cells = [Cell(up, right) for up in range(-3, 3) for right in range(-3, 3)]
    assert len({grid.name(cell) for cell in cells}) == len(cells)
    assert grid.name(Cell(1640, -2)) == "xm00002-y01640"


@pytest.mark.parametrize(
    ("longitude", "latitude", "code"),
    [
        (-0.5, 38, "EPSG:32630"),
        (15, -33, "EPSG:32733"),
        (179.99, -17, "EPSG:32760"),
        (180, -17, "EPSG:32701"),
        (-180, -17, "EPSG:32701"),
        (540, 10, "EPSG:32601"),
        (5, 60, "EPSG:32632"),
        (8.99, 78, "EPSG:32631"),
        (9, 78, "EPSG:32633"),
        (41.9, 78, "EPSG:32637"),
        (0, 84, "EPSG:5041"),
        (0, -80, "EPSG:32731"),
        (0, -80.1, "EPSG:5042"),
        (77, 90, "EPSG:5041"),
    ],
)
def test_a_place_has_one_coordinate_system(longitude: float, latitude: float, code: str) -> None:
    assert native_crs(longitude, latitude) == code
    assert CRS.from_user_input(code).is_projected


@given(longitude=st.floats(-1000, 1000), latitude=st.floats(-80, 83.99))
def test_a_place_is_near_the_middle_of_its_zone(longitude: float, latitude: float) -> None:
    zone = utm_zone(longitude, latitude)
    away = wrapped_longitude(longitude) - (6 * zone - 183)
    assert abs((away + 180) % 360 - 180) <= 9  # at most 3, but in the exceptions of Norway and Svalbard
    east, north = Transformer.from_crs("EPSG:4326", native_crs(longitude, latitude), always_xy=True).transform(
        wrapped_longitude(longitude), latitude
    )
    assert math.isfinite(east)
    assert 0 < east < 1_000_000
    assert north >= 0


def test_short_names() -> None:
    assert [short_name(code) for code in ("EPSG:32630", "EPSG:32733", "EPSG:5041", "EPSG:5042", "EPSG:3035")] == [
        "30n", "33s", "upsn", "upss", "e3035",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no EPSG code"):
        short_name("PROJCRS[...]")
