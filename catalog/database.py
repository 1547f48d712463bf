"""PostgreSQL with pgstac: connecting, and reading and writing STAC objects by one connection at a time.

The STAC API reads through a pool of its own; everything else, its writes among them, uses `Catalog`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson
import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads

from terralab.catalog.audit import note_written
from terralab.catalog.database_errors import COLLISIONS, first_line, meaning_of
from terralab.catalog.errors import ServiceUnavailable, UnknownName
from terralab.catalog.read_model import hydrated
from terralab.catalog.served_items import restore_nulls
from terralab.catalog.writing import write_items
from terralab.catalog.writing_collections import write_collections

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_SEARCH_PATH = "-c search_path=pgstac,public"
_CONNECT_SECONDS = 10
_POOL_WAIT_SECONDS = 5.0
_IDLE_MS = 30_000
_PAGE = 500
_ALL_ITEMS = """
    SELECT collection, id, datetime::text, ST_AsGeoJSON(geometry, 20), content::text,
        (content->>'pgstac:base_item')::int
    FROM items WHERE collection = ANY(%s) AND (datetime, collection, id) < (%s::timestamptz, %s, %s)
    ORDER BY datetime DESC, collection DESC, id DESC LIMIT %s"""
Result = TypeVar("Result")


class Catalog:
    """The catalog in one database.

    Args:
        url: `postgresql://user:password@host:port/name`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool: ConnectionPool | None = None

    def open_pool(self, connections: int, statement_timeout_s: float, lock_timeout_s: float, **settings: str) -> None:
        """Keep connections from now on, so that none of many small transactions waits for a new one.

        It connects at the first use: the process starts, and says that the database is away, while it is.

        Args:
            connections: at most so many.
            statement_timeout_s: longest time of one statement, seconds.
            lock_timeout_s: longest wait for a lock, seconds.
            settings: others of PostgreSQL's, for these connections.
        """
        from psycopg_pool import ConnectionPool  # only the web process needs it

        limits = {
            "statement_timeout": round(1000 * statement_timeout_s),
            "lock_timeout": round(1000 * lock_timeout_s),
            "idle_in_transaction_session_timeout": _IDLE_MS,
            **settings,
        }
        options = " ".join([_SEARCH_PATH, *(f"-c {name}={value}" for name, value in limits.items())])
        self._pool = ConnectionPool(
            self.url,
            kwargs={"options": options, "connect_timeout": _CONNECT_SECONDS, "row_factory": tuple_row},
            min_size=0,
            max_size=connections,
            timeout=_POOL_WAIT_SECONDS,
            # Shorter than the wait: what waits then starts an attempt of its own, and none waits long for a next one.
            reconnect_timeout=_POOL_WAIT_SECONDS / 2,
            configure=_configure,
            check=ConnectionPool.check_connection,
            open=True,
        )

    def close_pool(self) -> None:
        """Close the connections that are kept."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection in a transaction, committed at the end.

        Raises:
            ServiceUnavailable: the database does not answer, or not in time.
            OutOfSpace: its disk is full.
            AlreadyExists: another program wrote the same.
            InvalidInput: it cannot store what it is given.
        """
        try:
            with self._connection() as connection:
                yield connection
        except psycopg.Error as error:
            meaning = meaning_of(error)
            if meaning is None:
                raise
            raise meaning from error

    def run(self, work: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        """Do work in a transaction, once more where another transaction was in its way.

        Raises:
            LabError: as `connection` does.
        """
        try:
            with self.connection() as connection:
                return work(connection)
        except ServiceUnavailable as error:
            if not isinstance(error.__cause__, COLLISIONS):
                raise
        with self.connection() as connection:
            return work(connection)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if self._pool is not None:
            with self._pool.connection() as kept:
                yield kept
            return
        try:
            connection = psycopg.connect(
                self.url, options=_SEARCH_PATH, connect_timeout=_CONNECT_SECONDS, row_factory=tuple_row
            )
        except psycopg.OperationalError as error:
            raise ServiceUnavailable(
                f"the database does not answer ({first_line(error)}); see `terralab status`"
            ) from error
        _configure(connection)
        with connection:
            yield connection

    def find_item(self, collection: str, item: str) -> dict[str, Any] | None:
        """Return an item, or None."""
        with self.connection() as connection:
            row = connection.execute("SELECT get_item(%s, %s)", (item, collection)).fetchone()
        found = cast(dict[str, Any] | None, row[0] if row else None)
        if found is not None:
            restore_nulls(found)
        return found

    def item(self, collection: str, item: str) -> dict[str, Any]:
        """Return an item.

        Raises:
            UnknownName: there is none of that name, or no such collection.
        """
        found = self.find_item(collection, item)
        if found is None:
            try:
                self.collection(collection)
            except UnknownName as error:
                raise UnknownName(f"no item is called '{collection}/{item}': {error}") from None
            names = [other["id"] for other in self.search(collections=[collection], limit=200)]
            raise UnknownName.of(f"item of collection {collection!r}", item, names)
        return found

    def find_collection(self, collection: str) -> dict[str, Any] | None:
        """Return a collection, or None."""
        with self.connection() as connection:
            row = connection.execute("SELECT get_collection(%s)", (collection,)).fetchone()
        return cast(dict[str, Any] | None, row[0] if row else None)

    def collection(self, collection: str) -> dict[str, Any]:
        """Return a collection.

        Raises:
            UnknownName: there is none of that name.
        """
        found = self.find_collection(collection)
        if found is None:
            raise UnknownName.of("collection", collection, [other["id"] for other in self.collections()])
        return found

    def collections(self) -> list[dict[str, Any]]:
        """Return all collections, by id."""
        with self.connection() as connection:
            rows = connection.execute("SELECT content FROM collections ORDER BY id").fetchall()
        return [row[0] for row in rows]

    def search(self, limit: int | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the items that match a STAC API search, page by page.

        Args:
            limit: at most so many; None for all.
            query: members of a STAC API search body: `collections`, `ids`, `bbox`, `intersects`, `datetime`, `filter`
                (CQL2 JSON), `sortby`.
        """
        if limit is None and query.keys() == {"collections"}:
            yield from self._all_items(query["collections"])
            return
        given, token = 0, None
        while limit is None or given < limit:
            body = {**query, "limit": _PAGE if limit is None else min(_PAGE, limit - given)}
            if token:
                body["token"] = token
            with self.connection() as connection:
                row = connection.execute("SELECT search(%s::jsonb)", (json.dumps(body),)).fetchone()
            page = row[0] if row else {"features": []}
            for found in page["features"]:
                restore_nulls(found)
                yield found
            given += len(page["features"])
            token = _next_token(page)
            if not token:
                return

    def _all_items(self, collections: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the items of whole collections in the order of a search, which takes pgstac ten times as long."""
        bases: dict[tuple[str, Any], dict[str, Any]] = {}
        after: tuple[Any, ...] = ("infinity", "", "")
        while True:
            with self.connection() as connection:
                rows = connection.execute(_ALL_ITEMS, (list(collections), *after, _PAGE)).fetchall()
                for collection, *_, base in rows:
                    if (collection, base) not in bases:
                        found = connection.execute("SELECT collection_base_item(%s, %s)", (collection, base)).fetchone()
                        bases[collection, base] = (found and found[0]) or {}
            for collection, id, _, geometry, text, base in rows:
                # A copy, since callers change what they are given, and parts of the base are in every item.
                common = deepcopy(bases[collection, base])
                item = hydrated(collection, id, orjson.loads(geometry), orjson.loads(text), common)
                restore_nulls(item)
                yield item
            if len(rows) < _PAGE:
                return
            after = (rows[-1][2], rows[-1][0], rows[-1][1])

    def counts(self) -> dict[str, int]:
        """Return the number of items by `lab:kind`."""
        with self.connection() as connection:
            rows = connection.execute(
                "SELECT coalesce(c.content->>'lab:kind', 'other'), count(*) FROM items i"
                " JOIN collections c ON c.id = i.collection GROUP BY 1"
            ).fetchall()
        return dict(rows)

    def write(self, collections: Sequence[dict[str, Any]], items: Sequence[dict[str, Any]]) -> int:
        """Create or replace collections and items in one transaction, and return how many items changed.

        What is already there in the same form is left untouched. Use `publish.publish`, which checks first.
        """
        with self.connection() as connection:
            described = write_collections(connection, collections)
            written = write_items(connection, items) if items else []
            note_written(connection, None, described, written)
        return sum(entry.change != "unchanged" for entry in written)


def _next_token(page: dict[str, Any]) -> str | None:
    for link in page.get("links", []):
        if link["rel"] == "next":
            return str(link["href"]).split("token=", 1)[1]
    token = page.get("next")
    return f"next:{token}" if token else None


def _configure(connection: psycopg.Connection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
    set_json_dumps(orjson.dumps, connection)
