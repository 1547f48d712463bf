"""From collection, item and asset names to a verified file: the only way in which the tiler reaches pixels.

One database round trip for item and collection, remembered for a few seconds, since a map asks for dozens of tiles of
one item at once; whether the caller may read them is asked about each request. The bytes are compared with their
checksum once per state of the file, so that damage on the disk is an error and never a wrong picture.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolTimeout

from terralab.catalog.access.policy import guarded, may_read
from terralab.catalog.access.principal import Principal
from terralab.catalog.errors import AssetCorrupt, InvalidRaster, ServiceUnavailable, UnknownName
from terralab.catalog.frozen_versions import is_noted
from terralab.catalog.settings import Settings
from terralab.catalog.store import open_store, parse_href
from terralab.extensions.ids import is_valid_id
from terralab.tiler.entry import Entry, unknown_item
from terralab.tiler.frozen import FrozenChips

TIFF_TYPE = "image/tiff"
_SEARCH_PATH = "-c search_path=pgstac,public -c statement_timeout=5000"
_WAIT_SECONDS = 5.0
_MAX_CONNECTIONS = 4  # a lookup takes milliseconds and is remembered; the API's own pool is larger
_REMEMBERED_SECONDS = 3.0


@dataclass(frozen=True)
class CatalogAsset:
    """A raster asset of an item.

    Attributes:
        entry: its item and collection.
        key: the asset's key.
        checksum: multihash of its bytes.
        path: the verified file in the store.
    """

    entry: Entry
    key: str
    checksum: str
    path: Path

    @property
    def document(self) -> dict[str, Any]:
        """Return the asset object."""
        return dict(self.entry.item["assets"][self.key])

    @property
    def renders(self) -> dict[str, dict[str, Any]]:
        """Return the render presets by name; an item's own replace those of its collection."""
        return {
            **(self.entry.collection.get("renders") or {}),
            **(self.entry.item["properties"].get("renders") or {}),
        }


class Lookup:
    """Finds assets in the catalog and the store.

    Args:
        settings: which database and which store.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = open_store(settings)
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._remembered = lru_cache(maxsize=512)(self._fetch)
        self._frozen = FrozenChips(self._current, self._collection, self._is_noted, self._intact_path)
        self._intact: set[tuple[str, int, int, int]] = set()
        self._verifying = Lock()

    def open(self) -> None:
        """Start to keep connections; a database that does not answer yet is no error."""
        self._pool = ConnectionPool(
            self._settings.database_url,
            kwargs={"options": _SEARCH_PATH, "autocommit": True, "connect_timeout": 5},
            configure=_decode_json_fast,
            check=ConnectionPool.check_connection,
            min_size=1,
            max_size=min(_MAX_CONNECTIONS, self._settings.database.database_connections),
            open=False,
        )
        self._pool.open(wait=False)

    def close(self) -> None:
        """Give all connections back."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def forget(self) -> None:
        """Read every item anew, as after a change."""
        self._remembered.cache_clear()

    def entry(self, collection: str, item: str, caller: Principal, version: str | None = None) -> Entry:
        """Return an item with its collection, at most a few seconds old.

        Args:
            collection: id of its collection.
            item: its id.
            caller: who asks.
            version: of the dataset, for a chip as that version froze it.

        Raises:
            UnknownName: there is no such item that the caller may read.
            ServiceUnavailable: the database does not answer.
        """
        if not (is_valid_id(collection) and is_valid_id(item)):
            raise UnknownName(f"no item {item!r} in collection {collection!r}: that is not a valid id")
        if version is not None:
            return self._frozen.entry(collection, item, caller, version)
        found = self._current(collection, item)
        if not may_read(caller, guarded(found.item), guarded(found.collection)):
            raise unknown_item(collection, item)
        return found

    def asset(
        self, collection: str, item: str, key: str, caller: Principal, version: str | None = None
    ) -> CatalogAsset:
        """Return a raster asset whose bytes are as they were stored.

        Raises:
            UnknownName: there is no such item or asset that the caller may read.
            InvalidRaster: the asset is no TIFF of the asset store.
            AssetCorrupt: its bytes are missing or damaged.
        """
        found = self.entry(collection, item, caller, version)
        assets = found.item.get("assets") or {}
        if key not in assets:
            raise UnknownName.of(f"asset of {collection}/{item}", key, list(assets))
        media_type, href = str(assets[key].get("type", "")), str(assets[key].get("href", ""))
        if media_type.split(";")[0].strip() != TIFF_TYPE:
            raise InvalidRaster(f"asset {key!r} of {collection}/{item} is {media_type or 'untyped'}, not {TIFF_TYPE}")
        try:
            checksum, _ = parse_href(href)
        except ValueError as error:
            raise InvalidRaster(f"asset {key!r} of {collection}/{item} is not in the asset store") from error
        return CatalogAsset(found, key, checksum, self._intact_path(href))

    def _current(self, collection: str, item: str) -> Entry:
        return self._remembered(collection, item, int(time.monotonic() / _REMEMBERED_SECONDS))

    def _fetch(self, collection: str, item: str, _moment: int) -> Entry:
        with self._connection() as connection:
            row = connection.execute(
                "SELECT get_item(%s, %s), get_collection(%s)", (item, collection, collection)
            ).fetchone()
        if row is None or row[0] is None:
            raise unknown_item(collection, item)
        return Entry(row[0], row[1] or {})

    def _collection(self, collection: str) -> dict[str, Any]:
        with self._connection() as connection:
            row = connection.execute("SELECT get_collection(%s)", (collection,)).fetchone()
        if row is None or row[0] is None:
            raise UnknownName(f"no collection is called {collection!r}")
        return dict(row[0])

    def _is_noted(self, archive: str, version_item: str, collection: str) -> bool:
        with self._connection() as connection:
            return is_noted(connection, archive, version_item, collection)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if self._pool is None:
            raise ServiceUnavailable("the tile server is not running yet")
        try:
            with self._pool.connection(timeout=_WAIT_SECONDS) as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise ServiceUnavailable("the database does not answer; try again in a moment") from error

    def _intact_path(self, href: str) -> Path:
        try:
            path = self._store.open_path(href)
            found = path.stat()
            state = (href, found.st_ino, found.st_mtime_ns, found.st_size)
            if state not in self._intact:
                self._verify(state)
            return path
        except PermissionError as error:
            raise ServiceUnavailable("the asset store cannot be read; try again in a moment") from error
        except OSError as error:
            raise AssetCorrupt(f"{href}: the bytes cannot be read ({os.strerror(error.errno or 0)})") from error

    def _verify(self, state: tuple[str, int, int, int]) -> None:
        with self._verifying:  # many tiles of a new item ask at once: the first one reads, the others wait
            if state not in self._intact:
                self._store.verify(state[0])
                self._intact.add(state)


def _decode_json_fast(connection: psycopg.Connection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
