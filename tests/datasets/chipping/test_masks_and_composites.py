"""Clouds go where the mask says so, dates become one image, scenes of one pass are laid together."""

from pathlib import Path

import numpy as np
import pytest

from terralab.catalog.errors import InvalidInput
from terralab.datasets.chipping.composites import Composite
from terralab.datasets.chipping.pixel_masks import FMASK_BITS, SCL_CLASSES, MaskKind, PixelMask, Strategy
from terralab.datasets.chipping.sources import RasterSource
from terralab.extensions.raster import Grid
from tests.datasets.chipping.rasters import GRID, NODATA, cut, raster, shot

EVERYWHERE = np.full((16, 16), 500, np.int16)


@pytest.fixture
def label(tmp_path: Path) -> RasterSource:
    return raster(tmp_path, "label", np.ones((16, 16), np.uint8), nodata=255)


def test_fmask_bits_are_those_of_the_hls_guide() -> None:
    # HLS v2 user guide, table 9, from the least bit: cirrus, cloud, adjacent, shadow, snow or ice, water.
    values = np.arange(256)
    for bit, name in enumerate(["cirrus", "cloud", "near_cloud_or_shadow", "cloud_shadow", "snow", "water"]):
        masked = PixelMask(MaskKind.FMASK, (name,)).masked(values)
        assert FMASK_BITS[name] == bit
        expected = [format(value, "08b")[-1 - bit] == "1" and value != 255 for value in values]
        assert masked.tolist() == expected
    both = PixelMask(MaskKind.FMASK, ("cloud", "cloud_shadow")).masked(values)
    assert set(np.flatnonzero(~both)) == {value for value in values if not value & 0b1010} | {255}


def test_scl_classes_are_those_of_sentinel_2() -> None:
    values = np.arange(12)
    assert PixelMask(MaskKind.SCL, ("cloud", "cloud_shadow", "cirrus")).masked(values).nonzero()[0].tolist() == [
        *(3, 8, 9, 10),
    ]
    assert sorted(value for found in SCL_CLASSES.values() for value in found) == list(range(12))
    assert PixelMask(MaskKind.VALUES, ("2", "-7")).masked(np.array([-7, 0, 2, 7])).tolist() == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("kind", "names"), [(MaskKind.FMASK, ("clouds",)), (MaskKind.SCL, ()), (MaskKind.VALUES, ("cloud",))]
)
def test_unknown_names_are_refused(kind: MaskKind, names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=f"mask {kind.value}"):
        PixelMask(kind, names)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_cloud_takes_its_own_date_or_all(tmp_path: Path, label: RasterSource, strategy: Strategy) -> None:
    clouds = [np.zeros((16, 16), np.uint8) for _ in range(2)]
    clouds[0][2:5, 3] = 0b00000010  # cloud
    clouds[1][7, 8:11] = 0b00001000  # shadow
    clouds[1][0, 0] = 0b00100000  # water, which is not asked for
    images = [np.stack([EVERYWHERE + number, EVERYWHERE + 100]) for number in range(2)]
    images[0][:, 15, 15] = NODATA
    dates = [
        [shot((raster(tmp_path, f"i{number}", image), raster(tmp_path, f"q{number}", cloud, nodata=255)))]
        for number, (image, cloud) in enumerate(zip(images, clouds, strict=True))
    ]
    mask = PixelMask(MaskKind.FMASK, ("cloud", "cloud_shadow"), strategy)
    made, pixels, labels = cut(tmp_path, dates, label, mask=mask)
    lost = [clouds[0] == 2, clouds[1] == 8]
    if strategy is Strategy.ANY:
        lost = [lost[0] | lost[1]] * 2
    for number in range(2):
        expected = np.where(lost[number], NODATA, images[number])
        assert (pixels[2 * number : 2 * number + 2] == expected).all()
        assert made.sums[0][2 * number].count == (expected[0] != NODATA).sum()
    gone = lost[0] | lost[1]
    gone[15, 15] = True
    assert made.valid_share == 1 - gone.mean()
    assert (labels == 1).all()


def test_a_coarser_mask_takes_all_pixels_under_it(tmp_path: Path, label: RasterSource) -> None:
    coarse = Grid(GRID.crs, (20.0, *GRID.transform[1:4], -20.0, GRID.transform[5]), (8, 8))
    scl = np.full((8, 8), 4, np.uint8)
    scl[1, 2] = 9
    image = raster(tmp_path, "i", EVERYWHERE)
    mask = PixelMask(MaskKind.SCL, ("cloud",))
    _, pixels, _ = cut(tmp_path, [[shot((image, raster(tmp_path, "q", scl, coarse, nodata=None)))]], label, mask=mask)
    assert np.argwhere(pixels[0] == NODATA).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]


