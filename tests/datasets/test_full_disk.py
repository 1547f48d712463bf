"""A disk that fills up while rasters are written: GDAL hides it, and says nothing at all when it closes a file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from terralab.catalog.errors import InvalidRaster, OutOfSpace
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.inbox import stage
from terralab.catalog.settings import Settings
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.cog import cog_writer
from terralab.extensions.raster import Grid
from tests.small_disk import SmallDisk, small_disk

SIZE = 500
GRID = Grid("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0), (SIZE, SIZE))
PIXELS = np.random.default_rng(1).integers(0, 4, (1, SIZE, SIZE)).astype("uint8")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk")) as disk:
        yield disk


def write_cog(target: Path) -> None:
    writer = cog_writer(target, count=1, data_type="uint8", grid=GRID, nodata=None, names=["a"], labels=False)
    with writer as dataset:
        for row in range(0, SIZE, 256):
            rows = min(256, SIZE - row)
            dataset.write(PIXELS[:, row : row + rows], window=Window(0, row, SIZE, rows))


def test_a_cog_is_whole_or_an_error_wherever_the_disk_ends(disk: SmallDisk) -> None:
    whole = 0
    for free in range(0, 1 << 20, 16_384):
        disk.empty()
        disk.leave(free)
        target = disk.folder / "a.tif"
        try:
            write_cog(target)
        except OutOfSpace:
            continue
        whole += 1
        with rasterio.open(target) as dataset:
            assert np.array_equal(dataset.read(), PIXELS)
    assert 0 < whole < 64


def test_nothing_is_left_of_what_did_not_fit(disk: SmallDisk) -> None:
    disk.empty()
    disk.leave(8192)
    store = FolderStore(disk.folder)
    with pytest.raises(OutOfSpace):
        store.put_bytes(bytes(100_000), "a.bin")
    assert [path for path in disk.folder.rglob("*") if path.is_file()] == [disk.folder / "filling"]


def test_a_full_inbox_keeps_no_part_of_a_file(disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.empty()
    disk.leave(8192)
    monkeypatch.setenv("TERRALAB_HOME", str(disk.folder))
    (tmp_path / "a.tif").write_bytes(bytes(100_000))
    with pytest.raises(OutOfSpace):
        stage(Settings(), [tmp_path / "a.tif"])
    assert [path for path in disk.folder.rglob("*") if path.is_file()] == [disk.folder / "filling"]


def test_other_errors_keep_their_meaning_on_a_full_disk(disk: SmallDisk) -> None:
    disk.empty()
    disk.leave(0)
    with pytest.raises(InvalidRaster), disk_full_as_error(disk.folder, RuntimeError):
        raise InvalidRaster("a.tif: damaged")
    with pytest.raises(PermissionError), disk_full_as_error(disk.folder):
        raise PermissionError("no")


def test_a_library_that_hides_the_reason_is_believed_where_there_is_room(disk: SmallDisk, tmp_path: Path) -> None:
    disk.empty()
    disk.leave(0)
    with pytest.raises(OutOfSpace), disk_full_as_error(disk.folder, RuntimeError):
        raise RuntimeError("write failed")
    disk.empty()
    with pytest.raises(RuntimeError), disk_full_as_error(tmp_path, RuntimeError):
        raise RuntimeError("write failed")
