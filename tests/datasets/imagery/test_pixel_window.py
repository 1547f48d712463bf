"""Windows: all pixels that a box touches, and no others; nearest pixels onto a finer grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from terralab.datasets.imagery.pixel_window import PixelWindow, nearest, window_of
from terralab.extensions.raster import Grid

UTM = Grid("EPSG:32632", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_600_000.0), (400, 300))
DEGREES = Grid("EPSG:4326", (0.5, 0.0, 10.0, 0.0, -0.5, 20.0), (10, 12))


def test_a_box_on_pixel_edges_takes_no_pixel_more() -> None:
    assert window_of(DEGREES, (11, 17, 13, 19)) == PixelWindow(2, 2, 4, 4)
    assert window_of(DEGREES, (11.01, 17, 13, 19)) == PixelWindow(2, 2, 4, 4)
    assert window_of(DEGREES, (10.9, 17, 13, 19)) == PixelWindow(2, 1, 4, 5)


def test_a_box_beyond_the_grid_is_cut_and_one_beside_it_has_none() -> None:
    assert window_of(DEGREES, (0, 0, 10.2, 90)) == PixelWindow(0, 0, 10, 1)
    assert window_of(DEGREES, (16, 0, 20, 90)) is None
    assert window_of(DEGREES, (-20, 0, 10, 90)) is None


@settings(deadline=None)
@given(st.integers(0, 289), st.integers(0, 389))
def test_the_pixel_of_every_point_is_in_the_window_of_a_box_around_it(column: int, row: int) -> None:
    to_degrees = Transformer.from_crs(UTM.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(500_000 + 10 * (column + 0.5), 5_600_000 - 10 * (row + 0.5))
    window = window_of(UTM, (lon - 1e-5, lat - 1e-5, lon + 1e-5, lat + 1e-5))
    assert window == PixelWindow(row, column, 1, 1)


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_coarser_pixels_are_repeated_exactly(factor: int) -> None:
    coarse = np.arange(12, dtype=np.uint16).reshape(3, 4)
    size = 10.0 * factor
    source = Grid(UTM.crs, (size, 0.0, 500_000.0, 0.0, -size, 5_600_000.0), (3, 4))
    target = Grid(UTM.crs, UTM.transform, (3 * factor, 4 * factor))
    np.testing.assert_array_equal(nearest(coarse, source, target, 0), coarse.repeat(factor, 0).repeat(factor, 1))


def test_where_the_source_has_no_pixel_there_is_the_fill_value() -> None:
    source = Grid(UTM.crs, UTM.transform, (2, 2))
    target = Grid(UTM.crs, (10.0, 0.0, 499_990.0, 0.0, -10.0, 5_600_010.0), (4, 4))
    found = nearest(np.full((2, 2), 7, np.int16), source, target, -1)
    np.testing.assert_array_equal(found, [[-1, -1, -1, -1], [-1, 7, 7, -1], [-1, 7, 7, -1], [-1, -1, -1, -1]])