def test_a_pixel_that_is_clouded_in_one_scene_comes_from_the_next(tmp_path: Path, label: RasterSource) -> None:
    left, right = EVERYWHERE.copy(), EVERYWHERE + 1
    left[:, 10:] = NODATA
    right[:, :6] = NODATA
    cloud = np.zeros((16, 16), np.uint8)
    cloud[4, 4:9] = 9
    free = np.zeros((16, 16), np.uint8)
    parts = (
        (raster(tmp_path, "l", left), raster(tmp_path, "lq", cloud, nodata=None)),
        (raster(tmp_path, "r", right), raster(tmp_path, "rq", free, nodata=None)),
    )
    _, pixels, _ = cut(tmp_path, [[shot(*parts)]], label, mask=PixelMask(MaskKind.SCL, ("cloud",)))
    expected = np.where(np.arange(16) < 10, 500, 501) * np.ones((16, 1), int)
    expected[4, 4:6] = NODATA
    expected[4, 6:9] = 501
    assert (pixels[0] == expected).all()


def test_bands_of_a_pixel_are_never_of_two_scenes(tmp_path: Path, label: RasterSource) -> None:
    first, second = np.stack([EVERYWHERE, EVERYWHERE]), np.stack([EVERYWHERE + 7, EVERYWHERE + 7])
    first[1, :, 8] = NODATA  # one band of two
    first[:, :, 12] = NODATA
    second[0, :8] = NODATA
    parts = (raster(tmp_path, "a", first), None), (raster(tmp_path, "b", second), None)
    made, pixels, _ = cut(tmp_path, [[shot(*parts)]], label)
    assert (pixels[:, 8:, 8] == 507).all()
    assert (pixels[0, :8, 8] == 500).all()
    assert (pixels[1, :8, 8] == NODATA).all()
    assert (pixels[0, :8, 12] == NODATA).all()
    assert (pixels[1, :8, 12] == 507).all()
    assert set(np.unique(pixels[:, :, :8])) == {500}
    assert made.valid_share == 1 - 16 / 256


def test_scenes_of_their_own_grids_make_one_chip(tmp_path: Path, label: RasterSource) -> None:
    a, _, c, _, e, f = GRID.transform
    halves = [Grid(GRID.crs, (a, 0.0, c + 80 * place, 0.0, e, f), (16, 8)) for place in range(2)]
    sources = [
        raster(tmp_path, f"half{place}", np.full((16, 8), 10 + place, np.int16), half)
        for place, half in enumerate(halves)
    ]
    made, pixels, _ = cut(tmp_path, [[shot(*((source, None) for source in sources))]], label)
    assert (pixels[0] == np.where(np.arange(16) < 8, 10, 11)).all()
    assert made.valid_share == 1


@pytest.mark.parametrize("data_type", [np.int16, np.float32])
def test_the_median_is_that_of_the_dates_with_data(tmp_path: Path, label: RasterSource, data_type: type) -> None:
    random = np.random.default_rng(3)
    stack = random.integers(0, 3000, (5, 2, 16, 16)).astype(data_type)
    stack[random.random(stack.shape) < 0.3] = NODATA
    stack[:, :, 4, 4] = NODATA
    shots = [shot((raster(tmp_path, f"d{number}", image), None)) for number, image in enumerate(stack)]
    made, pixels, _ = cut(tmp_path, [shots], label, composite=Composite.MEDIAN)
    for place in np.ndindex(2, 16, 16):
        values = sorted(float(value) for value in stack[(slice(None), *place)] if value != NODATA)
        if not values:
            assert pixels[place] == NODATA
            continue
        middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        assert abs(pixels[place] - middle) <= (0.5 if data_type is np.int16 else 0)
    assert pixels.dtype == data_type
    assert made.sums[0][0].count == (stack[:, 0] != NODATA).any(axis=0).sum()


def test_the_best_pixel_is_that_of_the_first_date_that_has_it(tmp_path: Path, label: RasterSource) -> None:
    stack = np.stack([np.full((1, 16, 16), value, np.int16) for value in (10, 20, 30)])
    cloud = np.zeros((3, 16, 16), np.uint8)
    cloud[0, :8], cloud[1, :4], cloud[2, 0] = 1 << 1, 1 << 1, 1 << 1
    shots = [
        shot((raster(tmp_path, f"d{number}", stack[number]), raster(tmp_path, f"q{number}", cloud[number], nodata=255)))
        for number in range(3)
    ]
    mask = PixelMask(MaskKind.FMASK, ("cloud",))
    _, pixels, _ = cut(tmp_path, [shots], label, composite=Composite.BEST, mask=mask)
    assert pixels[0, :, 0].tolist() == [NODATA, *[30] * 3, *[20] * 4, *[10] * 8]
    _, median, _ = cut(tmp_path, [shots], label, composite=Composite.MEDIAN, mask=mask)
    assert median[0, :, 0].tolist() == [NODATA, *[30] * 3, *[25] * 4, *[20] * 8]
