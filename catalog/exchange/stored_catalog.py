"""The catalog as it is stored, read in one snapshot beside writers, collection by collection.

pgstac keeps geometries as PostGIS and numbers as PostgreSQL has them, so that 2.0 becomes 2, and drops some nulls. Such
an item has another entity tag than the one that was written; the read model's JSON says how it was.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg

from terralab.catalog.database import Catalog
from terralab.catalog.errors import UnknownName
from terralab.catalog.read_model import etag_of, hydrated
from terralab.catalog.rendering import BASE

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ROWS_AT_ONCE = 500
_ITEMS = """
    SELECT i.id, ST_AsGeoJSON(i.geometry, 20), i.content::text, encode(r.hash, 'hex')
    FROM items i LEFT JOIN lab.items r ON r.collection = i.collection AND r.id = i.id
    WHERE i.collection = %s ORDER BY i.id COLLATE "C"
"""
_BODIES = "SELECT id, body FROM lab.items WHERE collection = %s AND id = ANY(%s)"
_EXISTING = """
    SELECT w.collection, w.id FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    WHERE EXISTS (SELECT FROM items i WHERE i.collection = w.collection AND i.id = w.id)"""
_BELOW = """
    WITH RECURSIVE below (id) AS (
        SELECT %s UNION SELECT c.child FROM below b JOIN lab.project_catalogs c ON c.parent = b.id)
    SELECT id FROM below"""
_PROJECTS = """
    SELECT p.id, p.content,
        array(SELECT parent FROM lab.project_catalogs c WHERE c.child = p.id AND parent = ANY(%(ids)s) ORDER BY 1),
        array(SELECT collection FROM lab.project_collections c WHERE c.project = p.id ORDER BY 1)
    FROM lab.projects p WHERE p.id = ANY(%(ids)s) ORDER BY p.id"""


class StoredCatalog:
    """The catalog at one moment.

    Args:
        connection: in a transaction that sees one snapshot.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._bases: dict[tuple[str, int | None], dict[str, Any]] = {}

    def collections(self, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return collections, all of them where none is named, by id.

        Raises:
            UnknownName: there is none of a name.
        """
        rows = self._connection.execute('SELECT content FROM collections ORDER BY id COLLATE "C"').fetchall()
        known = {row[0]["id"]: row[0] for row in rows}
        for name in names:
            if name not in known:
                raise UnknownName.of("collection", name, list(known))
        return [content for name, content in known.items() if not names or name in names]

    def count(self, collection: str) -> int:
        """Return the number of a collection's items."""
        row = self._connection.execute("SELECT count(*) FROM items WHERE collection = %s", (collection,)).fetchone()
        return int(row[0]) if row else 0

    def items(self, collection: str) -> Iterator[dict[str, Any]]:
        """Yield the items of a collection, by id, as they were written; they share parts and are not to be changed."""
        with self._connection.cursor(name="items") as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(_ITEMS, (collection,))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from self._items_of(collection, rows)

    def existing(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of `keys` (collection and id) that there are items of."""
        rows = self._connection.execute(_EXISTING, ([key[0] for key in keys], [key[1] for key in keys]))
        return {(row[0], row[1]) for row in rows}

    def project_tree(self, project: str) -> list[str]:
        """Return a project and all that are below it.

        Raises:
            UnknownName: there is no such project.
        """
        known = self.all_projects()
        if project not in known:
            raise UnknownName.of("project", project, known)
        return sorted(row[0] for row in self._connection.execute(_BELOW, (project,)))

    def all_projects(self) -> list[str]:
        """Return the ids of all projects."""
        return [row[0] for row in self._connection.execute("SELECT id FROM lab.projects ORDER BY id")]

    def projects(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return projects: what each says of itself, its parents among them, and its collections."""
        rows = self._connection.execute(_PROJECTS, {"ids": list(ids)}).fetchall()
        return [{"id": row[0], "content": row[1], "parents": list(row[2]), "collections": list(row[3])} for row in rows]

    def _items_of(self, collection: str, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        items, differing = {}, {}
        for item, geometry, text, etag in rows:
            content = orjson.loads(text)
            base = self._base(collection, content.get("pgstac:base_item"))
            items[item] = hydrated(collection, item, orjson.loads(geometry), content, base)
            if etag is not None and etag_of(items[item]) != etag:
                differing[item] = etag
        if differing:
            for item, body in self._connection.execute(_BODIES, (collection, list(differing))):
                items[item] = _as_written(items[item], orjson.loads(bytes(body).replace(BASE, b"")), differing[item])
        return list(items.values())

    def _base(self, collection: str, number: int | None) -> dict[str, Any]:
        key = (collection, number)
        if key not in self._bases:
            row = self._connection.execute("SELECT collection_base_item(%s, %s)", key).fetchone()
            self._bases[key] = row[0] if row and row[0] else {}
        return self._bases[key]


@contextmanager
def read_catalog(catalog: Catalog) -> Iterator[StoredCatalog]:
    """Yield the catalog as it is now."""
    with catalog.connection() as connection:
        connection.execute(_SNAPSHOT)
        yield StoredCatalog(connection)


def _as_written(item: dict[str, Any], served: dict[str, Any], etag: str) -> dict[str, Any]:
    """Return an item with the numbers, the nulls and the geometry that it is served with, as its entity tag says."""
    found = {**item, "geometry": served["geometry"]}
    if etag_of(found) == etag:  # mostly it is that alone
        return found
    for with_nulls in (False, True):  # serving adds some
        found = {**_with_details(item, served, with_nulls), "geometry": served["geometry"]}
        if etag_of(found) == etag:
            return found
    return item


def _with_details(stored: Any, served: Any, with_nulls: bool) -> Any:
    """Return a stored value with the numbers of the served one, where they are equal: 2.0 is not the JSON 2."""
    if isinstance(stored, dict) and isinstance(served, dict):
        found = {
            name: _with_details(part, served[name], with_nulls) if name in served else part
            for name, part in stored.items()
        }
        lacking = [name for name, part in served.items() if with_nulls and part is None and name not in stored]
        return {**found, **dict.fromkeys(lacking)}
    if isinstance(stored, list) and isinstance(served, list) and len(stored) == len(served):
        return [_with_details(*parts, with_nulls) for parts in zip(stored, served, strict=True)]
    numbers = (int, float)
    same = type(stored) in numbers and type(served) in numbers and float(stored) == float(served)
    return served if same else stored
