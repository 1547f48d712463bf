"""Versions to and from a remote: a folder or a bucket that is laid out as DVC's remotes are.

Only what the other side lacks is moved. A remote is an asset store like the lab's own, so every file is hashed on its
way, and `dvc pull` in a clone of the repository of versions restores the same files.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.s3_store import S3Store
from terralab.catalog.settings import Settings
from terralab.catalog.store import TREE_SUFFIX, Store
from terralab.datasets.dvc_repository import by_tree
from terralab.datasets.versioning.frozen_version import FrozenVersion
from terralab.datasets.versioning.intake import Source, take_in
from terralab.datasets.versioning.verification import Faults, Verifier, in_threads, md5_of, stored_path
from terralab.datasets.versions import tree_bytes
from terralab.extensions.checksum import MD5_PREFIX

_AT_ONCE = 512
Files = Sequence[Mapping[str, Any]]
Tell = Callable[[int, int], None]
"""Takes how many of how many files are done."""


@dataclass(frozen=True)
class Moved:
    """What was moved.

    Attributes:
        files: how many the version has.
        moved: how many of them the other side lacked.
        size: their bytes.
    """

    files: int
    moved: int
    size: int


@contextmanager
def opened_remote(settings: Settings, address: str) -> Iterator[Store]:
    """Yield a remote as a store.

    Args:
        settings: with the keys to buckets.
        address: a folder, or `s3://bucket/prefix`.

    Raises:
        InvalidInput: the address is neither.
    """
    if not address.startswith("s3://"):
        if "://" in address:
            raise InvalidInput(f"{address!r} is no remote; give a folder or s3://bucket/prefix")
        yield FolderStore(Path(address).expanduser().absolute())
        return
    settings.work_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.work_folder, prefix="remote-") as passing:
        yield S3Store(settings.store.model_copy(update={"url": address.rstrip("/")}), Path(passing))


def push(version: FrozenVersion, remote: Store, work: Path, tell: Tell | None = None) -> Moved:
    """Put the files and trees of a version into a remote.

    Raises:
        AssetCorrupt: the lab's store lacks a file, or has it with other bytes; nothing was moved.
    """
    faults = Verifier(version.store, work).faults(version.files)
    faults.refuse(f"the store {version.store.place}")
    lacking = _lacking(remote, version.files)
    _move(version.store, remote, lacking, tell).refuse(f"the store {version.store.place}")
    for members in by_tree(version.files).values():
        remote.put_bytes(tree_bytes(members), "tree.json", "md5", TREE_SUFFIX)
    return Moved(len(version.files), len(lacking), sum(int(file["size"]) for file in lacking))


def pull(version: FrozenVersion, remote: Store, work: Path, tell: Tell | None = None) -> Moved:
    """Bring what the lab's store lacks of a version, or has damaged, from a remote.

    What the remote has whole arrives also where something else is amiss.

    Raises:
        AssetCorrupt: the remote lacks a file too, or has it with other bytes.
    """
    verifier = Verifier(version.store, work)
    faults = verifier.faults(version.files)
    wanted = [*faults.missing, *faults.damaged]
    _move(remote, version.store, wanted, tell).refuse(f"the remote {remote.place}")
    for members in by_tree(version.files).values():
        version.store.put_bytes(tree_bytes(members), "tree.json", "md5", TREE_SUFFIX)
    verifier.faults(version.files).refuse(f"the store {version.store.place}")
    return Moved(len(version.files), len(wanted), sum(int(file["size"]) for file in wanted))


def _lacking(store: Store, files: Files) -> list[Mapping[str, Any]]:
    sizes = store.sizes(MD5_PREFIX + str(file["md5"]) for file in files)
    return [file for file in files if sizes.get(MD5_PREFIX + str(file["md5"])) != file["size"]]


def _move(source: Store, target: Store, files: Files, tell: Tell | None) -> Faults:
    """Move files; return those that the source lacks or has damaged, which are not moved."""
    lost = {str(file["md5"]) for file in _lacking(source, files)}
    there = [file for file in files if file["md5"] not in lost]
    damaged: list[Mapping[str, Any]] = []
    for start in range(0, len(there), _AT_ONCE):
        part = there[start : start + _AT_ONCE]
        damaged += _move_some(source, target, part)
        if tell:
            tell(start + len(part), len(there))
    return Faults(tuple(file for file in files if file["md5"] in lost), tuple(damaged))


def _move_some(source: Store, target: Store, files: Files) -> list[Mapping[str, Any]]:
    """Move files that the source has; return those with other bytes."""
    with in_threads() as threads:
        found = list(threads.map(lambda file: _fetched(source, str(file["md5"])), files))
        whole = [(file, path) for file, path in zip(files, found, strict=True) if path is not None]
        if isinstance(target, FolderStore):
            taken = take_in(target, [Source(path, str(file["md5"])) for file, path in whole], replace=True)
            bad = [file for (file, _), one in zip(whole, taken, strict=True) if not one.stored]
        else:
            sent = threads.map(lambda pair: _send(target, pair[1], str(pair[0]["md5"])), whole)
            bad = [file for (file, _), one in zip(whole, sent, strict=True) if not one]
    return [*(file for file, path in zip(files, found, strict=True) if path is None), *bad]


def _fetched(source: Store, md5: str) -> str | None:
    """Return where the bytes of a file are on this machine; None where the bucket has damaged ones."""
    if isinstance(source, FolderStore):
        return stored_path(source, md5)
    try:
        return str(source.open_name(MD5_PREFIX + md5))
    except AssetCorrupt:
        return None


def _send(target: Store, path: str, md5: str) -> bool:
    """Upload a copy of a file, if its bytes are those of its name."""
    with target.scratch() as folder:
        copy = Path(shutil.copyfile(path, folder / md5))
        if md5_of(copy) != md5:
            return False
        target.put(copy, algorithm="md5")
        return True
