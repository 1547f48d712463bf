"""Packs: the pixels of the files, made once, damage named, room made."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from terralab.catalog.errors import AssetCorrupt, InvalidInput, InvalidRaster, OutOfSpace, UnknownName
from terralab.catalog.folder_store import FolderStore
from terralab.datasets.cog import encode_chip
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.index import PackIndex
from terralab.datasets.packs.pack import Pack
from terralab.datasets.packs.pack_folder import PackFolder
from terralab.datasets.packs.packing import make_pack
from terralab.datasets.packs.stored_pack import StoredPack, store_pack, with_pack
from terralab.extensions.raster import Grid
from tests.datasets.chip_files import Files
from tests.flows.frozen_dataset import ponds

IMAGES, MASKS = ponds(7, 16)
RECORD = 3 * 16 * 16 * 2 + 16 * 16


@pytest.fixture
def files(tmp_path: Path) -> Files:
    found = Files(tmp_path / "chips")
    found.segmentation(IMAGES, MASKS)
    return found


@pytest.fixture
def packs(tmp_path: Path) -> PackFolder:
    return PackFolder(tmp_path / "packs", 1 << 30)


def test_a_pack_holds_the_pixels_in_shards_of_byte_ranges(files: Files, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    contents = Contents.of_manifest(files.manifest)
    make_pack(contents, files.open, tmp_path / "pack", lambda *done: seen.append(done), shard_bytes=3 * RECORD)
    pack = Pack(tmp_path / "pack")
    index = pack.index
    assert seen == [(done, 7) for done in range(1, 8)]
    assert (index.record_bytes, [shard.chips for shard in index.shards]) == (RECORD, [3, 3, 1])
    for number in range(7):
        position = pack.position(f"chip-{number:03d}")
        assert np.array_equal(pack.array("image", position), IMAGES[number])
        assert np.array_equal(pack.array("mask", position)[0], MASKS[number])
        shard, start = index.place(position)
        content = (tmp_path / "pack" / index.shards[shard].file).read_bytes()
        place = index.array("image")
        begin = start + place.offset
        assert np.array_equal(
            np.frombuffer(content[begin : begin + place.size], place.dtype).reshape(place.shape), IMAGES[number]
        )
        values, counts = np.unique(MASKS[number], return_counts=True)
        assert index.chips[position].counts == {str(v): int(c) for v, c in zip(values, counts, strict=True)}
        assert index.chips[position].gaps == ("image",)
    assert PackIndex.of_bytes(index.to_bytes(), "again") == index
    with pytest.raises(ValueError, match="read-only"):
        pack.array("image", 0)[0, 0, 0] = 1


def test_a_pack_is_made_once_and_the_same_by_any_order(files: Files, packs: PackFolder, tmp_path: Path) -> None:
    contents = Contents.of_manifest(files.manifest)
    first = packs.open(contents, files.open)
    read = files.read
    assert packs.open(contents, files.open).folder == first.folder
    assert files.read == read == 14
    assert first.folder.name + ".dir" == contents.tree
    files.manifest["chips"].reverse()
    make_pack(Contents.of_manifest(files.manifest), files.open, tmp_path / "again", lambda *_: None)
    for path in first.folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("relpath", ["images/chip-004.tif", "masks/chip-002.tif"])
def test_a_tampered_file_is_named_and_leaves_no_pack(files: Files, packs: PackFolder, relpath: str) -> None:
    content = bytearray(files.path(relpath).read_bytes())
    content[-1] ^= 1
    files.path(relpath).write_bytes(content)
    with pytest.raises(AssetCorrupt, match=relpath):
        packs.open(Contents.of_manifest(files.manifest), files.open)
    assert [path.name for path in packs.folder.iterdir()] == ["locks"]


def test_a_chip_unlike_the_others_is_named(files: Files, packs: PackFolder) -> None:
    grid = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (32, 32))
    replaced(files, "images/chip-003.tif", encode_chip(np.ones((3, 32, 32), np.uint16), grid, 0, list("abc")))
    with pytest.raises(InvalidInput, match="chip-003"):
        packs.open(Contents.of_manifest(files.manifest), files.open)
    replaced(files, "images/chip-003.tif", b"II*\0 no image")
    with pytest.raises(InvalidRaster, match=r"images/chip-003\.tif"):
        packs.open(Contents.of_manifest(files.manifest), files.open)


def test_a_file_that_no_manifest_lists_is_named(files: Files) -> None:
    del files.manifest["files"][3]
    with pytest.raises(AssetCorrupt, match="chip-003"):
        Contents.of_manifest(files.manifest)


def test_what_cannot_be_packed_is_said(files: Files, packs: PackFolder) -> None:
    files.manifest["task"] = "detection"
    with pytest.raises(InvalidInput, match="boxes"):
        packs.open(Contents.of_manifest(files.manifest), files.open)
    files.several({"s2l2a": (IMAGES, 1, 0), "dem": (IMAGES[:, :1], 1, 0)}, MASKS)
    del files.manifest["chips"][2]["files"]["dem"]
    with pytest.raises(InvalidInput, match="chip-002 has no file for dem"):
        packs.open(Contents.of_manifest(files.manifest), files.open)


def test_damage_of_a_pack_is_named_or_mended(files: Files, packs: PackFolder) -> None:
    contents = Contents.of_manifest(files.manifest)
    pack = packs.open(contents, files.open)
    shard = pack.folder / "shard-00000.bin"
    with shard.open("r+b") as file:
        file.seek(5 * RECORD + 17)
        byte = file.read(1)
        file.seek(5 * RECORD + 17)
        file.write(bytes([byte[0] ^ 1]))
    again = packs.open(contents, files.open)
    again.array("image", 4)
    with pytest.raises(AssetCorrupt, match="chip-005"):
        again.array("image", 5)
    with pytest.raises(AssetCorrupt, match="chip-005"):
        again.verify()
    os.truncate(shard, 100)
    packs.open(contents, files.open).verify()


def test_the_least_recently_used_pack_goes_first_and_what_is_in_use_stays(tmp_path: Path) -> None:
    packs = PackFolder(tmp_path / "packs", int(2.5 * 7 * RECORD))
    made = []
    for number in range(4):
        files = Files(tmp_path / f"chips{number}")
        files.segmentation(IMAGES + number, MASKS)
        made.append((Contents.of_manifest(files.manifest), files))
    held = packs.open(*with_open(made[0]))
    os.utime(held.folder / "index.json", (1, 1))
    packs.open(*with_open(made[1]))
    os.utime(packs.path(made[1][0]) / "index.json", (2, 2))
    packs.open(*with_open(made[2]))
    assert held.folder.is_dir()
    assert not packs.path(made[1][0]).exists()
    del held
    packs.open(*with_open(made[3]))
    assert not packs.path(made[0][0]).exists()
    assert packs.path(made[3][0]).is_dir()


def test_a_disk_without_room_is_said_before_anything_is_written(
    files: Files, packs: PackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 100))
    with pytest.raises(OutOfSpace, match="left"):
        packs.open(Contents.of_manifest(files.manifest), files.open)


def with_open(made: tuple[Contents, Files]) -> tuple[Contents, object]:
    return made[0], made[1].open


def replaced(files: Files, relpath: str, content: bytes) -> None:
    import hashlib

    files.path(relpath).write_bytes(content)
    entry = next(entry for entry in files.manifest["files"] if entry["relpath"] == relpath)
    entry["md5"] = hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def test_a_stored_pack_is_read_by_ranges_and_fetched_whole(
    files: Files, packs: PackFolder, store: FolderStore, tmp_path: Path
) -> None:
    contents = Contents.of_manifest(files.manifest)
    made = packs.open(contents, files.open)
    item = with_pack({"id": "ponds-v1-0-0", "assets": {"manifest": {"roles": ["metadata"]}}}, store_pack(store, made))
    assert list(item["assets"]) == ["manifest", "pack", "pack-00000"]
    stored = StoredPack(store, item)
    assert np.array_equal(stored.array("image", "chip-004"), IMAGES[4])
    assert np.array_equal(stored.array("mask", "chip-006")[0], MASKS[6])
    with pytest.raises(UnknownName, match="chip-099"):
        stored.array("image", "chip-099")
    elsewhere = PackFolder(tmp_path / "elsewhere", 1 << 30)
    read = files.read
    fetched = elsewhere.open(contents, files.open, stored=stored)
    fetched.verify()
    assert files.read == read
    assert fetched.index == made.index
    assert with_pack(item, store_pack(store, made)) == item


def test_damage_of_a_stored_pack_is_named(files: Files, packs: PackFolder, store: FolderStore, tmp_path: Path) -> None:
    contents = Contents.of_manifest(files.manifest)
    item = with_pack({"id": "ponds-v1-0-0", "assets": {}}, store_pack(store, packs.open(contents, files.open)))
    shard = store.open_path(item["assets"]["pack-00000"]["href"])
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[2 * RECORD + 5] ^= 1
    shard.unlink()
    shard.write_bytes(content)
    stored = StoredPack(store, item)
    stored.array("image", "chip-001")
    with pytest.raises(AssetCorrupt, match="chip-002"):
        stored.array("image", "chip-002")
    elsewhere = PackFolder(tmp_path / "elsewhere", 1 << 30)
    with pytest.raises(AssetCorrupt, match="shard-00000"):
        elsewhere.open(contents, files.open, stored=stored)
    assert [path.name for path in elsewhere.folder.iterdir()] == ["locks"]
    files.segmentation(IMAGES + 1, MASKS)
    with pytest.raises(AssetCorrupt, match="holds other chips"):
        elsewhere.open(Contents.of_manifest(files.manifest), files.open, stored=stored)
