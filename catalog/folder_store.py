"""An asset store in a folder: files are flushed, hashed and renamed, so a stored name never shows partial bytes."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt, ServiceUnavailable
from terralab.catalog.store import HREF_SCHEME, StoredObject, disk_full_as_error, key_of, name_of, parse_href
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.item import StoredFile

PIECE_BYTES = 1 << 20
_FLUSHED_AT_ONCE = 16  # the disk takes many flushes together in the time of one
_READ_ONLY = 0o444


class FolderStore:
    """Files by hash in a folder.

    Args:
        folder: the store's root, made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)
        self._tmp = folder / "tmp"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder on the store's own disk for files that `put` will take; it is removed afterwards."""
        with disk_full_as_error(self._tmp):
            self._tmp.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(dir=self._tmp))
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def put(self, path: Path, name: str | None = None, algorithm: str = "sha256", suffix: str = "") -> StoredFile:
        """Move a finished file into the store and return its reference."""
        with disk_full_as_error(path.parent):
            flush(path)
            checksum = multihash_of_file(path, algorithm)
            size = path.stat().st_size
            place_file(path, self.path_of_name(checksum + suffix))
        return StoredFile(f"{HREF_SCHEME}{checksum}/{name or path.name}", size, checksum)

    def put_many(self, files: Sequence[tuple[Path, str]], algorithm: str = "sha256") -> list[StoredFile]:
        """Move many finished files into the store at once, and return their references in that order."""
        if not files:
            return []
        with disk_full_as_error(files[0][0].parent), ThreadPoolExecutor(_FLUSHED_AT_ONCE) as threads:
            stored = list(threads.map(lambda file: _flushed(file[0], file[1], algorithm), files))
            folders: set[Path] = set()
            for (path, _), file in zip(files, stored, strict=True):
                target = self.path_of_name(file.checksum)
                folders |= {target.parent, target.parent.parent}
                _rename(path, target)
            # Also of files that were there: who put them may not have come to flushing their names.
            list(threads.map(flush, sorted(folders)))
        return stored

    def put_bytes(self, content: bytes, name: str, algorithm: str = "sha256", suffix: str = "") -> StoredFile:
        """Store `content` under the name that users see."""
        with self.scratch() as folder:
            path = folder / Path(name).name
            path.write_bytes(content)
            return self.put(path, name, algorithm, suffix)

    def path(self, href: str) -> Path:
        """Return where the bytes of `asset://<multihash>/<name>` lie (or would lie)."""
        return self.path_of_name(parse_href(href)[0])

    def path_of_name(self, name: str) -> Path:
        """Return where the file of that name lies (or would lie)."""
        return self.folder / key_of(name)

    def open_path(self, href: str) -> Path:
        """Return the path of stored bytes."""
        return self._there(parse_href(href)[0], href)

    def open_name(self, name: str) -> Path:
        """Return the path of a stored file."""
        return self._there(name, name)

    def verify(self, href: str) -> Path:
        """Return the path of stored bytes after comparing them with their hash."""
        path = self.open_path(href)
        checksum, _ = parse_href(href)
        if multihash_of_file(path, split_multihash(checksum)[0]) != checksum:
            raise AssetCorrupt(f"{href}: the bytes in {path} differ from their checksum; restore them from a backup")
        return path

    def size(self, name: str) -> int | None:
        """Return the size of a file, None where the store has none of that name."""
        found = self._state(name)
        return None if found is None else found.size

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those files that the store has."""
        return {entry.name: entry.size for entry in self.find(names)}

    def find(self, names: Iterable[str]) -> list[StoredObject]:
        """Return those files that the store has."""
        return [entry for name in names if (entry := self._state(name)) is not None]

    def local(self, name: str) -> Path | None:
        """Return where a file lies, None where the store has none of that name."""
        return None if self.size(name) is None else self.path_of_name(name)

    def pieces(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to (without) `end`."""
        with self.open_name(name).open("rb") as stream:
            stream.seek(start)
            left = (os.fstat(stream.fileno()).st_size if end is None else end) - start
            while left > 0:
                piece = stream.read(min(PIECE_BYTES, left))
                if not piece:
                    raise AssetCorrupt(f"{name}: the file is {left} bytes shorter than it was")
                left -= len(piece)
                yield piece

    def objects(self) -> Iterator[StoredObject]:
        """Yield every file in the store."""
        for path in (self.folder / "files").glob("*/*/*"):
            name = name_of(path.relative_to(self.folder).as_posix())
            if name is not None and (entry := self._state(name)) is not None:
                yield entry

    def remove(self, names: Iterable[str]) -> None:
        """Delete files."""
        for name in names:
            self.path_of_name(name).unlink(missing_ok=True)

    def check(self) -> None:
        """Touch the store."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with os.scandir(self.folder) as entries:
                next(entries, None)
        except OSError as error:
            raise ServiceUnavailable(f"the asset store {self.folder} cannot be read ({error.strerror})") from error

    def _state(self, name: str) -> StoredObject | None:
        try:
            found = self.path_of_name(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return StoredObject(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _there(self, name: str, shown: str) -> Path:
        path = self.path_of_name(name)
        if not path.is_file():
            raise AssetCorrupt(f"{shown}: the bytes are missing from the store {self.folder}")
        return path


def place_file(path: Path, target: Path) -> None:
    """Rename a flushed file to its final place; where it is there already (whole), only its time becomes now."""
    make_folder(target.parent)
    if _rename(path, target):
        flush(target.parent)


def _flushed(path: Path, name: str, algorithm: str) -> StoredFile:
    """Have the disk keep a file, and return its reference."""
    flush(path)
    checksum = multihash_of_file(path, algorithm)
    return StoredFile(f"{HREF_SCHEME}{checksum}/{name}", path.stat().st_size, checksum)


def _rename(path: Path, target: Path) -> bool:
    """Rename a flushed file to its final place; False where it is there already (whole), and its time becomes now."""
    os.utime(path)
    if _same_size(path, target):
        with suppress(PermissionError):  # of another user; garbage is then told by its references alone
            os.utime(target)
        path.unlink()
        return False
    make_folder(target.parent.parent)
    target.parent.mkdir(exist_ok=True)
    path.chmod(_READ_ONLY)
    os.replace(path, target)
    return True


def make_folder(folder: Path) -> None:
    """Make a folder and those above it so that the disk keeps them."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def flush(path: Path) -> None:
    """Have the disk keep a file or a folder's list of names, also when the power goes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _same_size(path: Path, target: Path) -> bool:
    try:
        return target.stat().st_size == path.stat().st_size
    except FileNotFoundError:
        return False
