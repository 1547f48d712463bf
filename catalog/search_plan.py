"""From a STAC search to one statement over the read model.

`compile_search` takes a search as POST /search has it in its body. What it cannot answer exactly as pgstac would
raises `NotCompiled`, and the search goes the stock way: unknown members, properties without a column, dates without a
time, free text. So does everything that is wrong, which the stock way refuses with a reason.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from terralab.catalog.cql2_sql import NotCompiled, Parameters, compile_filter, intersects, property_sql
from terralab.catalog.search_guards import MAX_VERTICES, count_vertices, filter_size_is_fine, split_box
from terralab.catalog.times import parse_interval

DEFAULT_LIMIT = 10
_MEMBERS = {
    "collections",
    "ids",
    "bbox",
    "intersects",
    "datetime",
    "limit",
    "filter",
    "filter-lang",
    "query",
    "sortby",
    "token",
    "fields",
    "q",
}
_QUERY_OPERATORS = {"eq": "=", "neq": "<>", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_ASCENDING, _DESCENDING = "ASC", "DESC"


@dataclass(frozen=True)
class SortKey:
    """One column to sort by. `nullable` columns put nulls first when descending, as PostgreSQL does."""

    sql: str
    descending: bool
    nullable: bool


@dataclass(frozen=True)
class SearchPlan:
    """A search as SQL.

    Attributes:
        where: condition over `lab.items`, `TRUE` where there is none.
        parameters: values of `$1`, `$2`, … in it.
        collections: ids that the search is limited to, None for all.
        keys: columns to sort by, ending in a total order.
        span: begin and end of the wanted time, None for an open end, where the search is for collections and a time
            alone; None where it is for more.
        limit: items of a page.
        token: direction (`next` or `prev`), collection and id of the item that the page begins after.
    """

    where: str
    parameters: tuple[Any, ...]
    collections: tuple[str, ...] | None
    keys: tuple[SortKey, ...]
    span: tuple[datetime | None, datetime | None] | None
    limit: int
    token: tuple[str, str, str] | None


def compile_search(
    search: Mapping[str, Any],
    max_limit: int,
    policy: Mapping[str, Any] | None = None,
    hidden: AbstractSet[str] = frozenset(),
) -> SearchPlan:
    """Compile a search.

    Args:
        search: body of POST /search.
        max_limit: largest page; a larger `limit` is reduced to it.
        policy: CQL2 JSON that every item must meet as well.
        hidden: collections whose items are left out.

    Raises:
        NotCompiled: the read model cannot answer it exactly.
    """
    where, parameters, collections = _where(search, policy, hidden)
    return SearchPlan(
        where,
        tuple(parameters.values),
        collections,
        _sort_keys(search.get("sortby")),
        _span(search) if policy is None and not hidden else None,
        _limit(search.get("limit"), max_limit),
        _token(search.get("token")),
    )


def compile_where(
    search: Mapping[str, Any],
    policy: Mapping[str, Any] | None = None,
    hidden: AbstractSet[str] = frozenset(),
) -> tuple[str, list[Any]]:
    """Return the condition of a search over `lab.items`, with `$1`, `$2`, …, and their values.

    Raises:
        NotCompiled: the read model cannot answer it exactly.
    """
    where, parameters, _ = _where(search, policy, hidden)
    return where, parameters.values


def conditions_of_query(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the query extension asks for as CQL2 JSON conditions, all of which must hold."""
    return [
        {"op": _QUERY_OPERATORS.get(name, name), "args": [{"property": field}, value]}
        for field, operations in query.items()
        for name, value in (operations.items() if isinstance(operations, Mapping) else [("eq", operations)])
    ]


def _where(
    search: Mapping[str, Any], policy: Mapping[str, Any] | None, hidden: AbstractSet[str]
) -> tuple[str, Parameters, tuple[str, ...] | None]:
    if unknown := {name for name, value in search.items() if value is not None} - _MEMBERS:
        raise NotCompiled(", ".join(unknown))
    parameters, parts = Parameters(), []
    collections = _names(search.get("collections"))
    if collections is not None:
        # An equality lets an index by collection and time give the order, too.
        if len(collections) == 1:
            parts.append(f"collection = {parameters.add(collections[0], '::text')}")
        else:
            parts.append(f"collection = ANY({parameters.add(list(collections), '::text[]')})")
    if (ids := _names(search.get("ids"))) is not None:
        parts.append(f"id = ANY({parameters.add(list(ids), '::text[]')})")
    parts += _place(search, parameters)
    parts += _time(search.get("datetime"), collections, parameters)
    parts += _filter(search, parameters)
    parts += _free_text(search.get("q"), parameters)
    if policy is not None:
        parts.append(compile_filter(policy, parameters))
    if hidden:
        parts.append(f"NOT (collection = ANY({parameters.add(sorted(hidden), '::text[]')}))")
    return " AND ".join(parts) or "TRUE", parameters, collections


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not value or not isinstance(value, list) or not all(isinstance(one, str) and one.isprintable() for one in value):
        raise NotCompiled("names")
    return tuple(dict.fromkeys(value))


