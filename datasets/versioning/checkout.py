"""A version as files in a folder: `images/…`, `masks/…`, …, `manifest.json` and `split.csv`.

A new folder gets its name when it is complete; until then its files lie beside it, and the next call goes on there. A
folder with an earlier checkout of the dataset is brought to the version file by file. What the user changed in it is
never overwritten unless told to.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terralab.catalog.errors import AlreadyExists, InvalidInput
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.versioning.file_links import Link, best_link, make_link
from terralab.datasets.versioning.frozen_version import FrozenVersion, path_below
from terralab.datasets.versioning.verification import Verifier, in_threads, md5_of, stored_path
from terralab.datasets.versions import split_table
from terralab.extensions.checksum import MD5_PREFIX

_MANIFEST, _SPLIT = "manifest.json", "split.csv"
_SHOWN = 5
_FETCHED_AHEAD = 256


@dataclass(frozen=True)
class CheckedOut:
    """What a checkout did.

    Attributes:
        folder: where the version is.
        files: how many it has.
        written: how many were not there yet, or were of another version.
        removed: how many of another version were taken away.
        link: how files were written; None where none was.
    """

    folder: Path
    files: int
    written: int
    removed: int
    link: Link | None


def check_out(version: FrozenVersion, folder: Path, work: Path, copy: bool = False, force: bool = False) -> CheckedOut:
    """Put a version into a folder.

    Args:
        version: which one.
        folder: made where it is missing.
        work: of the lab, for what is known of the store's files.
        copy: give the folder files of its own, which may be written to.
        force: overwrite files that the user changed.

    Raises:
        AssetCorrupt: the store lacks a file, or has it with other bytes; the folder is as it was.
        InvalidInput: the folder has something else in it.
        AlreadyExists: files in it were changed since the last checkout.
        OutOfSpace: the disk is full.
    """
    faults = Verifier(version.store, work).faults(version.files)
    faults.refuse(f"the store {version.store.place}")
    target = Path(os.path.abspath(folder))
    with disk_full_as_error(target.parent):
        if _is_blank(target):
            aside = target.with_name(f".{target.name}.{version.record.dvc_tree.removesuffix('.dir')[:12]}.part")
            aside.mkdir(parents=True, exist_ok=True)
            done = _Checkout(version, aside, copy).bring({}, force=True)
            if target.is_dir():
                target.rmdir()
            aside.rename(target)
        else:
            done = _Checkout(version, target, copy).bring(_earlier(version, target), force)
    return CheckedOut(target, *done)


class _Checkout:
    """One checkout into a folder."""

    def __init__(self, version: FrozenVersion, folder: Path, copy: bool) -> None:
        self._version, self._folder = version, folder
        self._link = Link.COPY if copy else None
        self._wanted = {path_below(folder, path): md5 for path, md5 in version.by_path.items()}

    def bring(self, earlier: Mapping[str, str], force: bool) -> tuple[int, int, int, Link | None]:
        """Bring the folder to the version.

        Args:
            earlier: MD5s by relpath of the version that was checked out before.
            force: overwrite what the user changed.

        Returns:
            How many files the version has, were written and were removed, and how.
        """
        before = {path_below(self._folder, path): md5 for path, md5 in earlier.items()}
        there = _files_below(self._folder)
        other = [path for path in self._wanted if path in there and not self._is(path, self._wanted[path])]
        unwanted = [path for path in before if path in there and path not in self._wanted]
        if not force:
            self._refuse_changed([path for path in (*other, *unwanted) if not self._is(path, before.get(path))])
        missing = [path for path in self._wanted if path not in there]
        self._write(missing)
        self._replace(other)
        for path in unwanted:
            os.unlink(path)
        for folder in sorted({os.path.dirname(path) for path in unwanted}, reverse=True):
            with suppress(OSError):  # others are in it
                os.rmdir(folder)
        self._write_text(_SPLIT, split_table(self._version.manifest))
        self._write_text(_MANIFEST, self._version.manifest_text)
        written = len(missing) + len(other)
        return len(self._wanted), written, len(unwanted), self._link if written else None

    def _is(self, path: str, md5: str | None) -> bool:
        """Say whether a file is that of an MD5: the stored file itself, or one with the same bytes."""
        if md5 is None:
            return False
        store = self._version.store
        if isinstance(store, FolderStore):
            with suppress(FileNotFoundError):
                if os.path.samefile(path, stored_path(store, md5)):
                    return True
        return md5_of(path) == md5

    def _refuse_changed(self, paths: Sequence[str]) -> None:
        if paths:
            named = ", ".join(os.path.relpath(path, self._folder) for path in sorted(paths)[:_SHOWN])
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            raise AlreadyExists(f"{self._folder}: {named}{more} were changed; --force overwrites them")

    def _write(self, paths: Sequence[str]) -> None:
        for folder in {os.path.dirname(path) for path in paths}:
            os.makedirs(folder, exist_ok=True)
        sources = self._sources(paths)
        for path in paths:
            source = next(sources)
            self._link = self._link or best_link(source, self._folder)
            make_link(source, path, self._link)

    def _replace(self, paths: Sequence[str]) -> None:
        asides = [f"{path}.{os.getpid()}.part" for path in paths]
        for path, aside, source in zip(paths, asides, self._sources(paths), strict=True):
            self._link = self._link or best_link(source, self._folder)
            make_link(source, aside, self._link)
            os.replace(aside, path)

    def _sources(self, paths: Sequence[str]) -> Iterator[str]:
        """Yield where the bytes of files are on this machine; from a bucket several are fetched at once."""
        store = self._version.store
        if isinstance(store, FolderStore):
            yield from (stored_path(store, self._wanted[path]) for path in paths)
            return
        with in_threads() as threads:
            for start in range(0, len(paths), _FETCHED_AHEAD):
                names = [MD5_PREFIX + self._wanted[path] for path in paths[start : start + _FETCHED_AHEAD]]
                yield from map(str, threads.map(store.open_name, names))

    def _write_text(self, name: str, content: bytes) -> None:
        aside = self._folder / f".{name}.{os.getpid()}"
        aside.write_bytes(content)
        aside.replace(self._folder / name)


def _files_below(folder: Path) -> set[str]:
    return {f"{place}/{name}" for place, _, names in os.walk(folder) for name in names}


def _is_blank(folder: Path) -> bool:
    if folder.is_dir():
        return not any(folder.iterdir())
    if folder.exists():
        raise InvalidInput(f"{folder} is no folder")
    return True


def _earlier(version: FrozenVersion, folder: Path) -> dict[str, str]:
    """Return the files of the version that is checked out in a folder."""
    try:
        manifest: Any = json.loads((folder / _MANIFEST).read_bytes())
        files = {str(file["relpath"]): str(file["md5"]) for file in manifest["files"]}
        dataset = manifest["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(
            f"{folder} is not empty and holds no checkout of {version.record.dataset}; choose an empty folder"
        ) from None
    if dataset != version.record.dataset:
        raise InvalidInput(f"{folder} holds a checkout of {dataset}; choose another folder for {version.name}")
    return files
