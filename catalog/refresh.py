"""Rendering again what another program changed, and checking that the read model says what pgstac says.

The triggers of `sql/10_read_model.sql` note such items in `lab.stale`. The web process renders them in the background
(`StaleItems`), `terralab catalog refresh` at once. Until then searches that could miss them are answered by pgstac.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.extents import widen_extents
from terralab.catalog.read_model import ItemRow, item_rows, stored_files
from terralab.catalog.rendering import BASE
from terralab.catalog.row_copy import copy_read_rows
from terralab.catalog.writing import (
    Key,
    bump_versions,
    collection_states,
    forget,
    lock_items,
    longest_by_collection,
    read_items,
)

if TYPE_CHECKING:
    from terralab.catalog.database import Catalog

BATCH = 500
_LOOK_EVERY_SECONDS = 2.0
_LOG = logging.getLogger("terralab.read_model")
_TAKE = """
    DELETE FROM lab.stale WHERE ctid = ANY(ARRAY(SELECT ctid FROM lab.stale {where} LIMIT {limit}))
    RETURNING collection, id"""
_PAGE = """
    SELECT collection, id FROM items WHERE (collection, id) > (%s, %s) ORDER BY collection, id LIMIT %s"""
_BODIES = """
    SELECT r.collection, r.id, r.hash, r.body FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    JOIN lab.items r ON r.collection = w.collection AND r.id = w.id"""
_LEFT_OVER = """
    SELECT r.collection, r.id FROM lab.items r
    WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.collection = r.collection AND i.id = r.id) LIMIT 100"""


def refresh(catalog: "Catalog") -> int:
    """Render every stale item, a batch in a transaction, and return how many."""
    done = 0
    while True:
        with catalog.connection() as connection:
            count = _refresh_batch(connection, BATCH)
        done += count
        if count == 0:
            return done


def refresh_collection(connection: psycopg.Connection[Any], collection: str, at_most: int) -> None:
    """Render a collection's stale items in the caller's transaction, where they are not more than `at_most`."""
    row = connection.execute("SELECT count(*) FROM lab.stale WHERE collection = %s", (collection,)).fetchone()
    if row and row[0] <= at_most:
        while _refresh_batch(connection, BATCH, collection):
            pass


def rebuild(catalog: "Catalog") -> int:
    """Render every item of the catalog anew, as after a restore or a change of the rendered form."""
    with catalog.connection() as connection:
        connection.execute("TRUNCATE lab.items, lab.links, lab.files, lab.stale")
        connection.execute("INSERT INTO lab.stale SELECT collection, id FROM items")
        _note_collection_files(connection)
    return refresh(catalog)


async def keep_rendered(catalog: "Catalog") -> None:
    """Render stale items as they come, until cancelled; while the database does not answer, wait."""
    while True:
        try:
            await asyncio.to_thread(refresh, catalog)
        except ServiceUnavailable as error:
            _LOG.warning("stale items wait: %s", error)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


@dataclass(frozen=True)
class Difference:
    """One item that the read model has otherwise than pgstac."""

    collection: str
    id: str
    problem: str


def differences(catalog: "Catalog") -> Iterator[Difference]:
    """Compare every item of pgstac with the read model; stale items, which are known to differ, are left out."""
    position: Key = ("", "")
    while True:
        with catalog.connection() as connection:
            keys = [(row[0], row[1]) for row in connection.execute(_PAGE, (*position, BATCH)).fetchall()]
            found = list(_differences_of(connection, keys)) if keys else _left_over(connection)
        yield from found
        if not keys:
            return
        position = keys[-1]


def _refresh_batch(connection: psycopg.Connection[Any], limit: int, collection: str | None = None) -> int:
    where = "" if collection is None else "WHERE collection = %s"
    taken = connection.execute(
        _TAKE.format(where=where, limit=limit).encode(), () if collection is None else (collection,)
    ).fetchall()
    keys = sorted({(row[0], row[1]) for row in taken})
    if not keys:
        return 0
    lock_items(connection, keys)
    items = read_items(connection, keys)
    forget(connection, keys, ("lab.items", "lab.links", "lab.files"))
    rows = _store(connection, list(items.values()))
    bump_versions(connection, {**{collection: timedelta() for collection, _ in keys}, **longest_by_collection(rows)})
    return len(taken)


def _store(connection: psycopg.Connection[Any], items: Sequence[dict[str, Any]]) -> list[ItemRow]:
    if not items:
        return []
    rows = item_rows(items, collection_states(connection, {item["collection"] for item in items}))
    copy_read_rows(connection, rows)
    widen_extents(connection, rows)
    return rows


def _differences_of(connection: psycopg.Connection[Any], keys: Sequence[Key]) -> Iterator[Difference]:
    parameters = ([key[0] for key in keys], [key[1] for key in keys])
    stored = {(row[0], row[1]): (bytes(row[2]), bytes(row[3])) for row in connection.execute(_BODIES, parameters)}
    stale = set(connection.execute("SELECT collection, id FROM lab.stale").fetchall())
    items = read_items(connection, keys)
    states = collection_states(connection, {key[0] for key in keys})
    for row in item_rows(list(items.values()), states):
        key = (row.collection, row.id)
        if key in stale or row.body is None:
            continue
        if key not in stored:
            yield Difference(*key, "is missing from the read model")
        elif not _same_json(stored[key][1], row.body):
            yield Difference(*key, "is rendered otherwise than pgstac has it")


def _left_over(connection: psycopg.Connection[Any]) -> list[Difference]:
    rows = connection.execute(_LEFT_OVER).fetchall()
    return [Difference(row[0], row[1], "is in the read model and not in pgstac") for row in rows]


def _same_json(one: bytes, other: bytes) -> bool:
    """Compare as JSON values, but for nulls, which pgstac drops."""
    first, second = (_without_nulls(orjson.loads(body.replace(BASE, b"~"))) for body in (one, other))
    return bool(first == second)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value


def _note_collection_files(connection: psycopg.Connection[Any]) -> None:
    for (content,) in connection.execute("SELECT content FROM collections").fetchall():
        for checksum in stored_files(content):
            connection.execute("INSERT INTO lab.files VALUES (%s, %s, '')", (checksum, content["id"]))
