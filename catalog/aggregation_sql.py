"""The statements that count items by value: over `lab.facets`, over the read model and over pgstac.

All three count the same values, those of `lab.count_facets` in `sql/30_facets.sql` (a test compares them).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson

from terralab.catalog.read_model import FIELDS, NUMBER
from terralab.catalog.search_guards import split_box
from terralab.catalog.search_plan import conditions_of_query
from terralab.extensions.lab import CLASS_COUNTS_PROP

CLASS = "class"
SUMMED = frozenset(
    (
        *("item", "kind", "split", "month", "dataset_version", "run_type", "status", "model", "platform"),
        *("cloud_cover", CLASS),
    )
)
"""The facets that `lab.facets` counts; the others have too many values for every write to count them."""
_PERIODS = {"year": "YYYY", "month": "YYYY-MM", "day": "YYYY-MM-DD"}
# The column of `lab.items` that a facet is of, and the SQL of its values where they are not the column's.
_COLUMNS = {"item": "collection", "month": "datetime", "tile": "geometry"}
_VALUES = {
    "cloud_cover": "lab.tenth_of(cloud_cover)",
    "month": "to_char(datetime AT TIME ZONE 'UTC', '{period}')",
    # Column and row of the web map tile in one number, which is grouped faster than its name.
    "tile": "(least((1 << {zoom:d}) - 1, floor((middle_x + 180) / 360 * (1 << {zoom:d})))::bigint << {zoom:d})"
    " + least((1 << {zoom:d}) - 1, greatest(0, floor((1 - asinh(tan(radians("
    "least(89.9, greatest(-89.9, middle_y))))) / pi()) / 2 * (1 << {zoom:d}))))::bigint",
}
_VERSIONS = "SELECT id, version FROM lab.collections WHERE $1::text[] IS NULL OR id = ANY($1) ORDER BY id"
_STALE = "SELECT EXISTS (SELECT FROM lab.stale WHERE $1::text[] IS NULL OR collection = ANY($1))"
_SUMS = """
    SELECT facet, CASE facet WHEN 'item' THEN collection ELSE value END, sum(items)::bigint, sum(pixels)
    FROM lab.facets
    WHERE facet = ANY(${facets}::text[]) AND (${which}::text[] IS NULL OR collection = ANY(${which})) AND {where}
    GROUP BY 1, 2 HAVING sum(items) > 0"""
_ENDS = """
    SELECT (SELECT min(datetime) FROM lab.items WHERE {where}) AS first,
        (SELECT max(datetime) FROM lab.items WHERE {where}) AS last"""
_ENDS_OF_EACH = """
    SELECT min(e.first), max(e.last) FROM unnest(${which}::text[]) AS wanted (name) CROSS JOIN LATERAL ({each}) AS e"""
# Rows are: place of a facet (null for all items), value, items, first and last begin.
_SCAN = """
    SELECT {place}, {value}, count(*), {ends} FROM ({valued}) AS valued GROUP BY GROUPING SETS ({sets})"""
_VALUED = "SELECT {columns} FROM {source}"
# OFFSET 0 keeps the box from being computed once for every corner of it, and the middle once for every use.
_BOXED = """(
    SELECT {columns}, (ST_XMin(box) + ST_XMax(box)) / 2 AS middle_x, (ST_YMin(box) + ST_YMax(box)) / 2 AS middle_y
    FROM (SELECT {columns}, lab.box_of(geometry) AS box FROM {source} OFFSET 0) AS boxed OFFSET 0) AS placed"""
_CLASSES = """
    SELECT f.key, count(*), sum(f.value::float8)
    FROM (SELECT class_counts FROM {source} AND jsonb_typeof(class_counts) = 'object' OFFSET 0) AS c,
        LATERAL jsonb_each(c.class_counts) AS f
    WHERE jsonb_typeof(f.value) = 'number' GROUP BY 1"""
_PGSTAC_ITEMS = "(SELECT collection, datetime, geometry, {columns} FROM items WHERE {where}) AS items WHERE true"
_PGSTAC_COLUMN = "{wrapper}(content->'properties'->'{name}') AS {column}"


class Bucket(NamedTuple):
    """How many items have a value, and for classes of how many pixels."""

    value: str
    items: int
    pixels: float | None = None


@dataclass
class Counted:
    """What was counted.

    Attributes:
        total: matching items.
        first: earliest begin of one.
        last: latest begin of one.
        counts: buckets by facet.
    """

    total: int
    first: datetime | None = None
    last: datetime | None = None
    counts: dict[str, list[Bucket]] = field(default_factory=dict)


class Shape(NamedTuple):
    """What is counted.

    Attributes:
        facets: their names.
        interval: of `month`: `year`, `month` or `day`.
        zoom: of `tile`.
        ends: whether the earliest and latest time are wanted, too.
    """

    facets: tuple[str, ...]
    interval: str
    zoom: int
    ends: bool


async def versions(connection: asyncpg.Connection, collections: Sequence[str] | None) -> dict[str, int]:
    """Return the versions of collections (None: all), which grow with every change of their items."""
    return dict(await connection.fetch(_VERSIONS, collections))


async def is_stale(connection: asyncpg.Connection, collections: Sequence[str] | None) -> bool:
    """Return whether items of collections (None: of any) wait to be rendered."""
    return bool(await connection.fetchval(_STALE, collections))


async def sum_facets(
    connection: asyncpg.Connection,
    facets: Sequence[str],
    collections: Sequence[str] | None,
    where: str,
    values: Sequence[Any],
) -> Counted:
    """Count the items of whole collections (None: all); `where` may name collection, owner, visibility and project."""
    statement = _SUMS.format(facets=len(values) + 1, which=len(values) + 2, where=where)
    rows = await connection.fetch(statement, *values, [*facets, "item"], collections)
    counted = Counted(sum(row[2] for row in rows if row[0] == "item"), counts={facet: [] for facet in facets})
    for facet, value, items, pixels in rows:
        if facet in counted.counts:
            counted.counts[facet].append(Bucket(value, items, pixels))
    return counted


async def ends(
    connection: asyncpg.Connection, collections: Sequence[str] | None, where: str, values: Sequence[Any]
) -> tuple[datetime | None, datetime | None]:
    """Return the earliest and the latest begin of the items of whole collections (None: all), by an index."""
    if collections is None:
        row = await connection.fetchrow(_ENDS.format(where=where), *values)
    else:
        each = _ENDS.format(where=f"collection = wanted.name AND {where}")
        statement = _ENDS_OF_EACH.format(which=len(values) + 1, each=each)
        row = await connection.fetchrow(statement, *values, list(collections))
    return row[0], row[1]


async def scan(connection: asyncpg.Connection, shape: Shape, source: str, values: Sequence[Any]) -> Counted:
    """Count by reading every item.

    Args:
        connection: to read from.
        shape: what is counted.
        source: what follows FROM: a table with the columns of `lab.items`, and a condition.
        values: of the parameters in `source`.
    """
    plain = [facet for facet in shape.facets if facet != CLASS]
    counted = Counted(0, counts={facet: [] for facet in shape.facets})
    for place, value, items, first, last in await connection.fetch(_scan_statement(shape, plain, source), *values):
        if place is None:
            counted.total, counted.first, counted.last = items, first, last
        elif value is not None:
            name = _tile(int(value), shape.zoom) if plain[place] == "tile" else value
            counted.counts[plain[place]].append(Bucket(name, items))
    if CLASS in shape.facets:
        rows = await connection.fetch(_CLASSES.format(source=source), *values)
        counted.counts[CLASS] = [Bucket(*row) for row in rows]
    return counted


async def scan_pgstac(
    connection: asyncpg.Connection,
    shape: Shape,
    search: Mapping[str, Any],
    policy: Mapping[str, Any] | None,
    hidden: AbstractSet[str],
) -> Counted:
    """Count by reading every item in pgstac, which understands every search."""
    body = orjson.dumps(_whole_search(search, policy, hidden)).decode()
    where = await connection.fetchval("SELECT stac_search_to_where($1::text::jsonb)", body)
    columns = [
        _PGSTAC_COLUMN.format(wrapper="to_float" if kind == NUMBER else "to_text", name=name, column=column)
        for name, (column, kind) in FIELDS.items()
    ]
    columns.append(_PGSTAC_COLUMN.format(wrapper="", name=CLASS_COUNTS_PROP, column="class_counts"))
    return await scan(connection, shape, _PGSTAC_ITEMS.format(columns=", ".join(columns), where=where), [])


def _scan_statement(shape: Shape, facets: Sequence[str], source: str) -> str:
    if "tile" in facets:
        needed = {"datetime", *(_COLUMNS.get(facet, facet) for facet in facets)}
        source = _BOXED.format(columns=", ".join(sorted(needed)), source=source)
    settings = {"period": _PERIODS[shape.interval], "zoom": shape.zoom}
    values = [_VALUES.get(facet, _COLUMNS.get(facet, facet)).format(**settings) for facet in facets]
    names = [f"value_{place}" for place in range(len(facets))]
    columns = [f"{value} AS {name}" for value, name in zip(values, names, strict=True)]
    cases = " ".join(f"WHEN grouping({name}) = 0 THEN {place}" for place, name in enumerate(names))
    return _SCAN.format(
        place=f"CASE {cases} END" if names else "NULL::int",
        value=f"coalesce({', '.join(f'{name}::text' for name in names)})" if names else "NULL::text",
        ends="min(datetime), max(datetime)" if shape.ends else "NULL::timestamptz, NULL::timestamptz",
        valued=_VALUED.format(columns=", ".join([*columns, "datetime"]), source=source),
        sets=", ".join(["()", *names]),
    )


def _tile(key: int, zoom: int) -> str:
    return f"{zoom}/{key >> zoom}/{key & ((1 << zoom) - 1)}"


def _whole_search(
    search: Mapping[str, Any], policy: Mapping[str, Any] | None, hidden: AbstractSet[str]
) -> dict[str, Any]:
    """Return a search with the policy in it, in the words of pgstac."""
    body = {name: value for name, value in search.items() if value is not None}
    if halves := split_box(body.get("bbox")):
        body = {**body, "bbox": None, "intersects": halves}
    conditions = [condition for condition in (policy, body.pop("filter", None)) if condition is not None]
    conditions += conditions_of_query(body.pop("query", None) or {})
    if hidden:
        among = {"op": "in", "args": [{"property": "collection"}, sorted(hidden)]}
        conditions.append({"op": "not", "args": [among]})
    if conditions:
        body["filter"] = {"op": "and", "args": conditions} if len(conditions) > 1 else conditions[0]
        body["filter-lang"] = "cql2-json"
    return {name: value for name, value in body.items() if value is not None}
