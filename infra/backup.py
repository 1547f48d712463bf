"""`terralab backup` and `restore`: the catalog and its store, the repository of versions, and Prefect's records.

A backup is taken beside a running lab, or of one that stands still. A restore needs the lab to stand still. Passwords
and tokens are not in a backup: the new lab makes its own; API keys are, as hashes.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from terralab.catalog.backup.archive import pack, unpack
from terralab.catalog.backup.files import restore_files
from terralab.catalog.backup.manifest import MANIFEST, Manifest
from terralab.catalog.backup.restore import has_catalog, restore_database
from terralab.catalog.backup.snapshot import take_snapshot
from terralab.catalog.database import Catalog
from terralab.catalog.errors import AlreadyExists, InvalidInput
from terralab.catalog.settings import Settings
from terralab.catalog.store import disk_full_as_error
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import multihash_of_file
from terralab.infra.errors import AlreadyRunning
from terralab.infra.garbage import trees_of_versions
from terralab.infra.home import LabHome
from terralab.infra.stack import end_orphans
from terralab.infra.supervision import Supervisor
from terralab.infra.temporary_database import database_for_a_while

VERSIONS, PREFECT = "versions.tar.zst", "prefect.db"
_PRIVATE = 0o700


@dataclass(frozen=True)
class Tellers:
    """Who is told what is being done.

    Attributes:
        step: takes short lines.
        files: takes how many of how many files are done.
    """

    step: Callable[[str], None]
    files: Callable[[int, int], None]


def back_up(settings: Settings, folder: Path, include_files: bool | None, link: bool, tell: Tellers) -> Manifest:
    """Back up a lab into a folder, which is new or was left by a backup that broke off.

    Args:
        settings: the lab's.
        folder: of the backup; only its owner may read it.
        include_files: take the files of the store; by default where they are not in a bucket.
        link: hard links to files where the disk is the same.
        tell: who is told what is being done.

    Raises:
        AlreadyExists: the folder holds a backup.
        InvalidInput: it holds other things.
        OutOfSpace: its disk is full.
        ServiceUnavailable: the database does not answer.
    """
    _ = settings.database_url  # there is a lab
    _prepare(folder)
    home, workspace = LabHome(settings), Workspace(settings)
    include = not settings.store.on_s3 if include_files is None else include_files
    with _still_or_running(settings, home), database_for_a_while(settings), disk_full_as_error(folder):
        manifest = take_snapshot(
            workspace,
            folder,
            include_files=include,
            link=link,
            trees=trees_of_versions(settings),
            tell_step=tell.step,
            tell_files=tell.files,
        )
        extra = {name: multihash_of_file(folder / name) for name in _write_rest(settings, home, folder)}
        manifest = replace(manifest, checksums={**manifest.checksums, **extra})
        manifest.write(folder)
    return manifest


def restore(settings: Settings, folder: Path, force: bool, tell: Tellers) -> Manifest:
    """Restore a backup into a lab that stands still: files first, then the database aside, then the rest.

    Args:
        settings: the lab's.
        folder: of the backup.
        force: replace what the lab has.
        tell: who is told what is being done.

    Raises:
        InvalidInput: the folder is no backup.
        AlreadyRunning: the lab runs.
        AlreadyExists: it has collections or dataset versions, and `force` is not given.
        AssetCorrupt: the backup is damaged.
    """
    manifest = Manifest.read(folder)
    tell.step("checking the backup")
    manifest.check(folder)
    home = LabHome(settings)
    home.prepare()
    with home.lock():
        supervisor = Supervisor(home)
        if supervisor.is_running():
            raise AlreadyRunning("the lab runs; stop it with `terralab down`, then restore")
        end_orphans(home, supervisor, tell.step)
        with database_for_a_while(settings):
            catalog = Catalog(settings.database_url)
            if not force:
                _refuse_used(settings, catalog)
            tell.step("stored files")
            restore_files(Workspace(settings).store, folder, manifest.files, tell.files)
            restore_database(catalog, manifest, folder, tell.step)
        _restore_rest(settings, home, manifest, folder)
    return manifest


def _prepare(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        raise AlreadyExists(f"{folder} holds a backup already; name a new folder")
    known = {"database", "store", "files.txt.zst", f".{MANIFEST}", VERSIONS, PREFECT}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []
    if others:
        raise InvalidInput(f"{folder} holds other things, such as {others[0]}; name a new or empty folder")
    folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    folder.chmod(_PRIVATE)


@contextmanager
def _still_or_running(settings: Settings, home: LabHome) -> Iterator[None]:
    """Keep a lab that stands still from being started while its cluster runs for the backup alone."""
    home.prepare()
    still = not settings.database.database_url and not Supervisor(home).is_running()
    with home.lock() if still else nullcontext():
        yield


def _refuse_used(settings: Settings, catalog: Catalog) -> None:
    what = None
    if has_catalog(catalog):
        what = "collections"
    elif (settings.versions_folder / ".git").is_dir():
        what = f"dataset versions in {settings.versions_folder}"
    if what:
        raise AlreadyExists(f"the lab in {settings.lab.home} has {what} already; --force replaces them by the backup's")


def _write_rest(settings: Settings, home: LabHome, folder: Path) -> Iterator[str]:
    """Write what is neither in the database nor in the store, and yield the names of the files."""
    if (settings.versions_folder / ".git").is_dir():
        from terralab.datasets.dvc_repository import VersionRepository

        repository = VersionRepository(
            settings.versions_folder, Workspace(settings).store, settings.work_folder / "dvc"
        )
        with repository.alone():
            pack(settings.versions_folder, folder / VERSIONS, _belongs)
        yield VERSIONS
    if (home.prefect / PREFECT).is_file():
        with (
            closing(sqlite3.connect(f"file:{home.prefect / PREFECT}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(folder / PREFECT)) as target,
        ):
            source.backup(target)
        yield PREFECT


def _belongs(path: Path) -> bool:
    """Leave out what DVC makes again: its caches, and the chips of a version that was checked out."""
    checked_out = len(path.parts) == 2 and path.name == "chips"
    return path.parts[:2] not in ((".dvc", "tmp"), (".dvc", "cache"), (".dvc", "config.local")) and not checked_out


def _restore_rest(settings: Settings, home: LabHome, manifest: Manifest, folder: Path) -> None:
    stamp = f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if VERSIONS in manifest.checksums:
        aside = settings.versions_folder.with_name(f".{settings.versions_folder.name}.{os.getpid()}")
        unpack(folder / VERSIONS, aside)
        _set_aside(settings.versions_folder, stamp)
        aside.rename(settings.versions_folder)
    if PREFECT in manifest.checksums:
        for name in (f"{PREFECT}-wal", f"{PREFECT}-shm", PREFECT):
            _set_aside(home.prefect / name, stamp)
        shutil.copyfile(folder / PREFECT, home.prefect / f".{PREFECT}")
        (home.prefect / f".{PREFECT}").rename(home.prefect / PREFECT)


def _set_aside(path: Path, stamp: str) -> None:
    """Keep what was there: nothing of a user's is ever deleted."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.{stamp}"))
