"""Whether the store has the files of a version as they were frozen.

Bytes are hashed once for each state of a file (inode, time of change, size) and that is remembered between commands, as
DVC does; a file that was written to since is hashed anew. The full proof (`prove`) remembers nothing.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.store import Store
from terralab.extensions.checksum import MD5_PREFIX

READ_BYTES = 1 << 20
_SHOWN = 5
Files = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Faults:
    """What is wrong with files of a version in the store.

    Attributes:
        missing: entries of files that are not there, or have another size.
        damaged: entries of files whose bytes have another hash.
    """

    missing: tuple[Mapping[str, Any], ...]
    damaged: tuple[Mapping[str, Any], ...]

    def refuse(self, place: str) -> None:
        """Say which files they are.

        Raises:
            AssetCorrupt: there are any.
        """
        for files, state in ((self.damaged, "differ from their checksum"), (self.missing, "are missing")):
            if files:
                named = ", ".join(f"{file['relpath']} ({file['md5']})" for file in files[:_SHOWN])
                more = f" and of {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
                raise AssetCorrupt(
                    f"the bytes of {named}{more} {state} in {place}; restore them by `terralab datasets pull`"
                )


class Verifier:
    """Compares stored files with their hashes.

    Args:
        store: where they are.
        work: folder for what is remembered.
    """

    def __init__(self, store: Store, work: Path) -> None:
        self._store, self._folder = store, work / "verified"

    def faults(self, tree: str, files: Files) -> Faults:
        """Return what is wrong; of a store on another machine, whose copies are checked as they arrive, only sizes.

        Args:
            tree: hash of the version, under which the states are remembered.
            files: `relpath`, `md5` and `size` of each, always in the same order.
        """
        if not isinstance(self._store, FolderStore):
            sizes = self._store.sizes(MD5_PREFIX + str(file["md5"]) for file in files)
            lost = [file for file in files if sizes.get(MD5_PREFIX + str(file["md5"])) != file["size"]]
            return Faults(tuple(lost), ())
        paths = [stored_path(self._store, str(file["md5"])) for file in files]
        states = _states(paths)
        there = states[:, 2] == np.fromiter((int(file["size"]) for file in files), np.int64, len(files))
        unknown: list[int] = np.flatnonzero(there & ~self._known(tree, states)).tolist()
        intact = _hash_all([paths[place] for place in unknown], [str(files[place]["md5"]) for place in unknown])
        damaged = [place for place, whole in zip(unknown, intact, strict=True) if not whole]
        if unknown:
            self._remember(tree, states, damaged)
        missing: list[int] = np.flatnonzero(~there).tolist()
        return Faults(tuple(files[place] for place in missing), tuple(files[place] for place in damaged))

    def _known(self, tree: str, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        try:
            earlier = np.load(self._path(tree), allow_pickle=False)
        except (OSError, ValueError):
            return np.zeros(len(states), bool)
        if earlier.shape != states.shape:
            return np.zeros(len(states), bool)
        same: NDArray[np.bool_] = (earlier == states).all(axis=1)
        return same

    def _remember(self, tree: str, states: NDArray[np.int64], damaged: list[int]) -> None:
        known = states.copy()
        known[damaged] = -1
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f".{tree}.{os.getpid()}.npy"
        np.save(aside, known)
        os.replace(aside, self._path(tree))

    def _path(self, tree: str) -> Path:
        return self._folder / f"{tree}.npy"


def stored_path(store: FolderStore, md5: str) -> str:
    """Return where a chip's file lies in a store that is a folder."""
    return f"{store.folder}/files/md5/{md5[:2]}/{md5[2:]}"


def md5_of(path: str | Path) -> str:
    """Return the MD5 of a file, in hex digits."""
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(READ_BYTES)
        state = hashlib.md5(head, usedforsecurity=False)
        while len(head) == READ_BYTES:
            head = stream.read(READ_BYTES)
            state.update(head)
        return state.hexdigest()


def in_threads() -> ThreadPoolExecutor:
    """Return threads for work on many files, which waits for the disk and hashes without the interpreter's lock."""
    return ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1)), thread_name_prefix="files")


def _states(paths: Sequence[str]) -> NDArray[np.int64]:
    states = np.full((len(paths), 3), -1, np.int64)
    for place, path in enumerate(paths):
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        states[place] = found.st_ino, found.st_mtime_ns, found.st_size
    return states


def _hash_all(paths: Sequence[str], md5s: Sequence[str]) -> list[bool]:
    with in_threads() as threads:
        return [one == md5 for one, md5 in zip(threads.map(md5_of, paths), md5s, strict=True)]
