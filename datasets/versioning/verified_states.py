"""Which files of the store were found whole, and in which state: inode, time of change, size.

One array on the disk, sorted by MD5. Whoever writes last wins; what is lost so is found out again.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROW = np.dtype([("md5", "S32"), ("state", "<i8", (3,))])
States = NDArray[np.int64]
"""One row for each file: inode, time of change in ns, size; -1 where there is none."""


class VerifiedStates:
    """Remembers them.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, md5s: Sequence[str]) -> States:
        """Return the states in which files were found whole, -1 where that is not known."""
        found = np.full((len(md5s), 3), -1, np.int64)
        rows = self._rows()
        if len(rows) and len(md5s):
            wanted = np.array(md5s, "S32")
            places = np.minimum(np.searchsorted(rows["md5"], wanted), len(rows) - 1)
            there = rows["md5"][places] == wanted
            found[there] = rows["state"][places[there]]
        return found

    def remember(self, md5s: Sequence[str], states: States) -> None:
        """Remember states of files that were found whole."""
        new: NDArray[Any] = np.zeros(len(md5s), _ROW)
        new["md5"], new["state"] = np.array(md5s, "S32"), states
        both = np.concatenate([new, self._rows()])
        _, first = np.unique(both["md5"], return_index=True)  # the first of equal ones is the new one
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}.npy")
        np.save(aside, both[first])
        os.replace(aside, self._path)

    def _rows(self) -> NDArray[Any]:
        try:
            rows: NDArray[Any] = np.load(self._path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return np.zeros(0, _ROW)
        return rows if rows.dtype == _ROW else np.zeros(0, _ROW)


def states_of(paths: Sequence[str]) -> States:
    """Return the states of files as they are."""
    states = np.full((len(paths), 3), -1, np.int64)
    for place, path in enumerate(paths):
        try:
            found = os.stat(path)
        except FileNotFoundError:
            continue
        states[place] = found.st_ino, found.st_mtime_ns, found.st_size
    return states
