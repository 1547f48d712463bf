"""Local copies of an asset store that is on another machine, so that programs which want a path get one.

    files/…            the copies, laid out as in the store
    tmp/               being written; never visible
    locks/             one process fetches a file, the others wait for it
    held/<process>/    links to what a process works with

The least recently used copies are deleted when their sum passes the limit, except those that a running process holds
and those that were opened a moment ago: whoever was given a path finds the file there.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from terralab.catalog.folder_store import FolderStore
from terralab.catalog.store import disk_full_as_error

_YOUNG_S = 600.0
_KEEP_SHARE = 0.9
_SLACK_SHARE = 0.05
_READ_ONLY = 0o444

Fetch = Callable[[Path], None]


class StoreCache:
    """Copies of stored files in a folder, which several processes may share.

    Args:
        folder: where they lie.
        limit: bytes that the copies may take, about.
        holds: keep what this process opens until it ends.
    """

    def __init__(self, folder: Path, limit: int, holds: bool) -> None:
        self.files = FolderStore(folder)
        self._folder, self._limit, self._holds = folder, limit, holds
        self._holder: _Holder | None = None
        self._added = limit  # every process looks once at what earlier ones left

    def path(self, name: str, fetch: Fetch) -> Path:
        """Return the path of a file, fetched where there is no copy yet.

        Args:
            name: the file's.
            fetch: writes the file to a path and checks it.
        """
        if not self._use(name):
            with disk_full_as_error(self._folder), self._alone(name):
                if not self._use(name):
                    self._fetch(name, fetch)
        return self.files.path_of_name(name)

    def add(self, path: Path, name: str) -> None:
        """Take over a finished file as the copy of a stored one."""
        target = self.files.path_of_name(name)
        self._added += path.stat().st_size
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(_READ_ONLY)
        os.utime(path)
        os.replace(path, target)
        self._use(name)
        if self._added > self._limit * _SLACK_SHARE:
            self._added = 0
            self.shrink()

    def forget(self, name: str) -> None:
        """Delete a copy."""
        self.files.remove([name])

    def shrink(self) -> None:
        """Delete the least recently used copies until the rest is well below the limit."""
        _release_dead(self._folder / "held")
        copies = sorted(self._copies())
        total = sum(size for _, size, _ in copies)
        if total <= self._limit:
            return
        for used, size, path in copies:
            if total <= self._limit * _KEEP_SHARE or used > time.time() - _YOUNG_S:
                return
            with suppress(FileNotFoundError):
                if path.stat().st_nlink == 1:
                    path.unlink()
                    total -= size

    def _fetch(self, name: str, fetch: Fetch) -> None:
        with self.files.scratch() as folder:
            path = folder / "copy"
            fetch(path)
            self.add(path, name)

    def _use(self, name: str) -> bool:
        """Say whether there is a copy, and note that it is used."""
        target = self.files.path_of_name(name)
        try:
            os.utime(target)
            if self._holds:
                self._own_holder().hold(target)
        except FileNotFoundError:
            return False
        return True

    def _own_holder(self) -> "_Holder":
        if self._holder is None or self._holder.pid != os.getpid():  # a forked process holds for itself
            self._holder = _Holder(self._folder / "held")
        return self._holder

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        for path in (self._folder / "files").glob("*/*/*"):
            with suppress(FileNotFoundError):
                found = path.stat()
                yield found.st_mtime, found.st_size, path

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let one process fetch a file; where two still do, each writes aside and the last one stays."""
        path = self._folder / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)


class _Holder:
    """Links to the files that one process works with; they are void when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(dir=folder, prefix=f"{self.pid}-"))
        self._lock = (self._folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def hold(self, target: Path) -> None:
        """Link a file, unless it is linked already."""
        link = self._folder / f"{target.parent.name}{target.name}"
        with suppress(FileNotFoundError):
            if link.samefile(target):
                return
            link.unlink()  # the copy was damaged and fetched anew
        with suppress(FileExistsError):  # another thread was faster
            os.link(target, link)


def _release_dead(folder: Path) -> None:
    """Remove the links of processes that have ended."""
    for held in folder.glob("*"):
        with suppress(OSError):  # still locked, or removed by another process meanwhile
            if held.stat().st_mtime < time.time() - _YOUNG_S:
                with (held / "lock").open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(held)