def _place(search: Mapping[str, Any], parameters: Parameters) -> list[str]:
    box, geometry = search.get("bbox"), search.get("intersects")
    if box is not None and geometry is not None:
        raise NotCompiled("bbox and intersects")
    if geometry is not None:
        if count_vertices(geometry) > MAX_VERTICES:
            raise NotCompiled("vertices")
        return [intersects(geometry, parameters)]
    if box is None:
        return []
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(_is_number(number) for number in box):
        raise NotCompiled("bbox")
    west, south, east, north = (float(number) for number in box)
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise NotCompiled("bbox")
    if west > east:
        return [intersects(split_box(box), parameters)]
    corners = ", ".join(parameters.add(number, "::float8") for number in (west, south, east, north))
    return [f"ST_Intersects(geometry, ST_MakeEnvelope({corners}, 4326))"]


def _time(value: Any, collections: Sequence[str] | None, parameters: Parameters) -> list[str]:
    if value is None:
        return []
    interval = parse_interval(value) if isinstance(value, str) else None
    if interval is None:
        raise NotCompiled("datetime")
    start, end = interval
    parts = [] if end is None else [f"datetime <= {parameters.add(end, '::timestamptz')}"]
    if start is not None:
        place = parameters.add(start, "::timestamptz")
        parts.append(f"end_datetime >= {place}")
        # No item begins earlier than the longest range of its collections before the wanted time. Without this an
        # index by time would be read to its end.
        which = "" if collections is None else f" WHERE id = ANY({parameters.add(list(collections), '::text[]')})"
        longest = f"(SELECT coalesce(max(longest), '0') FROM lab.collections{which})"  # noqa: S608  # our own text
        parts.append(f"datetime >= {place} - {longest}")
    return parts


def _span(search: Mapping[str, Any]) -> tuple[datetime | None, datetime | None] | None:
    """Return the time of a search for nothing else than collections and a time."""
    if any(search.get(name) is not None for name in ("ids", "bbox", "intersects", "filter", "query", "q")):
        return None
    return parse_interval(search["datetime"]) if search.get("datetime") is not None else (None, None)


def _filter(search: Mapping[str, Any], parameters: Parameters) -> list[str]:
    expression, query = search.get("filter"), search.get("query")
    if expression is not None and query is not None:
        raise NotCompiled("filter and query")
    if expression is not None:
        if search.get("filter-lang", "cql2-json") != "cql2-json" or not filter_size_is_fine(expression):
            raise NotCompiled("filter")
        return [compile_filter(expression, parameters)]
    if query is None:
        return []
    if not isinstance(query, Mapping):
        raise NotCompiled("query")
    return [compile_filter(condition, parameters) for condition in conditions_of_query(query)]


def _free_text(value: Any, parameters: Parameters) -> list[str]:
    """Return the condition of free text search: any of a list of terms, each as pgstac reads it for collections."""
    if value is None:
        return []
    terms = value if isinstance(value, list) else [value]
    if not terms or not all(isinstance(term, str) and term.strip() and term.isprintable() for term in terms):
        raise NotCompiled("q")
    # In a query of its own, for pgstac's function is volatile, and an index takes no volatile condition.
    query = f"(SELECT q_to_tsquery(to_jsonb({parameters.add(' OR '.join(terms), '::text')})))"
    return [f"words IS NOT NULL AND to_tsvector('english', words) @@ {query}"]


def _sort_keys(value: Any) -> tuple[SortKey, ...]:
    wanted = value or [{"field": "datetime", "direction": "desc"}]
    if not isinstance(wanted, list) or not all(isinstance(entry, Mapping) for entry in wanted):
        raise NotCompiled("sortby")
    keys, names = [], []
    for entry in wanted:
        field, direction = entry.get("field"), entry.get("direction", "asc")
        if not isinstance(field, str) or direction not in ("asc", "desc"):
            raise NotCompiled("sortby")
        held = Parameters()
        sql, _ = property_sql({"property": field}, held)
        if held.values:  # a metric: pgstac orders those by its queryables
            raise NotCompiled("sortby")
        names.append(field)
        keys.append(SortKey(sql, direction == "desc", sql not in ("datetime", "end_datetime", "collection", "id")))
    keys += [SortKey(name, keys[0].descending, False) for name in ("collection", "id") if name not in names]
    return tuple(keys)


def _limit(value: Any, max_limit: int) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise NotCompiled("limit")
    return min(value, max_limit)


def _token(value: Any) -> tuple[str, str, str] | None:
    if value is None:
        return None
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) != 3 or parts[0] not in ("next", "prev"):
        raise NotCompiled("token")
    try:
        collection, item = (bytes.fromhex(part).decode() for part in parts[1:])
    except ValueError as error:
        raise NotCompiled("token") from error
    if "\0" in collection + item:
        raise NotCompiled("token")
    return parts[0], collection, item


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
