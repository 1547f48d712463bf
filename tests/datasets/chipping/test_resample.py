"""Interpolation and averages beside a computation pixel by pixel, with positions from PROJ and Catmull-Rom splines."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from terralab.datasets.chipping.reader import ChipReader, Patch
from terralab.datasets.chipping.sources import Resampling
from terralab.extensions.raster import Grid
from tests.datasets.chipping.rasters import GRID, NODATA, raster

STEP = 10 / 111_320
DEGREES = Grid("EPSG:4326", (STEP, 0.0, -3.0012, 0.0, -STEP, 37.9472), (60, 60))
CHIP = Grid("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_199_900.0), (32, 32))


def read(
    folder: Path, pixels: np.ndarray, source: Grid, chip: Grid, how: Resampling, nodata: float | None = NODATA
) -> Patch:
    with ChipReader() as reader:
        return reader.read(raster(folder, "source", pixels, source, nodata), [chip], how, NODATA)[0]


def line(values: list[float], at: float) -> float:
    return values[1] * (1 - at) + values[2] * at


def spline(values: list[float], at: float) -> float:
    a, b, c, d = values
    return 0.5 * (2 * b + (c - a) * at + (2 * a - 5 * b + 4 * c - d) * at**2 + (3 * b - a - 3 * c + d) * at**3)


@pytest.mark.parametrize(("how", "between"), [(Resampling.BILINEAR, line), (Resampling.CUBIC, spline)])
def test_interpolation_across_coordinate_systems(
    tmp_path: Path, how: Resampling, between: Callable[[list[float], float], float]
) -> None:
    random = np.random.default_rng(5)
    pixels = random.uniform(100, 3000, (2, 60, 60)).astype(np.float32)
    patch = read(tmp_path, pixels, DEGREES, CHIP, how)
    to_degrees = Transformer.from_crs(CHIP.crs, DEGREES.crs, always_xy=True)
    a, _, c, _, e, f = DEGREES.transform
    compared = 0
    for row, column in np.ndindex(CHIP.shape):
        east, north = CHIP.transform[2] + 10 * (column + 0.5), CHIP.transform[5] - 10 * (row + 0.5)
        longitude, latitude = to_degrees.transform(east, north)
        x, y = (longitude - c) / a - 0.5, (latitude - f) / e - 0.5
        left, top = math.floor(x), math.floor(y)
        if not (1 <= left < 57 and 1 <= top < 57):
            continue
        compared += 1
        for band in range(2):
            rows = [
                between([float(pixels[band, top + down, left + across]) for across in range(-1, 3)], x - left)
                for down in range(-1, 3)
            ]
            assert patch.pixels[band, row, column] == pytest.approx(between(rows, y - top), rel=2e-3, abs=0.5)
    assert compared > 700


@pytest.mark.parametrize("how", [Resampling.BILINEAR, Resampling.CUBIC])
def test_a_plane_stays_a_plane(tmp_path: Path, how: Resampling) -> None:
    rows, columns = np.indices((40, 40))
    chip = Grid(GRID.crs, (7.0, 0.0, 500_083.0, 0.0, -7.0, 4_199_911.0), (16, 16))
    patch = read(
        tmp_path, (3 * rows + 2 * columns).astype(np.float32), Grid(GRID.crs, GRID.transform, (40, 40)), chip, how
    )
    down, across = np.indices((16, 16)) + 0.5
    expected = 3 * ((4_200_000 - 4_199_911 + 7 * down) / 10 - 0.5) + 2 * ((83 + 7 * across) / 10 - 0.5)
    assert np.allclose(patch.pixels[0], expected, atol=1e-4)


def test_pixels_without_data_have_no_weight(tmp_path: Path) -> None:
    pixels = np.full((20, 20), 1000, np.int16)
    pixels[8:12, 8:12] = NODATA
    chip = Grid(GRID.crs, (10.0, 0.0, 500_014.0, 0.0, -10.0, 4_199_986.0), (16, 16))
    for how in (Resampling.BILINEAR, Resampling.CUBIC):
        patch = read(tmp_path, pixels, Grid(GRID.crs, GRID.transform, (20, 20)), chip, how)
        # The centre of chip pixel n lies in source pixel n + 1 (0.9 pixels into it).
        lost = np.zeros((16, 16), bool)
        lost[7:11, 7:11] = True
        assert (patch.valid[0] == ~lost).all()
        assert set(np.unique(patch.pixels[0][~lost])) == {1000}
        assert set(np.unique(patch.pixels[0][lost])) == {NODATA}


@pytest.mark.parametrize("how", [Resampling.AUTO, Resampling.AVERAGE])
@pytest.mark.parametrize("data_type", [np.int16, np.float32])
def test_larger_pixels_are_means_of_those_with_data(tmp_path: Path, how: Resampling, data_type: type) -> None:
    random = np.random.default_rng(2)
    pixels = random.integers(0, 5000, (48, 48)).astype(data_type)
    pixels[random.random(pixels.shape) < 0.4] = NODATA
    pixels[:3, :3] = NODATA
    chip = Grid(GRID.crs, (30.0, *GRID.transform[1:4], -30.0, GRID.transform[5]), (16, 16))
    patch = read(tmp_path, pixels, Grid(GRID.crs, GRID.transform, (48, 48)), chip, how)
    for row, column in np.ndindex(16, 16):
        block = pixels[3 * row : 3 * row + 3, 3 * column : 3 * column + 3].astype(float)
        values = block[block != NODATA]
        assert patch.valid[0, row, column] == bool(values.size)
        expected = values.mean() if values.size else NODATA
        assert abs(patch.pixels[0, row, column] - expected) <= (0.5 if data_type is np.int16 else 1e-3)


def test_auto_takes_the_nearest_where_pixels_are_alike(tmp_path: Path) -> None:
    pixels = np.arange(400, dtype=np.int16).reshape(20, 20)
    chip = Grid(GRID.crs, (10.0, 0.0, 500_014.0, 0.0, -10.0, 4_199_986.0), (16, 16))
    patch = read(tmp_path, pixels, Grid(GRID.crs, GRID.transform, (20, 20)), chip, Resampling.AUTO)
    assert (patch.pixels[0] == pixels[1:17, 1:17]).all()


def test_a_value_never_becomes_the_fill_value_by_mixing(tmp_path: Path) -> None:
    pixels = np.tile(np.array([[-3, 1], [1, -3]], np.int16), (24, 24))
    chip = Grid(GRID.crs, (20.0, *GRID.transform[1:4], -20.0, GRID.transform[5]), (16, 16))
    patch = read(tmp_path, pixels, Grid(GRID.crs, GRID.transform, (48, 48)), chip, Resampling.AVERAGE)
    assert patch.valid.all()
    assert set(np.unique(patch.pixels)) == {0}  # their mean, -1, stands for `no data`
