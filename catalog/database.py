"""PostgreSQL with pgstac: connecting, and reading and writing STAC objects by one connection at a time.

The web process reads through stac-fastapi's own pool; flows and commands use `Catalog`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import orjson
import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads

from terralab.catalog.errors import OutOfSpace, ServiceUnavailable, UnknownName

_SEARCH_PATH = "-c search_path=pgstac,public"
_PAGE = 500
_LOCK_NAMESPACE = "terralab-publish"


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
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (_LOCK_NAMESPACE,))
            for collection in collections:
                row = connection.execute(
                    "SELECT content FROM collections WHERE id = %s", (collection["id"],)
                ).fetchone()
                merged = collection if row is None else _merged(row[0], collection)
                if row is None or row[0] != merged:
                    connection.execute("SELECT upsert_collection(%s::jsonb)", (json.dumps(merged),))
            written = 0
            for batch in _batches(items, _PAGE):
                changed = _changed(connection, batch)
                if changed:
                    connection.execute("SELECT upsert_items(%s::jsonb)", (json.dumps(changed),))
                written += len(changed)
        return written


def _merged(stored: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return `new` with the larger of both extents, since pgstac keeps the stored one up to date by itself."""
    if not stored.get("extent"):  # pgstac sets it to null when the last item is deleted
        return new
    boxes = [box for part in (stored, new) for box in part["extent"]["spatial"]["bbox"][:1]]
    starts, ends = zip(*(part["extent"]["temporal"]["interval"][0] for part in (stored, new)), strict=True)
    bbox = [
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    ]
    interval = [None if None in starts else min(starts), None if None in ends else max(ends)]
    return {**new, "extent": {"spatial": {"bbox": [bbox]}, "temporal": {"interval": [interval]}}}


def _changed(connection: psycopg.Connection[Any], items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of `items` that are not stored in the same form (pgstac stores no nulls)."""
    rows = connection.execute(
        "SELECT content_hydrate(i) FROM items i JOIN unnest(%s::text[], %s::text[]) AS wanted (collection, id)"
        " USING (collection, id)",
        ([item["collection"] for item in items], [item["id"] for item in items]),
    ).fetchall()
    stored = {(row[0]["collection"], row[0]["id"]): _without_nulls(row[0]) for row in rows}
    return [item for item in items if stored.get((item["collection"], item["id"])) != _without_nulls(item)]


def _next_token(page: dict[str, Any]) -> str | None:
    for link in page.get("links", []):
        if link["rel"] == "next":
            return str(link["href"]).split("token=", 1)[1]
    token = page.get("next")
    return f"next:{token}" if token else None


def _batches(items: Sequence[dict[str, Any]], size: int) -> Iterable[Sequence[dict[str, Any]]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, which never holds a statement's values."""
    return str(error).strip().splitlines()[0]
