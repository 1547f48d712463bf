"""Extents of collections, kept up to date by what is written, without reading what is there.

pgstac can do it too, by reading a whole partition after every write. An extent covers the items that everybody sees who
sees the collection: it would tell strangers where and when private items are.

Whoever writes items holds the rows of their collections from before the first item to the end of its transaction, in
the order of their ids: alone where the extent changes, else together with others. (A stored item takes such a hold by
itself, since it refers to its collection; two writers who both ask for more only then would wait for one another.)
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import psycopg

from terralab.catalog.access.policy import OWNER_PROP, PROJECT_PROP, PUBLIC, VISIBILITY_PROP
from terralab.catalog.read_model import FIELDS, ItemRow
from terralab.extensions.item import format_time, parse_time

_COMPUTED = """
    SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e), first, last FROM (
        SELECT ST_Extent(i.geometry) AS e, min(i.datetime) AS first, max(i.end_datetime) AS last
        FROM items i JOIN collections c ON c.id = i.collection WHERE c.id = %s AND {covered}) AS extents"""
# The item is public, or guarded as its collection is.
_COVERED = """
    (coalesce(i.content->'properties'->>'lab:visibility', 'public') = 'public' OR
     (i.content->'properties'->>'lab:visibility', i.content->'properties'->>'lab:owner',
      i.content->'properties'->>'lab:project') IS NOT DISTINCT FROM
     (c.content->>'lab:visibility', c.content->>'lab:owner', c.content->>'lab:project'))"""
_AT_THE_EDGE = """
    SELECT DISTINCT c.id FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    JOIN items i ON i.collection = w.collection AND i.id = w.id
    JOIN collections c ON c.id = w.collection,
    LATERAL (SELECT c.content#>'{extent,spatial,bbox,0}' AS box,
                    c.content#>'{extent,temporal,interval,0}' AS times) AS e
    WHERE ST_XMin(i.geometry) <= (e.box->>0)::float OR ST_YMin(i.geometry) <= (e.box->>1)::float
       OR ST_XMax(i.geometry) >= (e.box->>(jsonb_array_length(e.box) / 2))::float
       OR ST_YMax(i.geometry) >= (e.box->>(jsonb_array_length(e.box) / 2 + 1))::float
       OR i.datetime <= (e.times->>0)::timestamptz OR i.end_datetime >= (e.times->>1)::timestamptz"""
_STORED = "SELECT content->'extent' FROM collections WHERE id = %s"
_SHARED = f"{_STORED} FOR KEY SHARE"
_HELD = f"{_STORED} FOR UPDATE"
_COLLECTION_GUARD = """
    SELECT content->>'lab:visibility', content->>'lab:owner', content->>'lab:project' FROM collections WHERE id = %s"""
_SET = "UPDATE collections SET content = jsonb_set(content, '{extent}', %s::jsonb) WHERE id = %s"
_GUARD_PLACES = [list(FIELDS).index(name) for name in (VISIBILITY_PROP, OWNER_PROP, PROJECT_PROP)]


def widen_extents(connection: psycopg.Connection[Any], rows: Sequence[ItemRow]) -> None:
    """Widen the extents of the rows' collections so that they cover the rows that everybody sees.

    Call it before the rows are stored.
    """
    by_collection: dict[str, list[ItemRow]] = {}
    for row in rows:
        by_collection.setdefault(row.collection, []).append(row)
    for collection, written in sorted(by_collection.items()):
        new = _extent_of(_covered(connection, collection, written))
        stored = _read(connection, _STORED, collection)
        if _union(stored, new) == stored:
            stored = _read(connection, _SHARED, collection)
        # It may be another one than before: somebody widened it, or deleted an item at its edge.
        if _union(stored, new) != stored:
            wider = _union(_read(connection, _HELD, collection), new)
            connection.execute(_SET, (_json(wider), collection))


def items_at_the_edge(connection: psycopg.Connection[Any], keys: Sequence[tuple[str, str]]) -> set[str]:
    """Return the collections whose extents may shrink when the items `keys` go, and hold them."""
    rows = connection.execute(_AT_THE_EDGE, ([key[0] for key in keys], [key[1] for key in keys])).fetchall()
    for (collection,) in sorted(rows):
        _read(connection, _HELD, collection)
    return {row[0] for row in rows}


def recompute_extent(connection: psycopg.Connection[Any], collection: str) -> None:
    """Set a collection's extent to that of its items; one that covers none keeps what it has."""
    _read(connection, _HELD, collection)
    found = computed_extent(connection, collection)
    if found is not None:
        connection.execute(_SET, (_json(found), collection))


def computed_extent(connection: psycopg.Connection[Any], collection: str) -> dict[str, Any] | None:
    """Return the extent of the items that everybody sees, by reading them; None where there are none."""
    row = connection.execute(_COMPUTED.format(covered=_COVERED), (collection,)).fetchone()
    if row is None or row[4] is None:
        return None
    return extent([float(number) for number in row[:4]], row[4], row[5])


def extent(box: Sequence[float], start: datetime, end: datetime) -> dict[str, Any]:
    """Return a STAC extent of west, south, east, north and a time range."""
    return {
        "spatial": {"bbox": [list(box)]},
        "temporal": {"interval": [[format_time(start), format_time(end)]]},
    }


def union_of_extents(stored: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest extent that covers both; an open end stays open, and further boxes of `stored` are kept."""
    boxes = stored["spatial"]["bbox"]
    first, other = _flat(boxes[0]), _flat(new["spatial"]["bbox"][0])
    box = [
        min(first[0], other[0]),
        min(first[1], other[1]),
        max(first[2], other[2]),
        max(first[3], other[3]),
    ]
    interval = _union_of_intervals(stored["temporal"]["interval"][0], new["temporal"]["interval"][0])
    return {
        **stored,
        "spatial": {**stored["spatial"], "bbox": [boxes[0] if box == first else box, *boxes[1:]]},
        "temporal": {**stored["temporal"], "interval": [interval, *stored["temporal"]["interval"][1:]]},
    }


def _union(stored: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    return union_of_extents(stored, new) if stored and new else stored or new


def _extent_of(rows: Sequence[ItemRow]) -> dict[str, Any] | None:
    if not rows:
        return None
    west, south, east, north = zip(*(row.bounds for row in rows), strict=True)
    box = [min(west), min(south), max(east), max(north)]
    return extent(box, min(row.start for row in rows), max(row.end for row in rows))


def _covered(connection: psycopg.Connection[Any], collection: str, rows: list[ItemRow]) -> list[ItemRow]:
    """Return the rows that everybody sees who sees their collection: public ones, and those guarded as it is."""
    if all(_guard(row)[0] in (None, PUBLIC) for row in rows):
        return rows
    around = connection.execute(_COLLECTION_GUARD, (collection,)).fetchone()
    return [row for row in rows if _guard(row)[0] in (None, PUBLIC) or _guard(row) == around]


def _guard(row: ItemRow) -> tuple[str | float | None, ...]:
    return tuple(row.columns[place] for place in _GUARD_PLACES)


def _union_of_intervals(stored: Sequence[str | None], new: Sequence[str | None]) -> list[str | None]:
    start = stored[0] if stored[0] is None or _covers(stored[0], new[0], first=True) else new[0]
    end = stored[1] if stored[1] is None or _covers(stored[1], new[1], first=False) else new[1]
    return [start, end]


def _covers(stored: str, new: str | None, first: bool) -> bool:
    if new is None:
        return False
    return parse_time(stored) <= parse_time(new) if first else parse_time(stored) >= parse_time(new)


def _flat(box: Sequence[float]) -> list[float]:
    return list(box) if len(box) == 4 else [box[0], box[1], box[3], box[4]]


def _read(connection: psycopg.Connection[Any], statement: str, collection: str) -> dict[str, Any] | None:
    row = connection.execute(statement.encode(), (collection,)).fetchone()
    return row[0] if row and isinstance(row[0], dict) else None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
