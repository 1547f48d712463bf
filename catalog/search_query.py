"""The query string of a search as the body that POST /search would have."""

from typing import Any
from urllib.parse import parse_qsl

import orjson
from cql2 import Expr

from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.projection import fields_of_query
from terralab.catalog.search_guards import filter_text_is_fine

_LISTS = {"collections", "ids", "q"}
_TEXTS = {"datetime", "token"}


def search_of_query(query: bytes) -> dict[str, Any]:
    """Return the search that a query string asks for.

    Raises:
        NotCompiled: it holds something else than the plain members of a search, or something wrong.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise NotCompiled("query string") from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise NotCompiled("a member twice")
    language = given.pop("filter-lang", "cql2-text")
    return {name: _value(name, text, language) for name, text in given.items() if text != ""}


def _value(name: str, text: str, language: str) -> Any:
    try:
        if name in _LISTS:
            return text.split(",")
        if name in _TEXTS:
            return text
        if name == "limit":
            return _limit(text)
        if name == "bbox":
            return [float(number) for number in text.split(",")]
        if name == "sortby":
            return [_sort_entry(part) for part in text.split(",")]
        if name == "fields":
            return fields_of_query(text)
        if name in ("intersects", "query"):
            return orjson.loads(text)
        if name == "filter":
            return _filter(text, language)
    except ValueError as error:
        raise NotCompiled(name) from error
    raise NotCompiled(name)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise NotCompiled("limit")
    return int(text)


def _sort_entry(text: str) -> dict[str, str]:
    # A plus sign in a query string is a space.
    field = text.lstrip("+- ")
    if not field or len(text) - len(field) > 1:
        raise NotCompiled("sortby")
    return {"field": field, "direction": "desc" if text.startswith("-") else "asc"}


def _filter(text: str, language: str) -> Any:
    if not filter_text_is_fine(text):
        raise NotCompiled("filter")
    if language == "cql2-json":
        return orjson.loads(text)
    if language != "cql2-text":
        raise NotCompiled("filter-lang")
    try:
        return Expr(text).to_json()
    except Exception as error:  # cql2 raises bare exceptions
        raise NotCompiled("filter") from error
