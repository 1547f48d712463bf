"""PostgreSQL with pgstac: connecting, and reading and writing STAC objects by one connection at a time.

The web process reads through stac-fastapi's own pool; flows and commands use `Catalog`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import orjson
import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads

from terralab.catalog.errors import OutOfSpace, ServiceUnavailable, UnknownName
from terralab.catalog.writing import write_items
from terralab.catalog.writing_collections import write_collections

_SEARCH_PATH = "-c search_path=pgstac,public"
_PAGE = 500


class Catalog:
    """The catalog in one database.

    Args:
        url: `postgresql://user:password@host:port/name`.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection in a transaction, committed at the end.

        Raises:
            ServiceUnavailable: the database does not answer.
            OutOfSpace: its disk is full.
        """
        try:
            connection = psycopg.connect(self.url, options=_SEARCH_PATH, connect_timeout=10, row_factory=tuple_row)
        except psycopg.OperationalError as error:
            raise ServiceUnavailable(
                f"the database does not answer ({first_line(error)}); see `terralab status`"
            ) from error
        set_json_loads(orjson.loads, connection)
        set_json_dumps(lambda value: orjson.dumps(value), connection)
        try:
            with connection:
                yield connection
        except psycopg.errors.DiskFull as error:
            raise OutOfSpace("no space left on the disk of the database; free some and repeat the command") from error
        except psycopg.OperationalError as error:
            raise ServiceUnavailable(f"the database went away ({first_line(error)}); repeat the command") from error

    def find_item(self, collection: str, item: str) -> dict[str, Any] | None:
        """Return an item, or None."""
        with self.connection() as connection:
            row = connection.execute("SELECT get_item(%s, %s)", (item, collection)).fetchone()
        return cast(dict[str, Any] | None, row[0] if row else None)

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
        given, token = 0, None
        while limit is None or given < limit:
            body = {**query, "limit": _PAGE if limit is None else min(_PAGE, limit - given)}
            if token:
                body["token"] = token
            with self.connection() as connection:
                row = connection.execute("SELECT search(%s::jsonb)", (json.dumps(body),)).fetchone()
            page = row[0] if row else {"features": []}
            yield from page["features"]
            given += len(page["features"])
            token = _next_token(page)
            if not token:
                return

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
            write_collections(connection, collections)
            written = write_items(connection, items) if items else []
        return sum(entry.change != "unchanged" for entry in written)


def _next_token(page: dict[str, Any]) -> str | None:
    for link in page.get("links", []):
        if link["rel"] == "next":
            return str(link["href"]).split("token=", 1)[1]
    token = page.get("next")
    return f"next:{token}" if token else None


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, which never holds a statement's values."""
    return str(error).strip().splitlines()[0]
