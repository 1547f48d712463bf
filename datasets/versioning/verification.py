"""Whether the store has the files of a version as they were frozen.

Bytes are hashed once for each state of a file (inode, time of change, size) and that is remembered between commands, as
DVC does; a file that was written to since is hashed anew. `prove` can read all bytes in any case.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.store import Store
from terralab.datasets.versioning.verified_states import VerifiedStates, states_of
from terralab.extensions.checksum import MD5_PREFIX

READ_BYTES = 1 << 20
_SHOWN = 5
_SLICE = 50
_SAMPLE = 20
_LARGE = 1 << 18
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
        self._store, self._states = store, VerifiedStates(work / "verified.npy")

    def faults(self, files: Files) -> Faults:
        """Return what is wrong; of a store on another machine, whose copies are checked as they arrive, only sizes.

        Args:
            files: `relpath`, `md5` and `size` of each.
        """
        if not isinstance(self._store, FolderStore):
            sizes = self._store.sizes(MD5_PREFIX + str(file["md5"]) for file in files)
            lost = [file for file in files if sizes.get(MD5_PREFIX + str(file["md5"])) != file["size"]]
            return Faults(tuple(lost), ())
        md5s = [str(file["md5"]) for file in files]
        paths = [stored_path(self._store, md5) for md5 in md5s]
        states = states_of(paths)
        there = states[:, 2] == np.fromiter((int(file["size"]) for file in files), np.int64, len(files))
        known = (self._states.known(md5s) == states).all(axis=1)
        unknown: list[int] = np.flatnonzero(there & ~known).tolist()
        intact = _hash_all([paths[place] for place in unknown], [md5s[place] for place in unknown])
        whole = [place for place, fine in zip(unknown, intact, strict=True) if fine]
        if whole:
            self._states.remember([md5s[place] for place in whole], states[whole])
        missing: list[int] = np.flatnonzero(~there).tolist()
        damaged = sorted(set(unknown) - set(whole))
        return Faults(tuple(files[place] for place in missing), tuple(files[place] for place in damaged))

    def trust(self, md5s: Sequence[str]) -> None:
        """Remember files as whole that were written a moment ago from bytes of that MD5."""
        if isinstance(self._store, FolderStore) and md5s:
            self._states.remember(md5s, states_of([stored_path(self._store, md5) for md5 in md5s]))


def stored_path(store: FolderStore, md5: str) -> str:
    """Return where a chip's file lies in a store that is a folder."""
    return f"{store.folder}/files/md5/{md5[:2]}/{md5[2:]}"


def md5_of(path: str | Path) -> str:
    """Return the MD5 of a file, in hex digits."""
    with open(path, "rb", buffering=0) as stream:
        size = min(os.fstat(stream.fileno()).st_size + 1, READ_BYTES)  # a larger buffer takes longer than to read
        state = hashlib.md5(usedforsecurity=False)
        while piece := stream.read(size):
            state.update(piece)
        return state.hexdigest()


def in_threads(paths: Sequence[str | Path] = ()) -> ThreadPoolExecutor:
    """Return threads for work on many files, which waits for the disk or the network.

    Args:
        paths: files on this machine that are to be read. Where they are small, one thread is the fastest, since
            several hinder each other at the interpreter's lock.
    """
    sample = [os.stat(path).st_size for path in paths[:: max(1, len(paths) // _SAMPLE)]]
    small = bool(sample) and sum(sample) < _LARGE * len(sample)
    return ThreadPoolExecutor(1 if small else min(8, 2 * (os.cpu_count() or 1)), thread_name_prefix="files")


def _hash_all(paths: Sequence[str], md5s: Sequence[str]) -> list[bool]:
    slices = [slice(start, start + _SLICE) for start in range(0, len(paths), _SLICE)]
    with in_threads(paths) as threads:
        parts = threads.map(lambda part: [md5_of(path) for path in paths[part]], slices)
        return [one == md5 for one, md5 in zip((one for part in parts for one in part), md5s, strict=True)]
