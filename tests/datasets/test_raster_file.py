"""Users' files are refused with their name and a reason before GDAL can be led astray."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.catalog.errors import InvalidRaster
from terralab.datasets.raster_file import open_raster, read_facts, strips, valid_pixels

Write = Callable[..., Path]
PIXELS = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)


def test_facts_are_those_of_the_file(write_raster: Write, tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif",
        PIXELS,
        names=["B02", "B03", "B04"],
        nodata=0,
        tags={"TIFFTAG_DATETIME": "2020:05:01 10:30:00"},
    )
    facts = read_facts(path)
    assert facts.grid.crs == "EPSG:32630"
    assert facts.grid.shape == (20, 30)
    assert facts.descriptions == ("B02", "B03", "B04")
    assert (facts.data_type, facts.nodata, facts.written) == ("uint16", 0, "2020:05:01 10:30:00")


def test_a_system_without_code_is_written_as_wkt(write_raster: Write, tmp_path: Path) -> None:
    crs = "+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m"
    facts = read_facts(write_raster(tmp_path / "a.tif", PIXELS, crs=crs))
    assert facts.grid.crs.startswith("PROJCRS[")
    assert rasterio.crs.CRS.from_user_input(facts.grid.crs).is_projected


@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"<VRTDataset></VRTDataset>", b"\x89PNG\r\n"])
def test_other_files_named_tif_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fake.tif"
    path.write_bytes(content)
    with pytest.raises(InvalidRaster, match=r"fake\.tif: not a GeoTIFF"):
        read_facts(path)


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.tif"
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 1 << 20))
    with pytest.raises(InvalidRaster, match=r"head\.tif"):
        read_facts(path)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"crs": None}, "no coordinate system"),
        ({"transform": rasterio.Affine(1, 0, 0, 0, 1, 0)}, "no georeference"),
        ({"transform": rasterio.Affine(10, 1, 0, 1, -10, 0)}, "rotated or flipped"),
        ({"transform": rasterio.Affine(10, 0, 0, 0, 10, 0)}, "rotated or flipped"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_files_without_a_usable_place_are_refused(
    write_raster: Write, tmp_path: Path, profile: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidRaster, match=rf"a\.tif: .*{message}"):
        read_facts(write_raster(tmp_path / "a.tif", PIXELS, **profile))


@pytest.mark.parametrize("data_type", [np.complex64, np.complex128])
def test_complex_pixels_are_refused(write_raster: Write, tmp_path: Path, data_type: type) -> None:
    with pytest.raises(InvalidRaster, match="complex"):
        read_facts(write_raster(tmp_path / "a.tif", PIXELS.astype(data_type)))


def test_an_overview_in_another_file_is_never_opened(write_raster: Write, tmp_path: Path) -> None:
    secret = write_raster(tmp_path / "secret.tif", np.full((3, 10, 15), 77, np.uint16))
    path = write_raster(tmp_path / "a.tif", PIXELS)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(secret))
    with pytest.raises(InvalidRaster, match=r"a\.tif: its metadata sends GDAL to other files"):
        read_facts(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_found_when_read(write_raster: Write, tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 60000, (3, 300, 200)).astype(np.uint16)
    path = write_raster(tmp_path / "cut.tif", noise, compress="deflate")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidRaster, match=r"cut\.tif"), open_raster(path) as dataset:
        list(strips(dataset, path.name))


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 700),
    columns=st.integers(1, 90),
    block=st.sampled_from([None, 16, 64, 256]),
)
def test_strips_give_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, block: int | None
) -> None:
    pixels = np.random.default_rng(rows).integers(0, 200, (2, rows, columns)).astype(np.uint8)
    path = tmp_path_factory.mktemp("strips") / "a.tif"
    tiles = {"tiled": True, "blockxsize": block, "blockysize": block} if block else {}
    profile = {"count": 2, "height": rows, "width": columns, "dtype": "uint8", "crs": "EPSG:32630", **tiles}
    with rasterio.open(path, "w", driver="GTiff", transform=rasterio.Affine(10, 0, 5, 0, -10, 7), **profile) as dataset:
        dataset.write(pixels)
    with open_raster(path) as dataset:
        found = list(strips(dataset, path.name))
    np.testing.assert_array_equal(np.concatenate([part for _, part in found], axis=1), pixels)
    assert [row for row, _ in found] == [sum(part.shape[1] for _, part in found[:place]) for place in range(len(found))]


def test_valid_pixels_know_nan_and_nodata() -> None:
    numbers = np.array([0, 1, np.nan, np.inf, -9999], np.float32)
    assert valid_pixels(numbers, -9999).tolist() == [True, True, False, False, False]
    assert valid_pixels(numbers, float("nan")).tolist() == [True, True, False, False, True]
    assert valid_pixels(np.array([0, 1], np.uint8), None).tolist() == [True, True]
    assert valid_pixels(np.array([0, 1], np.uint8), 0).tolist() == [False, True]


def test_a_nodata_tag_that_no_pixel_can_have_is_no_nodata(write_raster: Write, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", PIXELS.astype(np.float32), nodata=float("nan"))
    assert np.isnan(read_facts(path).nodata or 0)
    path = write_raster(tmp_path / "b.tif", PIXELS, nodata=65535)
    assert read_facts(path).nodata == 65535
