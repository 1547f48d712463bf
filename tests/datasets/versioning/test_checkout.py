"""Checkouts: whole or not there, without second copies, and never over what a user changed."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.errors import AlreadyExists, AssetCorrupt, InvalidInput
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.s3_store import S3Store
from terralab.datasets.versioning.checkout import check_out
from terralab.datasets.versioning.file_links import Link
from terralab.datasets.versioning.frozen_version import FrozenVersion
from tests.catalog.s3_server import s3_server
from tests.datasets.versioning.plain_version import Versions, files_below

FIRST = {"a": b"image a", "b": b"image b", "c": b"image c"}
SECOND = {"a": b"image a", "b": b"image b, brighter", "d": b"image d"}
KEPT = {"manifest.json", "split.csv"}


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(FolderStore(tmp_path / "store"), tmp_path / "versions", tmp_path / "work")


def expected(contents: dict[str, bytes]) -> dict[str, bytes]:
    images = {f"images/{id}.tif": content for id, content in contents.items()}
    return images | {f"masks/{id}.tif": f"mask {id}".encode() for id in contents}


def found(folder: Path) -> dict[str, bytes]:
    return {path: content for path, content in files_below(folder).items() if path not in KEPT}


def stored(versions: Versions, version: FrozenVersion, relpath: str) -> Path:
    return versions.store.open_name("d50110" + version.by_path[relpath])


def test_a_checkout_has_the_files_and_none_of_them_twice(versions: Versions, tmp_path: Path) -> None:
    version = versions.freeze(FIRST)
    done = check_out(version, tmp_path / "out", versions.work)
    assert (done.files, done.written, done.removed) == (6, 6, 0)
    assert found(tmp_path / "out") == expected(FIRST)
    if done.link is Link.HARDLINK:
        assert os.path.samefile(tmp_path / "out/images/a.tif", stored(versions, version, "images/a.tif"))
        assert not os.access(tmp_path / "out/images/a.tif", os.W_OK) or os.getuid() == 0
    again = check_out(version, tmp_path / "out", versions.work)
    assert (again.written, again.removed, again.link) == (0, 0, None)
    own = check_out(version, tmp_path / "own", versions.work, copy=True)
    assert own.link is Link.COPY
    (tmp_path / "own/images/a.tif").write_bytes(b"mine")
    assert stored(versions, version, "images/a.tif").read_bytes() == FIRST["a"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_folder_changes_from_version_to_version(versions: Versions, tmp_path: Path) -> None:
    first, second = versions.freeze(FIRST), versions.freeze(SECOND, "v1.1.0")
    check_out(first, tmp_path / "out", versions.work)
    done = check_out(second, tmp_path / "out", versions.work)
    assert (done.written, done.removed) == (3, 2)
    assert found(tmp_path / "out") == expected(SECOND)
    assert stored(versions, first, "images/b.tif").read_bytes() == FIRST["b"]
    check_out(first, tmp_path / "out", versions.work)
    assert found(tmp_path / "out") == expected(FIRST)


def test_what_a_user_changed_stays(versions: Versions, tmp_path: Path) -> None:
    first, second = versions.freeze(FIRST), versions.freeze(SECOND, "v1.1.0")
    out = tmp_path / "out"
    check_out(first, out, versions.work, copy=True)
    (out / "notes.txt").write_text("mine")
    for relpath in ("images/b.tif", "masks/c.tif"):
        (out / relpath).write_bytes(b"mine")
    before = files_below(out)
    with pytest.raises(AlreadyExists, match=r"images/b.tif, masks/c.tif were changed"):
        check_out(second, out, versions.work)
    assert files_below(out) == before
    check_out(second, out, versions.work, force=True)
    assert found(out) == {**expected(SECOND), "notes.txt": b"mine"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="not empty and holds no checkout"):
        check_out(first, other, versions.work)
    with pytest.raises(InvalidInput, match="no folder"):
        check_out(first, other / "thesis.txt", versions.work)


def test_a_broken_off_checkout_goes_on(versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version, out = versions.freeze(FIRST), tmp_path / "out"
    real = os.link
    made: list[Any] = []

    def failing(source: Any, target: Any) -> None:
        if len(made) == 3:
            raise OSError(5, "the disk is gone")
        real(source, target)
        made.append(target)

    with monkeypatch.context() as broken:
        broken.setattr(os, "link", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            check_out(version, out, versions.work)
    assert not out.exists()
    part = next(tmp_path.glob(".out.*.part"))
    (part / "images").mkdir(exist_ok=True)
    half = part / "images" / "b.tif"
    half.unlink(missing_ok=True)
    half.write_bytes(FIRST["b"][:3])
    check_out(version, out, versions.work)
    assert found(out) == expected(FIRST)


def test_a_tampered_or_missing_object_is_named_and_never_checked_out(versions: Versions, tmp_path: Path) -> None:
    version, out = versions.freeze(FIRST), tmp_path / "out"
    check_out(version, tmp_path / "before", versions.work, copy=True)
    path = stored(versions, version, "images/b.tif")
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[::-1])
    with pytest.raises(AssetCorrupt, match=rf"images/b.tif \({version.by_path['images/b.tif']}\) differ"):
        check_out(version, out, versions.work)
    path.unlink()
    with pytest.raises(AssetCorrupt, match=r"images/b.tif.* are missing"):
        check_out(version, out, versions.work)
    assert not out.exists()
    path.write_bytes(content)
    check_out(version, out, versions.work)
    assert found(out) == expected(FIRST)


def test_a_manifest_cannot_write_outside(versions: Versions, tmp_path: Path) -> None:
    version = versions.freeze(FIRST)
    for relpath in ("../escaped.tif", "/tmp/escaped.tif", "images/../../escaped.tif"):
        version.manifest["files"][0]["relpath"] = relpath
        version.__dict__.pop("by_path", None)
        with pytest.raises(AssetCorrupt, match="leads out of the folder"):
            check_out(version, tmp_path / "out", versions.work)
    assert not (tmp_path / "escaped.tif").exists()


def test_a_checkout_from_a_bucket(tmp_path: Path) -> None:
    with s3_server() as server:
        store = S3Store(server.settings("lab"), tmp_path / "cache")
        versions = Versions(store, tmp_path / "versions", tmp_path / "work")
        version = versions.freeze(FIRST)
        shutil.rmtree(tmp_path / "cache")
        check_out(version, tmp_path / "out", versions.work)
        assert found(tmp_path / "out") == expected(FIRST)
