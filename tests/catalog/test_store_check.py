"""Damage to the store is found, named, and repaired from another store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from terralab.catalog.folder_store import FolderStore
from terralab.catalog.s3_store import S3Store
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store, key_of
from terralab.catalog.store_check import Problem, check_store, copy_file
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import fill
from tests.catalog.s3_server import BUCKET, S3Server, s3_server


class Damaged:
    """A filled lab whose files can be damaged behind its back."""

    def __init__(self, workspace: Workspace, server: S3Server | None) -> None:
        self.workspace, self._server = workspace, server

    def overwrite(self, name: str, content: bytes | None) -> None:
        """Change a stored file; None removes it."""
        if self._server is not None:
            self._server.client.delete_object(Bucket=BUCKET, Key=f"lab/{key_of(name)}")
            if content is not None:
                self._server.overwrite(f"lab/{key_of(name)}", content)
            return
        path = self.workspace.store.folder / key_of(name)
        path.unlink()
        if content is not None:
            path.write_bytes(content)


@pytest.fixture(params=["folder", "s3"])
def damaged(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Damaged]:
    if request.param == "folder":
        yield Damaged(fill(workspace), None)
        return
    with s3_server() as server:
        settings = Settings()
        settings.store = server.settings("lab")
        yield Damaged(fill(Workspace(settings)), server)


def asset_of(workspace: Workspace, collection: str, item: str, key: str) -> str:
    return str(workspace.catalog.item(collection, item)["assets"][key]["file:checksum"])


def copied(source: Store, folder: Path) -> FolderStore:
    """Return a copy of a store."""
    copy = FolderStore(folder)
    for entry in source.objects():
        assert copy_file(source, copy, entry.name)
    return copy


def test_every_kind_of_damage_is_named_and_repaired(damaged: Damaged, tmp_path: Path) -> None:
    lab = damaged.workspace
    backup = copied(lab.store, tmp_path / "backup")
    whole = check_store(lab)
    assert (whole.intact, whole.damages) == (True, [])
    assert whole.files == whole.hashed == len(list(lab.store.objects()))
    missing = asset_of(lab, "models", "flood-net-abc", "weights")
    flipped = asset_of(lab, "flood-scenes", "spain-s2", "image")
    cut = asset_of(lab, "flood-v1", "chip-0000", "image")
    content = backup.open_name(flipped).read_bytes()
    damaged.overwrite(missing, None)
    damaged.overwrite(flipped, content[:-1] + bytes([content[-1] ^ 1]))
    damaged.overwrite(cut, backup.open_name(cut).read_bytes()[:50])
    report = check_store(lab)
    assert not report.intact
    assert {damage.name: damage.problem for damage in report.damages} == {
        missing: Problem.MISSING,
        flipped: Problem.DAMAGED,
        cut: Problem.DAMAGED,
    }
    places = {damage.name: damage.places[0] for damage in report.damages}
    assert places[missing] == "models/flood-net-abc, asset 'weights'"
    assert places[flipped] == "flood-scenes/spain-s2, asset 'image'"
    assert places[cut].startswith("flood-v1/chip-000")
    backup.remove([cut])
    half = check_store(lab, source=backup)
    assert {damage.name: damage.repaired for damage in half.damages} == {missing: True, flipped: True, cut: False}
    assert [damage.name for damage in check_store(lab).damages] == [cut]


def test_a_sample_reads_no_more_than_asked_but_misses_nothing_that_is_gone(damaged: Damaged) -> None:
    lab = damaged.workspace
    gone = asset_of(lab, "models", "flood-net-abc", "weights")
    damaged.overwrite(gone, None)
    told: list[tuple[int, int]] = []
    report = check_store(lab, sample=3, tell=lambda done, total: told.append((done, total)))
    assert report.hashed == 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [(damage.name, damage.problem) for damage in report.damages] == [(gone, Problem.MISSING)]


def test_an_item_that_says_another_size_is_told_from_damage(workspace: Workspace, tmp_path: Path) -> None:
    lab = fill(workspace)
    item = lab.catalog.item("flood-scenes", "spain-s2")
    item["assets"]["image"]["file:size"] += 1
    lab.catalog.write([], [item])
    report = check_store(lab, source=copied(lab.store, tmp_path / "backup"))
    assert [(damage.problem, damage.repaired) for damage in report.damages] == [(Problem.WRONG_SIZE, False)]
    assert not report.intact


def test_a_damaged_source_repairs_nothing(workspace: Workspace, tmp_path: Path) -> None:
    lab = fill(workspace)
    backup = copied(lab.store, tmp_path / "backup")
    name = asset_of(lab, "models", "flood-net-abc", "weights")
    for store, content in ((lab.store, b"damaged"), (backup, b"damaged too")):
        path = store.open_name(name)
        path.chmod(0o644)
        path.write_bytes(content)
    assert [damage.repaired for damage in check_store(lab, source=backup).damages] == [False]
    assert lab.store.open_name(name).read_bytes() == b"damaged", "what was there is not lost"


def test_copies_between_kinds_of_stores(tmp_path: Path) -> None:
    folder = FolderStore(tmp_path / "folder")
    tree = folder.put_bytes(b"[]", "tree", "md5", ".dir").checksum + ".dir"
    chip = folder.put_bytes(b"chip", "chip", "md5").checksum
    with s3_server() as server:
        bucket = S3Store(server.settings("copy"), tmp_path / "cache")
        assert copy_file(folder, bucket, tree)
        assert copy_file(folder, bucket, chip)
        assert {entry.name for entry in bucket.objects()} == {tree, chip}
        folder.remove([chip])
        assert copy_file(bucket, folder, chip)
        assert folder.open_name(chip).read_bytes() == b"chip"
