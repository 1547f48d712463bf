"""Many files at once into a store that is a folder: each is read once, and the disk is asked to keep them all together.

A file is written aside and gets its name when its bytes are on the disk, as with `Store.put`; but that asks the disk
about each file, which takes longer than all else where files are small.
"""

import errno
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO

from terralab.catalog.folder_store import FolderStore, flush
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.versioning.verification import READ_BYTES, in_threads, stored_path

_SLICE = 50  # a thread takes so many at once, since handing over one by one costs more than reading
_READ_ONLY = 0o444


@dataclass(frozen=True)
class Source:
    """A file to take in.

    Attributes:
        path: it is read, and stays.
        md5: what its bytes must hash to; None where that is to be found out.
    """

    path: str
    md5: str | None = None


@dataclass(frozen=True)
class Taken:
    """A file that was read.

    Attributes:
        md5: of its bytes.
        size: bytes.
        stored: whether the store has it now; False where its hash is not the one that was asked for.
        new: whether the store did not have it before.
    """

    md5: str
    size: int
    stored: bool
    new: bool


def take_in(store: FolderStore, sources: Sequence[Source], replace: bool = False) -> list[Taken]:
    """Copy files into the store, under the MD5 of their bytes.

    Args:
        store: a folder.
        sources: the files.
        replace: also write those that the store has with that size, since their bytes are damaged.

    Raises:
        OutOfSpace: the disk is full.
    """
    slices = [slice(start, start + _SLICE) for start in range(0, len(sources), _SLICE)]
    with disk_full_as_error(store.folder), store.scratch() as folder:
        read = partial(_read_some, store, replace, sources, str(folder))
        with in_threads([source.path for source in sources]) as threads:
            taken = [one for part in threads.map(read, slices) for one in part]
        _name(store, taken, str(folder))
    return taken


def _read_some(store: FolderStore, replace: bool, sources: Sequence[Source], folder: str, part: slice) -> list[Taken]:
    return [
        _read(store, replace, source, f"{folder}/{part.start + place}") for place, source in enumerate(sources[part])
    ]


def _read(store: FolderStore, replace: bool, source: Source, aside: str) -> Taken:
    """Hash a file; where the store lacks it, also copy it aside."""
    with open(source.path, "rb", buffering=0) as stream:
        content = stream.read(min(os.fstat(stream.fileno()).st_size + 1, READ_BYTES))
        if len(content) == READ_BYTES:
            md5, size = _copy(stream, content, aside)
        else:
            md5, size = hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content)
    if source.md5 not in (None, md5):
        return Taken(md5, size, stored=False, new=False)
    new = replace or not _has(store, md5, size)
    if new and size < READ_BYTES:
        _write(aside, content)
    return Taken(md5, size, stored=True, new=new)


def _copy(stream: FileIO, head: bytes, aside: str) -> tuple[str, int]:
    state, size = hashlib.md5(usedforsecurity=False), 0
    with open(aside, "wb", buffering=0) as target:
        while head:
            state.update(head)
            target.write(head)
            size += len(head)
            head = stream.read(READ_BYTES)
    os.chmod(aside, _READ_ONLY)
    return state.hexdigest(), size


def _write(aside: str, content: bytes) -> None:
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _READ_ONLY)
    try:
        written = os.write(handle, content)
    finally:
        os.close(handle)
    if written != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), aside)


def _has(store: FolderStore, md5: str, size: int) -> bool:
    """Say whether the store has a file; what is asked for counts as new again for the collection of garbage."""
    path = stored_path(store, md5)
    try:
        if os.stat(path).st_size != size:
            return False
    except FileNotFoundError:
        return False
    with suppress(PermissionError):
        os.utime(path)
    return True


def _name(store: FolderStore, taken: Sequence[Taken], folder: str) -> None:
    """Have the disk keep the new files, then give them their names, and have it keep those."""
    new = {one.md5: f"{folder}/{place}" for place, one in enumerate(taken) if one.new}
    if not new:
        return
    os.sync()
    for first in {md5[:2] for md5 in new}:
        os.makedirs(stored_path(store, first), exist_ok=True)
    for md5, aside in new.items():
        os.replace(aside, stored_path(store, md5))
    flush(store.folder / "files" / "md5")  # a journal that has this has the names before it
