"""An asset store on S3, or on a server that speaks its protocol, with a cache on this machine.

A PUT shows the whole file or nothing, and the server compares each request with the SHA-256 that it was signed with, so
uploads go to the final name; their size is looked at afterwards. Files are fetched in pieces of a few megabytes, each
tried again by itself, and a copy is compared with its hash before it gets a name.

`touched/<name>` is an empty object that says when a file was stored again: S3 cannot renew a file's own time.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from terralab.catalog.errors import AssetCorrupt, ServiceUnavailable, SetupProblem
from terralab.catalog.folder_store import flush
from terralab.catalog.settings import StoreSettings
from terralab.catalog.store import HREF_SCHEME, TREE_SUFFIX, StoredObject, key_of, name_of, parse_href
from terralab.catalog.store_cache import StoreCache
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.item import StoredFile

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, S3Config

PIECE_BYTES = 8 << 20
_TOUCHED = "touched/"
_TOUCH_AFTER = timedelta(hours=1)
_DELETED_AT_ONCE = 1000
_ASKED_AT_ONCE = 16
_LISTED_AT_ONCE = 1000
_RETRIES = 4
_RETRY_WITHIN = timedelta(seconds=20)
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "timeout": "120s"}
_NO_BUCKET = "NoSuchBucket"
_REASON = re.compile(r"(status code: \d{3} [A-Za-z ]+|HTTP error: [^:\n]*|<Code>\w+</Code>)")


class S3Store:
    """Files by hash in a bucket.

    Args:
        settings: which bucket, and the keys to it; without keys those of the machine's environment or role are used.
        folder: of the cache.
        holds: keep what this process opens in the cache until it ends.
    """

    def __init__(self, settings: StoreSettings, folder: Path, holds: bool = False) -> None:
        self.folder = folder
        self.place = str(settings.url)
        self._bucket = _bucket(settings)
        self._cache = StoreCache(folder, round(settings.cache_gb * 1e9), holds)

    def __repr__(self) -> str:
        return f"S3Store({self.place})"

    def scratch(self) -> AbstractContextManager[Path]:
        """Yield a folder on the cache's disk for files that `put` will take; it is removed afterwards."""
        return self._cache.files.scratch()

    def put(self, path: Path, name: str | None = None, algorithm: str = "sha256", suffix: str = "") -> StoredFile:
        """Upload a finished file, keep it as a local copy, and return its reference."""
        checksum = multihash_of_file(path, algorithm)
        stored = StoredFile(f"{HREF_SCHEME}{checksum}/{name or path.name}", path.stat().st_size, checksum)
        self._upload(path, checksum + suffix, stored.size)
        self._cache.add(path, checksum + suffix)
        return stored

    def put_many(self, files: Sequence[tuple[Path, str]], algorithm: str = "sha256") -> list[StoredFile]:
        """Upload many finished files, several at once, and return their references in that order."""
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
            return list(threads.map(lambda file: self.put(file[0], file[1], algorithm), files))

    def put_bytes(self, content: bytes, name: str, algorithm: str = "sha256", suffix: str = "") -> StoredFile:
        """Store `content` under the name that users see."""
        with self.scratch() as folder:
            path = folder / Path(name).name
            path.write_bytes(content)
            return self.put(path, name, algorithm, suffix)

    def open_path(self, href: str) -> Path:
        """Return the path of a copy of stored bytes, fetched now where there is none."""
        return self.open_name(parse_href(href)[0])

    def open_name(self, name: str) -> Path:
        """Return the path of a copy of a stored file, fetched now where there is none."""
        return self._cache.path(name, lambda path: self._download(name, path))

    def verify(self, href: str) -> Path:
        """Return the path of a copy after comparing it with its hash; a damaged copy is fetched anew."""
        checksum, _ = parse_href(href)
        path = self.open_name(checksum)
        if multihash_of_file(path, split_multihash(checksum)[0]) == checksum:
            return path
        self._cache.forget(checksum)
        return self.open_name(checksum)

    def size(self, name: str) -> int | None:
        """Return the size of a file, None where the bucket has none of that name."""
        found = self._head(key_of(name))
        return None if found is None else found["size"]

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those files that the bucket has."""
        wanted = list(dict.fromkeys(names))
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
            found = zip(wanted, threads.map(self.size, wanted), strict=True)
            return {name: size for name, size in found if size is not None}

    def find(self, names: Iterable[str]) -> list[StoredObject]:
        """Return those files that the bucket has."""
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
            return [entry for entry in threads.map(self._find, list(names)) if entry is not None]

    def local(self, name: str) -> None:
        """Return None: a copy may go at any time."""

    def pieces(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to (without) `end`, straight from the bucket."""
        if end is None:
            end = self.size(name)
        if end is None:
            raise self._missing(name)
        for begin in range(start, end, PIECE_BYTES):
            wanted = min(PIECE_BYTES, end - begin)
            try:
                with self._errors():
                    piece = bytes(obstore.get_range(self._bucket, key_of(name), start=begin, length=wanted))
            except FileNotFoundError:
                raise self._missing(name) from None
            if len(piece) != wanted:
                raise AssetCorrupt(f"{name}: {self.place} gave {len(piece)} bytes at {begin} instead of {wanted}")
            yield piece

    def objects(self) -> Iterator[StoredObject]:
        """Yield every file in the bucket."""
        touched = {str(entry["path"]).removeprefix(_TOUCHED): entry["last_modified"] for entry in self._list(_TOUCHED)}
        for entry in self._list("files/"):
            name = name_of(str(entry["path"]))
            if name is not None:
                modified = entry["last_modified"]
                yield StoredObject(name, entry["size"], max(modified, touched.get(name, modified)))

    def remove(self, names: Iterable[str]) -> None:
        """Delete files, and their copies on this machine."""
        all_names = list(names)
        keys = [key for name in all_names for key in (key_of(name), _TOUCHED + name)]
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            with self._errors():
                obstore.delete(self._bucket, keys[start : start + _DELETED_AT_ONCE])
        for name in all_names:
            self._cache.forget(name)

    def check(self) -> None:
        """Ask for the first page of a listing, and touch the cache's folder."""
        self._cache.files.check()
        with self._errors():
            next(iter(obstore.list(self._bucket, "files/", chunk_size=1)), None)

    def _find(self, name: str) -> StoredObject | None:
        found, touched = self._head(key_of(name)), self._head(_TOUCHED + name)
        if found is None:
            return None
        times = [entry["last_modified"] for entry in (found, touched) if entry is not None]
        return StoredObject(name, found["size"], max(times))

    def _upload(self, path: Path, name: str, size: int) -> None:
        found = self._head(key_of(name))
        if found is not None and found["size"] == size:
            if found["last_modified"] < datetime.now(UTC) - _TOUCH_AFTER:
                with self._errors():
                    obstore.put(self._bucket, _TOUCHED + name, b"")
            return
        with self._errors():
            obstore.put(self._bucket, key_of(name), path)
        arrived = self._head(key_of(name))
        if arrived is None or arrived["size"] != size:
            raise ServiceUnavailable(
                f"{self.place} took {size} bytes of {path.name} and has {arrived and arrived['size']};"
                " repeat the command, and look at the server if it stays so"
            )

    def _download(self, name: str, path: Path) -> None:
        algorithm, digits = split_multihash(name.removesuffix(TREE_SUFFIX))
        state = hashlib.new(algorithm, usedforsecurity=False)
        with path.open("wb") as file:
            for piece in self.pieces(name):
                state.update(piece)
                file.write(piece)
        if state.hexdigest() != digits:
            raise AssetCorrupt(f"{name}: the bytes in {self.place} differ from their checksum; restore them")
        flush(path)

    def _head(self, key: str) -> "ObjectMeta | None":
        try:
            with self._errors():
                return obstore.head(self._bucket, key)
        except FileNotFoundError:
            return None

    def _list(self, prefix: str) -> Iterator["ObjectMeta"]:
        with self._errors():
            for page in obstore.list(self._bucket, prefix, chunk_size=_LISTED_AT_ONCE):
                yield from page

    def _missing(self, name: str) -> AssetCorrupt:
        return AssetCorrupt(f"{name}: the bytes are missing from the store {self.place}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the bucket's server says into the lab's errors, without the request and its headers.

        Raises:
            FileNotFoundError: there is no such file.
        """
        try:
            yield
        except FileNotFoundError as error:
            if _NO_BUCKET in str(error):
                raise self._no_bucket() from None
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise SetupProblem(
                f"{self.place} refuses the lab's keys ({_reason(error)}); see TERRALAB_STORE_S3_ACCESS_KEY and the"
                " bucket's policy"
            ) from None
        except BaseError as error:
            if _NO_BUCKET in str(error):
                raise self._no_bucket() from None
            raise ServiceUnavailable(f"the asset store {self.place} does not answer ({_reason(error)})") from None

    def _no_bucket(self) -> SetupProblem:
        return SetupProblem(f"there is no bucket of {self.place}; make it, or change TERRALAB_STORE_URL")


def _bucket(settings: StoreSettings) -> Bucket:
    parts = urlsplit(str(settings.url))
    config: S3Config = {}
    if settings.s3_endpoint:
        config |= {"endpoint": settings.s3_endpoint, "region": "us-east-1"}
    if settings.s3_region:
        config["region"] = settings.s3_region
    if bool(settings.s3_access_key) != bool(settings.s3_secret_key):
        raise SetupProblem("set both TERRALAB_STORE_S3_ACCESS_KEY and TERRALAB_STORE_S3_SECRET_KEY, or neither")
    if settings.s3_access_key and settings.s3_secret_key:
        config |= {"access_key_id": settings.s3_access_key, "secret_access_key": settings.s3_secret_key}
    return Bucket(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={**_CLIENT, "allow_http": str(settings.s3_endpoint).startswith("http://")},
        retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_WITHIN},
    )


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words; the whole text may hold addresses and headers."""
    found = _REASON.findall(str(error))
    return "; ".join(dict.fromkeys(part.strip().lower() for part in found)) or type(error).__name__
