"""COGs of every pixel type: the same pixels, valid by rio-cogeo at its strictest, overviews as computed by hand."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rio_cogeo import cog_validate

from terralab.datasets.cog import cog_writer, encode_chip
from terralab.extensions.raster import Grid

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


def grid(shape: tuple[int, int]) -> Grid:
    return Grid("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0), shape)


def noise(data_type: str, shape: tuple[int, int, int], nodata: float | None = None, seed: int = 0) -> np.ndarray:
    """Return pixels of the whole range of a type, with areas without data."""
    random = np.random.default_rng(seed)
    if data_type.startswith("float"):
        pixels = (random.normal(size=shape) * 10.0 ** random.integers(-6, 6, shape)).astype(data_type)
    else:
        limits = np.iinfo(data_type)
        pixels = random.integers(limits.min, limits.max, shape, dtype=data_type, endpoint=True)
    if nodata is not None:
        pixels[:, : shape[1] // 3, : shape[2] // 2] = nodata
        pixels[random.random(shape) < 0.1] = nodata
    return pixels


def write(path: Path, pixels: np.ndarray, nodata: float | None, labels: bool = False) -> Path:
    names = [f"B{band:02d}" for band in range(len(pixels))]
    with cog_writer(
        path,
        count=len(pixels),
        data_type=str(pixels.dtype),
        grid=grid(pixels.shape[1:]),
        nodata=nodata,
        names=names,
        labels=labels,
    ) as dataset:
        dataset.write(pixels)
    return path


def check(path: Path, pixels: np.ndarray, nodata: float | None, overviews: list[int]) -> None:
    valid, errors, warnings = cog_validate(path, strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(), pixels, equal_nan=pixels.dtype.kind == "f")
        assert dataset.dtypes == (str(pixels.dtype),) * len(pixels)
        assert dataset.nodata == nodata or (np.isnan(dataset.nodata) and nodata is not None and np.isnan(nodata))
        assert dataset.descriptions == tuple(f"B{band:02d}" for band in range(len(pixels)))
        assert dataset.crs.to_epsg() == 32630
        assert dataset.transform[:6] == grid(pixels.shape[1:]).transform
        assert dataset.overviews(1) == overviews
        assert dataset.compression.name == "zstd"


@pytest.mark.parametrize("data_type", TYPES)
@pytest.mark.parametrize("shape", [(3, 700, 1037), (1, 512, 512), (2, 100, 40)])
def test_every_type_and_shape(tmp_path: Path, data_type: str, shape: tuple[int, int, int]) -> None:
    nodata = float("nan") if data_type.startswith("float") else float(np.iinfo(data_type).min)
    pixels = noise(data_type, shape, nodata)
    overviews = {1037: [2, 4], 512: [2], 40: []}[shape[2]]
    check(write(tmp_path / "a.tif", pixels, nodata), pixels, nodata, overviews)


@pytest.mark.parametrize("data_type", TYPES)
@pytest.mark.parametrize("nodata", [None, 7.0])
def test_overviews_are_means_of_what_has_data(tmp_path: Path, data_type: str, nodata: float | None) -> None:
    pixels = noise(data_type, (2, 601, 530), nodata)
    if data_type.startswith("float"):
        pixels = np.clip(pixels, -1e5, 1e5)
        pixels[0, 100:110, 100:110] = np.nan
    path = write(tmp_path / "a.tif", pixels, nodata)
    with rasterio.open(path, overview_level=0) as dataset:
        found = dataset.read()
    assert found.shape == (2, 301, 265)
    for band, row, column in np.ndindex(2, 301, 265):
        if (row * 265 + column) % 37 and row < 299:  # a sample, and the edge
            continue
        block = pixels[band, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].astype(np.float64)
        usable = block[np.isfinite(block) & (block != nodata if nodata is not None else True)]
        value = float(found[band, row, column])
        if not usable.size:
            assert value == nodata or (nodata is None and np.isnan(value))
        elif data_type.startswith("float"):
            assert value == pytest.approx(usable.mean(), rel=1e-6, abs=1e-6)
        else:
            expected = int(np.floor(usable.mean() + 0.5))
            assert value == expected or (expected == nodata and abs(value - expected) == 1)


def test_a_mean_that_is_the_nodata_value_stays_data(tmp_path: Path) -> None:
    pixels = np.tile(np.array([[5, 9], [9, 5]], np.uint8), (1, 400, 400))
    path = write(tmp_path / "a.tif", pixels, 7.0)
    with rasterio.open(path, overview_level=0) as dataset:
        assert (dataset.read_masks(1) == 255).all()


def test_overviews_of_labels_have_no_new_classes(tmp_path: Path) -> None:
    labels = np.random.default_rng(1).choice(np.array([0, 3, 200, 255], np.uint8), (1, 1100, 900))
    path = write(tmp_path / "a.tif", labels, 255.0, labels=True)
    check(path, labels, 255.0, [2, 4])
    for level, step in ((0, 2), (1, 4)):
        with rasterio.open(path, overview_level=level) as dataset:
            assert (dataset.read() == labels[:, ::step, ::step]).all()


def test_the_bytes_depend_on_the_pixels_alone(tmp_path: Path) -> None:
    pixels = noise("uint16", (2, 600, 700))
    one, two = write(tmp_path / "a.tif", pixels, 0.0), tmp_path / "b.tif"
    with cog_writer(
        two, count=2, data_type="uint16", grid=grid((600, 700)), nodata=0.0, names=["B00", "B01"], labels=False
    ) as dataset:
        for row in range(0, 600, 50):  # in another order of writing
            window = rasterio.windows.Window(0, row, 700, 50)
            dataset.write(pixels[:, row : row + 50], window=window)
    assert one.read_bytes() == two.read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.integers(1, 20),
    st.sampled_from([16, 32, 48]),
    st.sampled_from([None, 0.0, 5.0, float("nan")]),
    st.integers(0, 1000),
)
def test_chips_of_every_type(data_type: str, count: int, size: int, nodata: float | None, seed: int) -> None:
    if nodata is not None and np.isnan(nodata) and not data_type.startswith("float"):
        nodata = 0.0
    pixels = noise(data_type, (count, size, size), nodata, seed)
    names = [f"B{band:02d}" for band in range(count)]
    with MemoryFile(encode_chip(pixels, grid((size, size)), nodata, names)) as memory, memory.open() as dataset:
        assert np.array_equal(dataset.read(), pixels, equal_nan=pixels.dtype.kind == "f")
        assert dataset.descriptions == tuple(names)
        assert dataset.block_shapes == [(size, size)] * count
        assert dataset.transform[:6] == grid((size, size)).transform
        assert dataset.crs.to_epsg() == 32630
        assert (dataset.nodata is None) == (nodata is None)
