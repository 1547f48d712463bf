"""What a request to /aggregate asks for: a query string or a body as `Wanted`, checked as searches are."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException
from stac_fastapi.types.rfc3339 import str_to_interval

from terralab.catalog.aggregation import AGGREGATIONS, DEFAULT_ZOOM, MAX_ZOOM, Aggregation, Wanted
from terralab.catalog.errors import InvalidInput
from terralab.catalog.search_guards import check_box, check_filter, check_geometry, parse_filter

INTERVALS = ("year", "month", "day")
_INTERVAL, _ZOOM = "datetime_frequency_interval", "grid_geotile_frequency_precision"
# Members of a search that mean nothing where no items are returned.
_IGNORED = {"limit", "token", "sortby", "fields", "filter-lang", "filter-crs"}
_SEARCH = {"collections", "ids", "bbox", "intersects", "datetime", "filter", "query", "q"}
_LISTS = {"collections", "ids", "aggregations", "q"}


def wanted_of_query(given: Mapping[str, str], collection: str | None, allowed: Mapping[str, Aggregation]) -> Wanted:
    """Return what a query string asks for.

    Args:
        given: its members.
        collection: whose items are counted; None where the request says so.
        allowed: what may be counted.

    Raises:
        InvalidInput: it is wrong.
    """
    body = {name: _member(name, text, given.get("filter-lang")) for name, text in given.items() if text != ""}
    return wanted_of_body(body, collection, allowed)


def wanted_of_body(body: Mapping[str, Any], collection: str | None, allowed: Mapping[str, Aggregation]) -> Wanted:
    """Return what the body of a POST asks for; see `wanted_of_query`.

    Raises:
        InvalidInput: it is wrong.
    """
    known = _SEARCH | _IGNORED | {"aggregations", _INTERVAL, _ZOOM}
    if unknown := sorted(body.keys() - known):
        raise InvalidInput(f"/aggregate takes no {unknown[0]!r}; it takes {', '.join(sorted(known - _IGNORED))}")
    search = {name: body[name] for name in _SEARCH if body.get(name) is not None}
    _check_search(search)
    if collection is not None:
        if "collections" in search:
            raise InvalidInput(f"this counts the items of {collection!r} alone; use /aggregate for other collections")
        search["collections"] = [collection]
    return Wanted(search, _names(body.get("aggregations"), allowed), _interval(body), _zoom(body))


def check_time(value: Any) -> None:
    """Refuse what is not a STAC datetime or interval; None is fine.

    Raises:
        InvalidInput: it is not.
    """
    try:
        if value is not None:
            str_to_interval(value)
    except (HTTPException, TypeError, ValueError, AttributeError) as error:
        reason = "datetime must be a time or an interval of RFC 3339, such as 2024-01-01T00:00:00Z/.."
        raise InvalidInput(reason) from error


def _names(value: Any, allowed: Mapping[str, Aggregation]) -> tuple[str, ...]:
    if not value:
        raise InvalidInput(f"say what to count: aggregations={','.join(list(allowed)[:4])}; /aggregations lists all")
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidInput('aggregations must be a list of names, such as ["total_count"]')
    for name in value:
        if name not in allowed:
            why = "has nothing to do with this collection" if name in AGGREGATIONS else "is not known"
            raise InvalidInput(f"aggregation {name[:80]!r} {why}; there are {', '.join(allowed)}")
    return tuple(dict.fromkeys(value))


def _interval(body: Mapping[str, Any]) -> Any:
    value = body.get(_INTERVAL, "month")
    if value not in INTERVALS:
        raise InvalidInput(f"{_INTERVAL} must be one of {', '.join(INTERVALS)}")
    return value


def _zoom(body: Mapping[str, Any]) -> int:
    value = body.get(_ZOOM, DEFAULT_ZOOM)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_ZOOM:
        raise InvalidInput(f"{_ZOOM} must be a zoom level, 0 to {MAX_ZOOM}")
    return value


def _check_search(search: Mapping[str, Any]) -> None:
    for name in ("collections", "ids"):
        value = search.get(name, [])
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise InvalidInput(f"{name} must be a list of ids")
    if "bbox" in search and "intersects" in search:
        raise InvalidInput("give bbox or intersects, not both")
    if "filter" in search and "query" in search:
        raise InvalidInput("give filter or query, not both")
    _check_box_form(search.get("bbox"))
    if not isinstance(search.get("intersects", {}), Mapping):
        raise InvalidInput("intersects must be a GeoJSON geometry")
    check_geometry(search.get("intersects"))
    check_time(search.get("datetime"))
    if not isinstance(search.get("query", {}), Mapping):
        raise InvalidInput('query must be an object, such as {"gsd": {"lte": 10}}')
    words = search.get("q", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidInput("q must be a list of words")
    if "filter" in search:
        check_filter(search["filter"])


def _check_box_form(box: Any) -> None:
    if box is None:
        return
    numbers = isinstance(box, list) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in box)
    if not numbers or len(box) not in (4, 6):
        raise InvalidInput("bbox must be west,south,east,north")
    check_box(box)


def _member(name: str, text: str, language: str | None) -> Any:
    """Return the value that a member of a query string has in a body."""
    try:
        if name in _LISTS:
            return [part.strip() for part in text.split(",") if part.strip()]
        if name == "bbox":
            return [float(number) for number in text.split(",")]
        if name in ("intersects", "query"):
            return json.loads(text)
        if name == _ZOOM:
            return int(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} cannot be read: {error}") from error
    return parse_filter(text, language or "cql2-text") if name == "filter" else text
