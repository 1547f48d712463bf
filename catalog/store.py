"""The asset store: immutable files named by the hash of their bytes.

Layout (`files/md5` is exactly a DVC cache, so chips are versioned without a copy):

    store/files/sha256/ab/cdef…     everything but chips
    store/files/md5/ab/cdef…        chips and DVC trees
    store/tmp/                      being written; never visible

An asset's reference in the catalog is `asset://<multihash>/<file name>`, which holds on any host.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt, LabError, OutOfSpace
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.item import StoredFile

HREF_SCHEME = "asset://"
_READ_ONLY = 0o444
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_BELOW = 1 << 20


class Store:
    """Files by hash in a folder.

    Args:
        folder: the store's root, made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tmp = folder / "tmp"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder on the store's own disk for files that `put` will take; it is removed afterwards.

        Raises:
            OutOfSpace: the disk is full, also where the caller writes into the folder.
        """
        with disk_full_as_error(self._tmp):
            self._tmp.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(dir=self._tmp))
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def put(self, path: Path, name: str | None = None, algorithm: str = "sha256") -> StoredFile:
        """Move a finished file into the store and return its reference.

        The file is flushed to disk, hashed and renamed, so the stored name never shows partial bytes. A file that the
        store has already is dropped.

        Args:
            path: a file in a `scratch` folder; it is gone afterwards.
            name: file name that users see; the file's own by default.
            algorithm: `sha256`, or `md5` for chips.

        Raises:
            OutOfSpace: the disk is full.
        """
        with disk_full_as_error(path.parent):
            _flush(path)
            checksum = multihash_of_file(path, algorithm)
            stored = StoredFile(f"{HREF_SCHEME}{checksum}/{name or path.name}", path.stat().st_size, checksum)
            target = self.path(stored.href)
            if target.exists():
                path.unlink()
                return stored
            target.parent.mkdir(parents=True, exist_ok=True)
            path.chmod(_READ_ONLY)
            os.replace(path, target)
            _flush(target.parent)
        return stored

    def put_bytes(self, content: bytes, name: str, algorithm: str = "sha256") -> StoredFile:
        """Store `content` under the name that users see."""
        with self.scratch() as folder:
            path = folder / Path(name).name
            path.write_bytes(content)
            return self.put(path, name, algorithm)

    def path(self, href: str) -> Path:
        """Return where the bytes of `asset://<multihash>/<name>` lie (or would lie)."""
        return self.path_of_checksum(parse_href(href)[0])

    def path_of_checksum(self, checksum: str) -> Path:
        """Return where the bytes with that multihash lie (or would lie)."""
        algorithm, digits = split_multihash(checksum)
        return self.folder / "files" / algorithm / digits[:2] / digits[2:]

    def open_path(self, href: str) -> Path:
        """Return the path of stored bytes.

        Raises:
            AssetCorrupt: they are not there.
        """
        path = self.path(href)
        if not path.is_file():
            raise AssetCorrupt(f"{href}: the bytes are missing from the store {self.folder}")
        return path

    def verify(self, href: str) -> Path:
        """Return the path of stored bytes after comparing them with their hash.

        Raises:
            AssetCorrupt: they are missing or damaged.
        """
        path = self.open_path(href)
        checksum, _ = parse_href(href)
        if multihash_of_file(path, split_multihash(checksum)[0]) != checksum:
            raise AssetCorrupt(f"{href}: the bytes in {path} differ from their checksum; restore them from a backup")
        return path


def parse_href(href: str) -> tuple[str, str]:
    """Split `asset://<multihash>/<name>` into multihash and name.

    Raises:
        ValueError: it is not such a reference.
    """
    checksum, slash, name = href.removeprefix(HREF_SCHEME).partition("/")
    if not href.startswith(HREF_SCHEME) or not slash or not name or "/" in name:
        raise ValueError(f"{href!r} is not a reference into the asset store")
    split_multihash(checksum)
    return checksum, name


@contextmanager
def disk_full_as_error(folder: Path, *hiding: type[Exception]) -> Iterator[None]:
    """Turn 'no space left' while files are written in `folder` into the lab's own error.

    Args:
        folder: where they are written.
        hiding: errors of libraries that do not say why a write failed (GDAL, torch, safetensors). They count as a full
            disk where there is no space left; use the context where the partial file still takes its space.

    Raises:
        OutOfSpace: the disk is full.
    """
    telling: tuple[type[Exception], ...] = (OSError, *hiding)
    try:
        yield
    except LabError:
        raise
    except telling as error:
        if getattr(error, "errno", None) in _FULL or (isinstance(error, hiding) and _is_full(folder)):
            raise OutOfSpace(f"no space left on the disk of {folder}; free some and repeat the command") from error
        raise


def _is_full(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free < _FULL_BELOW


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
