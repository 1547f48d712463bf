from pathlib import Path

import pytest

from terralab.catalog import Lab
from terralab.catalog.errors import AssetCorrupt, InvalidInput, LabError, TooFewChips, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import change_item
from terralab.datasets.loaders import from_store
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack_folder import PackFolder
from terralab.datasets.packs.stored_pack import store_pack, with_pack


def test_versions_are_in_order(lab: Lab) -> None:
    dataset = lab.dataset("flood")
    assert dataset.versions == ["1.0.0", "1.9.0", "1.10.0"]
    assert dataset.version().id == "flood-v1-10-0"
    assert dataset.version("v1.9.0").id == "flood-v1-9-0"
    with pytest.raises(UnknownName, match=r"1\.9\.0"):
        dataset.version("1.8.0")
    with pytest.raises(UnknownName, match="none"):
        lab.dataset("none").version()


def test_chips_by_split(lab: Lab) -> None:
    dataset = lab.dataset("flood")
    assert dataset.items().matched() == 4
    assert {item.id for item in dataset.items("train")} == {"chip-0000", "chip-0001"}
    assert list(dataset.to_geodataframe("test")["id"]) == ["chip-0003"]
    with pytest.raises(InvalidInput, match="train, validate, test"):
        dataset.items("val")


def test_files_are_fetched_once_and_checked(lab: Lab, filled: Workspace, tmp_path: Path) -> None:
    dataset = lab.dataset("flood")
    files = dataset.download(tmp_path / "flood", "train")
    assert [path.relative_to(tmp_path / "flood").as_posix() for path in files] == [
        "images/chip-0000.tif",
        "images/chip-0001.tif",
        "masks/chip-0000.tif",
        "masks/chip-0001.tif",
    ]
    assert len(dataset.download(tmp_path / "flood")) == 8
    times = {path: path.stat().st_mtime_ns for path in files}
    files[0].write_bytes(b"damaged")
    dataset.download(tmp_path / "flood", "train")
    assert files[0].stat().st_size > 100
    assert {path: path.stat().st_mtime_ns for path in files[1:]} == {path: times[path] for path in files[1:]}
    assert not list((tmp_path / "flood").rglob(".*"))


def test_bytes_that_are_damaged_in_the_lab_are_no_data(lab: Lab, filled: Workspace, tmp_path: Path) -> None:
    name = lab.dataset("flood").manifest()["files"][0]["md5"]
    stored = filled.store.folder / "files" / "md5" / name[:2] / name[2:]
    content = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AssetCorrupt, match="MD5"):
        lab.dataset("flood").download(tmp_path / "flood", "train")
    assert not [path for path in (tmp_path / "flood").rglob("*") if path.is_file()]


def test_a_name_may_carry_its_version(lab: Lab) -> None:
    dataset = lab.dataset("flood@v1.9.0")
    assert (dataset.name, dataset.version().id) == ("flood", "flood-v1-9-0")
    assert dataset.version("1.0.0").id == "flood-v1-0-0"


@pytest.mark.torch
def test_a_split_becomes_a_torch_dataset(lab: Lab, tmp_path: Path) -> None:
    chips = lab.dataset("flood@1.10.0").to_torch("train", tmp_path / "flood")
    batch = chips[[0, 1]]
    assert tuple(batch["image"].shape) == (2, 4, 64, 64)
    assert tuple(batch["mask"].shape) == (2, 64, 64)
    assert set(batch["mask"].unique().tolist()) <= {0, 1, 255}
    assert batch["image"].mean().abs() < 10
    assert len(list((tmp_path / "flood").rglob("*.tif"))) == 4


@pytest.mark.torch
def test_all_frameworks_get_the_same_chips(lab: Lab) -> None:
    module = lab.dataset("flood").to_lightning(batch_size=2, augment=False)
    (batch,) = list(module.val_dataloader())
    expected = lab.dataset("flood").to_torch("validate")[[0]]
    assert (batch["image"] == expected["image"]).all()
    found = lab.dataset("flood").to_sklearn("validate", pixels=None)
    assert len(found.y) == (expected["mask"] != 255).sum()


@pytest.mark.torch
def test_chips_of_a_search_are_loaded(lab: Lab) -> None:
    chips = lab.search(["flood-v1"], filter="\"ml-aoi:split\" <> 'train'").to_torch()
    assert chips.ids == ["chip-0002", "chip-0003"]
    whole = lab.dataset("flood").to_torch("test")
    assert (lab.search(["flood-v1"]).to_torch("test")[[0]]["image"] == whole[[0]]["image"]).all()
    with pytest.raises(TooFewChips, match="no chip matches"):
        lab.search(["flood-v1"], filter="\"ml-aoi:split\" = 'none'").to_torch()
    with pytest.raises(InvalidInput, match="folder"):
        lab.search(["flood-v1"]).to_torch(folder="somewhere")


@pytest.mark.torch
def test_a_pack_in_the_store_is_fetched_in_place_of_files(lab: Lab, filled: Workspace, tmp_path: Path) -> None:
    contents = Contents.of_manifest(lab.dataset("flood").manifest())
    made = PackFolder(tmp_path / "packs", 1 << 30).open(contents, from_store(filled.store))
    assets = store_pack(filled.store, made)
    with filled.catalog.connection() as connection:
        change_item(connection, "datasets", "flood-v1-10-0", lambda item: with_pack(item, assets))
    for file in (filled.store.folder / "files" / "md5").glob("*/*"):
        file.unlink()
    chips = lab.dataset("flood").to_torch("train")
    assert len(chips) == 2
    assert chips.arrays.pack.index == made.index
    with pytest.raises(LabError):
        lab.dataset("flood").to_torch("train", tmp_path / "files")
