"""Remotes: only what is missing moves, every file is verified, and plain DVC restores what was pushed."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.s3_store import S3Store
from terralab.catalog.settings import Settings
from terralab.datasets.versioning import tree_layout
from terralab.datasets.versioning.checkout import check_out
from terralab.datasets.versioning.intake import Source, take_in
from terralab.datasets.versioning.transfer import opened_remote, pull, push
from tests.catalog.s3_server import s3_server
from tests.datasets.versioning.plain_version import Versions, files_below

CHIPS = {f"chip-{number:02d}": f"image {number}".encode() for number in range(12)}


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(FolderStore(tmp_path / "store"), tmp_path / "versions", tmp_path / "work")


def expected() -> dict[str, bytes]:
    images = {f"images/{id}.tif": content for id, content in CHIPS.items()}
    return images | {f"masks/{id}.tif": f"mask {id}".encode() for id in CHIPS}


def test_plain_dvc_pull_restores_what_was_pushed(versions: Versions, tmp_path: Path) -> None:
    version, remote = versions.freeze(CHIPS), FolderStore(tmp_path / "remote")
    assert push(version, remote, versions.work).moved == 24
    assert push(version, remote, versions.work).moved == 0
    assert versions.dvc_pull("v1.0.0", tmp_path / "remote", tmp_path / "clone") == expected()
    assert not (tmp_path / "clone" / "store").exists()
    later = versions.freeze({**CHIPS, "chip-03": b"image 3, brighter"}, "v1.1.0")
    assert push(later, remote, versions.work).moved == 1


def test_plain_dvc_pull_restores_shards(versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_layout, "FILES_OF_A_TREE", 10)
    version, remote = versions.freeze(CHIPS), FolderStore(tmp_path / "remote")
    assert {path.count("/") for path in version.by_path} == {2}
    push(version, remote, versions.work)
    restored = versions.dvc_pull("v1.0.0", tmp_path / "remote", tmp_path / "clone")
    check_out(version, tmp_path / "out", versions.work)
    ours = {path: content for path, content in files_below(tmp_path / "out").items() if "/" in path}
    assert restored == ours
    assert {path.split("/", 1)[1]: content for path, content in ours.items()} == expected()


def lose(versions: Versions, version: Any, relpath: str, content: bytes | None) -> Path:
    path = versions.store.open_name("d50110" + version.by_path[relpath])
    path.chmod(0o644)
    path.unlink() if content is None else path.write_bytes(content)
    return path


def test_pull_brings_what_is_missing_or_damaged(versions: Versions, tmp_path: Path) -> None:
    version, remote = versions.freeze(CHIPS), FolderStore(tmp_path / "remote")
    push(version, remote, versions.work)
    lost = lose(versions, version, "images/chip-01.tif", None)
    damaged = lose(versions, version, "images/chip-02.tif", CHIPS["chip-02"][::-1])
    assert pull(version, remote, versions.work).moved == 2
    assert (lost.read_bytes(), damaged.read_bytes()) == (CHIPS["chip-01"], CHIPS["chip-02"])
    assert pull(version, remote, versions.work).moved == 0


def test_a_remote_with_other_bytes_is_not_believed(versions: Versions, tmp_path: Path) -> None:
    version, remote = versions.freeze(CHIPS), FolderStore(tmp_path / "remote")
    push(version, remote, versions.work)
    lost = [lose(versions, version, f"images/chip-{number:02d}.tif", None) for number in (1, 2, 3)]
    there = remote.open_name("d50110" + version.by_path["images/chip-01.tif"])
    there.chmod(0o644)
    there.write_bytes(CHIPS["chip-01"][::-1])
    with pytest.raises(AssetCorrupt, match=r"images/chip-01.tif .* differ from their checksum in the remote"):
        pull(version, remote, versions.work)
    assert [path.exists() for path in lost] == [False, True, True]  # the others arrived
    there.unlink()
    with pytest.raises(AssetCorrupt, match=r"images/chip-01.tif .* are missing in the remote"):
        pull(version, remote, versions.work)


def test_a_damaged_file_is_not_pushed(versions: Versions, tmp_path: Path) -> None:
    version, remote = versions.freeze(CHIPS), FolderStore(tmp_path / "remote")
    lose(versions, version, "images/chip-05.tif", CHIPS["chip-05"][::-1])
    with pytest.raises(AssetCorrupt, match="chip-05"):
        push(version, remote, versions.work)
    assert not list(remote.objects())


def test_a_bucket_as_remote(versions: Versions, tmp_path: Path) -> None:
    version = versions.freeze(CHIPS)
    with s3_server() as server:
        remote = S3Store(server.settings("remote"), tmp_path / "passing")
        assert push(version, remote, versions.work).moved == 24
        assert push(version, remote, versions.work).moved == 0
        lose(versions, version, "images/chip-01.tif", None)
        lose(versions, version, "images/chip-02.tif", CHIPS["chip-02"][::-1])
        fresh = S3Store(server.settings("remote"), tmp_path / "passing-2")
        md5 = version.by_path["images/chip-02.tif"]
        server.client.put_object(
            Bucket="lab-bucket", Key=f"remote/files/md5/{md5[:2]}/{md5[2:]}", Body=b"2 egami"[::-1]
        )
        assert pull(version, fresh, versions.work).moved == 2
        key = f"remote/files/md5/{md5[:2]}/{md5[2:]}"
        server.client.put_object(Bucket="lab-bucket", Key=key, Body=CHIPS["chip-02"][::-1])
        lose(versions, version, "images/chip-02.tif", None)
        last = S3Store(server.settings("remote"), tmp_path / "passing-3")
        with pytest.raises(AssetCorrupt, match=r"chip-02.tif .* differ from their checksum in the remote"):
            pull(version, last, versions.work)


def test_addresses_of_remotes(tmp_path: Path) -> None:
    settings = Settings()
    with opened_remote(settings, str(tmp_path / "remote")) as remote:
        assert remote.place == str(tmp_path / "remote")
    with pytest.raises(InvalidInput, match="no remote"), opened_remote(settings, "https://example.org/x"):
        pass


def test_files_are_taken_in_by_their_bytes(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    contents = [b"", b"small", bytes(3 << 20), b"x" * (1 << 20), b"small"]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").write_bytes(content)
    taken = take_in(store, [Source(str(tmp_path / f"{number}")) for number in range(len(contents))])
    for one, content in zip(taken, contents, strict=True):
        assert one.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
        path = store.open_name("d50110" + one.md5)
        assert (one.size, path.read_bytes(), path.stat().st_mode & 0o777) == (len(content), content, 0o444)
    again = take_in(store, [Source(str(tmp_path / "1"), taken[1].md5), Source(str(tmp_path / "2"), taken[1].md5)])
    assert [(one.stored, one.new) for one in again] == [(True, False), (False, False)]
    assert not list((tmp_path / "store" / "tmp").iterdir())
