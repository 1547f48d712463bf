"""The pixels of a chip come from where they belong: compared with pyproj for each pixel, on every kind of grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from terralab.datasets.chipping.global_grid import GlobalGrid
from terralab.datasets.chipping.pixel_map import aligned_shift, pixel_map
from terralab.datasets.chipping.zones import native_crs
from terralab.extensions.raster import Grid

PLACES = {
    "Spain": (-0.75, 38.1),
    "south": (15.3, -33.9),
    "equator": (30.001, 0.001),
    "north of 80": (20.0, 83.7),
    "Arctic": (33.0, 87.0),
    "the pole": (12.0, 90.0),
    "Antarctica": (-60.0, -84.0),
    "west of 180": (179.995, -16.8),
    "east of 180": (-179.995, 65.2),
    "edge of a zone": (6.0001, 45.0),
}


def degrees_around(longitude: float, latitude: float, pixels: int = 900) -> Grid:
    """Return a grid of about 10 m in degrees around a place; beyond 180 it goes on counting."""
    step = 8.983152841195215e-05
    east = step / max(np.cos(np.radians(latitude)), 0.02)
    return Grid(
        "EPSG:4326",
        (east, 0.0, longitude - east * pixels / 2, 0.0, -step, min(latitude + step * pixels / 2, 90.0)),
        (pixels, pixels),
    )


def every_pixel(chip: Grid, source: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Compute source row and column of each pixel centre one by one, with nothing of the product."""
    rows, columns = np.meshgrid(np.arange(chip.shape[0]), np.arange(chip.shape[1]), indexing="ij")
    a, _, c, _, e, f = chip.transform
    x, y = Transformer.from_crs(chip.crs, source.crs, always_xy=True).transform(
        c + a * (columns + 0.5), f + e * (rows + 0.5)
    )
    a, _, c, _, e, f = source.transform
    if source.crs == "EPSG:4326":
        middle = c + a * source.shape[1] / 2
        x = np.where(x - middle > 180, x - 360, np.where(x - middle < -180, x + 360, x))
    return np.floor((y - f) / e).astype(int), np.floor((x - c) / a).astype(int)


@pytest.mark.parametrize("place", PLACES)
def test_every_pixel_comes_from_where_it_belongs(place: str) -> None:
    longitude, latitude = PLACES[place]
    source = degrees_around(longitude, latitude)
    crs = native_crs(longitude, latitude)
    grid = GlobalGrid(crs, 10.0, 256)
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    for cell in (grid.cell_of(x, y), grid.cell_of(x + 2560, y - 2560)):
        found = pixel_map(grid.grid(cell), source)
        rows, columns = every_pixel(grid.grid(cell), source)
        assert found.inside.any() or cell != grid.cell_of(x, y)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_array_equal(found.columns, columns)


@settings(max_examples=25, deadline=None)
@given(
    longitude=st.floats(-179.9, 179.9),
    latitude=st.floats(-79.9, 83.9),
    away=st.integers(-1, 1),
    size=st.sampled_from([16, 112, 130, 224]),
    resolution=st.sampled_from([10.0, 30.0, 20.0, 0.5]),
)
def test_between_neighbouring_zones_too(
    longitude: float, latitude: float, away: int, size: int, resolution: float
) -> None:
    crs = native_crs(longitude, latitude)
    number = int(crs[5:])
    other = f"EPSG:{number - number % 100 + (number % 100 - 1 + away) % 60 + 1}"
    east, north = Transformer.from_crs("EPSG:4326", other, always_xy=True).transform(longitude, latitude)
    if not np.isfinite([east, north]).all():
        return
    source = Grid(other, (10.0, 0.0, round(east) - 3000.0, 0.0, -10.0, round(north) + 3000.0), (600, 600))
    grid = GlobalGrid(crs, resolution, size)
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    chip = grid.grid(grid.cell_of(x, y))
    found = pixel_map(chip, source)
    rows, columns = every_pixel(chip, source)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.columns, columns)


def test_a_chip_on_the_source_s_own_pixels_needs_no_search() -> None:
    source = Grid("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0), (500, 400))
    chip = GlobalGrid("EPSG:32630", 10.0, 112)
    cell = chip.cell_of(501_000, 4_199_000)
    shift = aligned_shift(chip.grid(cell), source)
    assert shift == (
        round((4_200_000 - chip.bounds(cell)[3]) / 10),
        round((chip.bounds(cell)[0] - 500_000) / 10),
    )
    found = pixel_map(chip.grid(cell), source)
    rows, columns = every_pixel(chip.grid(cell), source)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.columns, columns)


def test_half_a_pixel_beside_the_grid_is_not_on_it() -> None:
    source = Grid("EPSG:32630", (10.0, 0.0, 500_005.0, 0.0, -10.0, 4_200_000.0), (500, 400))
    grid = GlobalGrid("EPSG:32630", 10.0, 112)
    assert aligned_shift(grid.grid(grid.cell_of(501_000, 4_199_000)), source) is None


def test_the_scale_tells_downsampling() -> None:
    source = Grid("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0), (600, 600))
    grid = GlobalGrid("EPSG:32630", 30.0, 64)
    assert pixel_map(grid.grid(grid.cell_of(503_000, 4_197_000)), source).scale == pytest.approx(3)
