"""The asset store: immutable files named by the hash of their bytes, in a folder or on S3.

Layout (`files/md5` is exactly a DVC cache, so chips are versioned without a copy):

    files/sha256/ab/cdef…      everything but chips
    files/md5/ab/cdef…         chips
    files/md5/ab/cdef….dir     DVC trees: which files a dataset version has
    tmp/                       being written; never visible

An asset's reference in the catalog is `asset://<multihash>/<file name>`, which holds on any host.
"""

import errno
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from terralab.catalog.errors import LabError, OutOfSpace
from terralab.extensions.checksum import MD5_PREFIX, SHA256_PREFIX, split_multihash
from terralab.extensions.item import StoredFile

if TYPE_CHECKING:
    from terralab.catalog.settings import Settings

HREF_SCHEME = "asset://"
TREE_SUFFIX = ".dir"
_PREFIXES = {"sha256": SHA256_PREFIX, "md5": MD5_PREFIX}
_KEY = re.compile(r"files/(sha256|md5)/([0-9a-f]{2})/([0-9a-f]+)(\.dir)?")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_BELOW = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    """A file as a listing of the store gives it.

    Attributes:
        name: its multihash; of a DVC tree with `.dir` behind it.
        size: bytes.
        modified: when it was stored last; storing the same bytes again counts.
    """

    name: str
    size: int
    modified: datetime


class Store(Protocol):
    """What every asset store can do.

    Names of files are multihashes; those of DVC trees have `.dir` behind them. Where a store is on another machine, any
    method may raise ServiceUnavailable (it does not answer) or SetupProblem (it refuses the lab).

    Attributes:
        folder: where files lie on this machine: the store itself, or its cache.
        place: what the store is called in messages; never with a password.
    """

    folder: Path
    place: str

    def scratch(self) -> AbstractContextManager[Path]:
        """Yield a folder on the disk of `folder` for files that `put` will take; it is removed afterwards.

        Raises:
            OutOfSpace: the disk is full, also where the caller writes into the folder.
        """
        ...

    def put(self, path: Path, name: str | None = None, algorithm: str = "sha256", suffix: str = "") -> StoredFile:
        """Move a finished file into the store and return its reference.

        The stored name never shows partial bytes. A file that the store has already is dropped, but counts as new again
        for the collection of garbage.

        Args:
            path: a file in a `scratch` folder; it is gone afterwards.
            name: file name that users see; the file's own by default.
            algorithm: `sha256`, or `md5` for chips.
            suffix: `.dir` for a DVC tree.

        Raises:
            OutOfSpace: the disk is full.
        """
        ...

    def put_many(self, files: Sequence[tuple[Path, str]], algorithm: str = "sha256") -> list[StoredFile]:
        """Move many finished files into the store at once, and return their references in that order.

        As `put` does, and much faster for small files: none has its name before its bytes are safe, and all are safe
        when this returns.

        Args:
            files: files in a `scratch` folder, gone afterwards, and the names that users see.
            algorithm: `sha256`, or `md5` for chips.

        Raises:
            OutOfSpace: the disk is full.
        """
        ...

    def put_bytes(self, content: bytes, name: str, algorithm: str = "sha256", suffix: str = "") -> StoredFile:
        """Store `content` under the name that users see."""
        ...

    def open_path(self, href: str) -> Path:
        """Return the path of the bytes of `asset://<multihash>/<name>` on this machine, fetched where need be.

        Raises:
            AssetCorrupt: they are not in the store.
        """
        ...

    def open_name(self, name: str) -> Path:
        """Return the path of a file by its multihash, as `open_path` does."""
        ...

    def verify(self, href: str) -> Path:
        """Return the path of stored bytes after comparing them with their hash.

        Raises:
            AssetCorrupt: they are missing or damaged.
        """
        ...

    def size(self, name: str) -> int | None:
        """Return the size of a file, None where the store has none of that name."""
        ...

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those files that the store has."""
        ...

    def find(self, names: Iterable[str]) -> list[StoredObject]:
        """Return those files that the store has."""
        ...

    def local(self, name: str) -> Path | None:
        """Return where a file lies for as long as it is in the store; None where it is not on this machine."""
        ...

    def pieces(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to (without) `end`, straight from the store.

        Raises:
            AssetCorrupt: they are missing, or shorter than that.
        """
        ...

    def objects(self) -> Iterator[StoredObject]:
        """Yield every file in the store."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Delete files; those that are gone already are no error."""
        ...

    def check(self) -> None:
        """Touch the store.

        Raises:
            ServiceUnavailable: it cannot be read.
        """
        ...


def open_store(settings: "Settings", holds: bool = False) -> Store:
    """Return the store that the settings name.

    Args:
        settings: the lab's.
        holds: files that this process opened stay on this machine until it ends, as long work needs.
    """
    if settings.store.on_s3:
        from terralab.catalog.s3_store import S3Store

        return S3Store(settings.store, settings.store_folder, holds)
    from terralab.catalog.folder_store import FolderStore

    return FolderStore(settings.store_folder)


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


def key_of(name: str) -> str:
    """Return where a file lies in any store, such as `files/sha256/ab/cdef…`.

    Raises:
        ValueError: the name is not a multihash.
    """
    checksum = name.removesuffix(TREE_SUFFIX)
    algorithm, digits = split_multihash(checksum)
    return f"files/{algorithm}/{digits[:2]}/{digits[2:]}{name[len(checksum) :]}"


def name_of(key: str) -> str | None:
    """Return the name of the file at a key; None for what is no file of the store."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    algorithm, first, rest, suffix = match.groups()
    name = _PREFIXES[algorithm] + first + rest
    try:
        split_multihash(name)
    except ValueError:
        return None
    return name + (suffix or "")


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
