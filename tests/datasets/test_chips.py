"""Chips hold every pixel of their scene once, where it was, and as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_cogeo import cog_validate

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.chips import Chip, ChipRecipe, chip_rows, cut_chips
from terralab.datasets.grid import chip_windows
from terralab.datasets.raster_file import read_facts
from terralab.datasets.scan import Scan, scan
from terralab.datasets.scenes import StoredScene, store_scene
from terralab.extensions.raster import ClassDefinition

Write = Callable[..., Path]
CLASSES = [ClassDefinition(value=value, name=f"c{value}", color="112233") for value in range(3)]


@settings(deadline=None)
@given(rows=st.integers(1, 120), columns=st.integers(1, 120), size=st.integers(1, 130))
def test_windows_cover_every_pixel_exactly_once(rows: int, columns: int, size: int) -> None:
    seen = np.zeros((rows, columns), int)
    for window in chip_windows((rows, columns), size):
        assert 1 <= window.height <= size
        assert 1 <= window.width <= size
        seen[window.row : window.row + window.height, window.column : window.column + window.width] += 1
    assert (seen == 1).all()


@settings(deadline=None)
@given(heights=st.lists(st.integers(1, 50), min_size=1, max_size=12), size=st.integers(1, 70))
def test_rows_of_any_strips_are_the_same_rows(heights: list[int], size: int) -> None:
    whole = np.arange(2 * sum(heights) * 3).reshape(2, sum(heights), 3)
    starts = np.cumsum([0, *heights])
    pieces = [(int(start), whole[:, start : start + height]) for start, height in zip(starts, heights, strict=False)]
    rows = list(chip_rows(pieces, size))
    assert all(row.shape[1] == size for row in rows[:-1])
    np.testing.assert_array_equal(np.concatenate(rows, axis=1), whole)


def make(
    write: Write, folder: Path, image: np.ndarray, label: np.ndarray, place: str = "utm north", **profile: Any
) -> tuple[FolderStore, Scan, StoredScene]:
    """Scan and store one scene."""
    names = [f"B{number + 2:02d}" for number in range(len(image))]
    images = [write(folder / "in" / "a_20200101.tif", image, place, names, **profile)]
    labels = [write(folder / "in" / "a_20200101_mask.tif", label[None], place)]
    store = FolderStore(folder / "store")
    scanned = scan(images, labels, classes=CLASSES)
    return store, scanned, store_scene(store, scanned, scanned.pairs[0])


def cut(store: FolderStore, scanned: Scan, scene: StoredScene, size: int) -> tuple[list[Chip], int]:
    recipe = ChipRecipe(
        size, scanned.bands, scanned.data_type, scanned.nodata, scanned.chip_nodata, scanned.padding, scanned.classes
    )
    return cut_chips(
        store,
        recipe,
        scene_id=scene.pair.id,
        scene_grid=scene.pair.image.grid,
        image=store.open_path(scene.image.href),
        mask=store.open_path(scene.mask.href),
    )


def reassemble(
    store: FolderStore, chips: list[Chip], shape: tuple[int, ...], which: str, fill: float, data_type: Any
) -> np.ndarray:
    """Paste chips back by their ground coordinates alone."""
    whole = np.full(shape, fill, data_type)
    first = min(chips, key=lambda chip: (chip.window.row, chip.window.column))
    origin = (
        first.grid.transform[2] - first.window.column * first.grid.transform[0],
        first.grid.transform[5] - first.window.row * first.grid.transform[4],
    )
    for chip in chips:
        with rasterio.open(store.open_path(getattr(chip, which).href)) as dataset:
            column = round((dataset.transform.c - origin[0]) / dataset.transform.a)
            row = round((dataset.transform.f - origin[1]) / dataset.transform.e)
            pixels = dataset.read()
        part = whole[:, row : row + pixels.shape[1], column : column + pixels.shape[2]]
        part[:] = pixels[:, : part.shape[1], : part.shape[2]]
    return whole


@pytest.mark.parametrize("place", ["utm north", "utm south", "degrees"])
@pytest.mark.parametrize(
    ("data_type", "nodata"),
    [
        ("uint8", 0),
        ("uint16", 0),
        ("int16", -9999),
        ("float32", float("nan")),
        ("float32", None),
        ("uint16", None),
        ("float64", -1),
    ],
)
def test_all_pixels_come_back(
    write_raster: Write, tmp_path: Path, place: str, data_type: str, nodata: float | None
) -> None:
    random = np.random.default_rng(1)
    image = random.integers(1, 200, (3, 150, 101)).astype(data_type)
    label = random.integers(0, 3, (150, 101)).astype(np.uint8)
    label[:7] = 255
    if nodata is not None:
        image[:, :20, :50] = nodata
        image[1, 100:110] = nodata
    profile = {} if nodata is None else {"nodata": nodata}
    store, scanned, scene = make(write_raster, tmp_path, image, label, place, **profile)
    chips, left_out = cut(store, scanned, scene, 32)
    assert (len(chips), left_out) == (20, 0)
    np.testing.assert_array_equal(reassemble(store, chips, image.shape, "image", 0, data_type), image)
    np.testing.assert_array_equal(reassemble(store, chips, (1, *label.shape), "mask", 255, np.uint8)[0], label)
    for chip in chips:
        with rasterio.open(store.open_path(chip.image.href)) as dataset:
            assert dataset.crs == rasterio.open(tmp_path / "in" / "a_20200101.tif").crs
            assert (dataset.count, dataset.dtypes[0], dataset.shape) == (3, data_type, (32, 32))
            assert dataset.descriptions == ("B02", "B03", "B04")
            expected = {None: {"float32": float("nan"), "uint16": 0}.get(data_type)}.get(nodata, nodata)
            np.testing.assert_equal(dataset.nodata, expected)
            pixels = dataset.read()
            beyond = pixels[:, chip.window.height :], pixels[:, :, chip.window.width :]
            assert all(
                np.array_equal(part, np.full_like(part, expected), equal_nan=data_type != "uint16") for part in beyond
            )
    assert sum(sum(chip.class_counts.values()) for chip in chips) == (label != 255).sum()


def test_chips_without_data_are_left_out_and_counted(write_raster: Write, tmp_path: Path) -> None:
    image = np.full((2, 64, 64), 9, np.uint16)
    image[:, :32, :32] = 0
    image[0, 32:, 32:] = 0
    store, scanned, scene = make(write_raster, tmp_path, image, np.ones((64, 64), np.uint8), nodata=0)
    chips, left_out = cut(store, scanned, scene, 32)
    assert left_out == 1
    assert [chip.id for chip in chips] == [
        "a_20200101-r00000-c00032",
        "a_20200101-r00032-c00000",
        "a_20200101-r00032-c00032",
    ]
    assert [chip.valid_share for chip in chips] == [1, 1, 0]
    assert chips[2].bands[0].statistics() is None
    assert scene.footprint.geometry.area < 0.95 * scene.pair.image.grid.footprint(scene.pair.start).geometry.area


def test_padding_without_a_nodata_tag_takes_a_value_that_no_pixel_has(write_raster: Write, tmp_path: Path) -> None:
    image = np.tile(np.arange(256, dtype=np.uint8), (1, 40, 1))
    store, scanned, scene = make(write_raster, tmp_path, image, np.zeros((40, 256), np.uint8))
    assert (scanned.padding, scanned.chip_nodata) == (0, None)
    image[image == 255] = 254
    store, scanned, scene = make(write_raster, tmp_path, image, np.zeros((40, 256), np.uint8))
    assert (scanned.padding, scanned.chip_nodata) == (255, 255)
    chips, _ = cut(store, scanned, scene, 64)
    assert chips[0].bands[0].count == 40 * 64
    assert chips[0].valid_share == 40 / 64


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_chips_scenes_and_labels_are_valid_cogs(write_raster: Write, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    image = random.integers(1, 200, (3, 700, 600)).astype(np.uint16)
    store, scanned, scene = make(write_raster, tmp_path, image, np.zeros((700, 600), np.uint8), nodata=0)
    chips, _ = cut(store, scanned, scene, 256)
    stored = [scene.image, scene.mask, *(chip.image for chip in chips), *(chip.mask for chip in chips)]
    for file in stored:
        assert cog_validate(store.open_path(file.href), strict=True) == (True, [], [])
    with rasterio.open(store.open_path(scene.image.href)) as dataset:
        assert dataset.overviews(1) == [2]
        np.testing.assert_array_equal(dataset.read(), image)
        assert dataset.descriptions == scanned.bands
    with rasterio.open(store.open_path(scene.thumbnail.href)) as dataset:
        assert (dataset.driver, dataset.count, max(dataset.shape)) == ("PNG", 4, 256)


def test_same_pixels_give_the_same_bytes(write_raster: Write, tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(1, 200, (3, 100, 100)).astype(np.uint16)
    checksums = []
    for run in ("one", "two"):
        store, scanned, scene = make(write_raster, tmp_path / run, image, np.zeros((100, 100), np.uint8), nodata=0)
        chips, _ = cut(store, scanned, scene, 48)
        files = [scene.image, scene.mask, scene.thumbnail, *(f for chip in chips for f in (chip.image, chip.mask))]
        checksums.append([file.href for file in files])
    assert checksums[0] == checksums[1]


def test_a_label_within_a_thousandth_of_a_pixel_takes_the_images_grid(write_raster: Write, tmp_path: Path) -> None:
    image = np.full((1, 32, 32), 5, np.uint8)
    near = rasterio.Affine(10, 0, 500_000.005, 0, -10, 4_200_000)
    images = [write_raster(tmp_path / "in" / "a_20200101.tif", image, names=["B02"])]
    labels = [write_raster(tmp_path / "in" / "a_20200101_mask.tif", 0 * image, transform=near)]
    store, scanned = FolderStore(tmp_path / "store"), scan(images, labels, classes=CLASSES)
    scene = store_scene(store, scanned, scanned.pairs[0])
    chips, _ = cut(store, scanned, scene, 16)
    for chip in chips:
        one, other = (read_facts(store.open_path(file.href)) for file in (chip.image, chip.mask))
        assert one.grid == other.grid == replace(chip.grid)
