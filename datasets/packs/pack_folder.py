"""Where packs are kept: one folder for each tree hash, the least recently used ones deleted when room is needed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.settings import Settings
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.index import INDEX_FILE, PackIndex
from terralab.datasets.packs.pack import Pack
from terralab.datasets.packs.packing import OnChip, OpenFile, make_pack
from terralab.datasets.packs.stored_pack import PackSource, fetch_pack

FOLDER = "packs"


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


class PackFolder:
    """The packs of a machine, which several processes may use at once.

    Args:
        folder: where they lie.
        limit: bytes that they may take; one that is needed is made even where it alone takes more.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self._limit = folder, limit

    @classmethod
    def of_settings(cls, settings: Settings) -> "PackFolder":
        """Return the packs in the lab's home folder."""
        return cls(settings.work_folder / FOLDER, round(settings.packs.cache_gb * 1e9))

    def open(
        self, contents: Contents, open_file: OpenFile, on_chip: OnChip = _silent, stored: PackSource | None = None
    ) -> Pack:
        """Return the pack of the contents, made now where there is none.

        Args:
            contents: the chips.
            open_file: gives their files.
            on_chip: told of every chip that is packed.
            stored: where the pack can be fetched from, in place of being made.

        Raises:
            AssetCorrupt: a file is missing or differs from its checksum; the message names it.
            InvalidInput: a chip is not like the others.
            OutOfSpace: the disk is full.
        """
        contents.checked()
        found = self.find(contents)
        if found is not None:
            return found
        path = self.path(contents)
        with self._alone(path.name):
            found = self.find(contents)
            if found is not None:
                return found
            if stored is not None:
                fetch_pack(stored, contents, path, on_chip)
            else:
                make_pack(contents, open_file, path, on_chip)
            pack = Pack(path)
        self.shrink()
        return pack

    def find(self, contents: Contents) -> Pack | None:
        """Return the pack of the contents where it is there; one that is damaged is deleted."""
        path = self.path(contents)
        try:
            pack = Pack(path)
            os.utime(path / INDEX_FILE)
        except FileNotFoundError:
            return None
        except AssetCorrupt:
            shutil.rmtree(path, ignore_errors=True)
            return None
        return pack

    def path(self, contents: Contents) -> Path:
        """Return where the pack of the contents is, or would be."""
        return self.folder / contents.tree.removesuffix(".dir")

    def shrink(self) -> None:
        """Delete the packs that were not used for longest until the rest is within the limit; those in use stay."""
        packs = sorted(self._packs())
        total = sum(size for _, size, _ in packs)
        for _, size, path in packs:
            if total <= self._limit:
                return
            with suppress(OSError), (path / INDEX_FILE).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
                total -= size

    def _packs(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.glob(f"*/{INDEX_FILE}"):
            if path.parent.name.startswith("."):
                continue
            with suppress(OSError, AssetCorrupt):
                yield path.stat().st_mtime, PackIndex.of_folder(path.parent).size, path.parent

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let one process make a pack; the others wait for it."""
        path = self.folder / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
