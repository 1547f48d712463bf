"""The policy inside a search that pgstac answers: what the caller may not read is filtered out in the query itself."""

import json
from typing import Any

from fastapi import Request

from terralab.catalog.access.policy import read_filter
from terralab.catalog.access.requests import principal_of
from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.errors import InvalidInput, ServiceUnavailable
from terralab.catalog.search_guards import (
    parse_filter,
)
from terralab.catalog.search_plan import compile_search, conditions_of_query
from terralab.catalog.search_query import search_of_query


async def refuse_free_text(search_request: Any, request: Request) -> None:
    """Refuse free text that the read model did not answer: pgstac finds no item without a description.

    Raises:
        ServiceUnavailable: items wait to be rendered.
        InvalidInput: the search holds what cannot be combined with free text.
    """
    if not getattr(search_request, "q", None):
        return
    try:
        # As it was sent: stac-fastapi makes other terms of some.
        query = request.method == "GET"
        members = search_of_query(request.scope["query_string"]) if query else json.loads(await request.body())
        compile_search(members, request.app.state.max_limit)
    except NotCompiled as error:
        raise InvalidInput(f"free text (q) cannot be combined with {error}; use it with plain members") from error
    raise ServiceUnavailable("another program just changed items; free text finds them in a moment")


async def apply_policy(search_request: Any, request: Request) -> None:
    """Limit a search to what the caller may read, inside the query, so that counts obey it too."""
    caller = principal_of(request)
    hidden = await request.app.state.collection_access.hidden_from(caller)
    conditions = [condition for condition in (read_filter(caller), _not_in("collection", hidden)) if condition]
    if not conditions:
        return
    if getattr(search_request, "filter_expr", None) is not None:
        conditions.append(search_request.filter_expr)
    if query := getattr(search_request, "query", None):
        conditions += conditions_of_query(query)  # pgstac takes a query or a filter
        search_request.query = None
    search_request.filter_expr = {"op": "and", "args": conditions} if len(conditions) > 1 else conditions[0]
    search_request.filter_lang = "cql2-json"


def without_collections(arguments: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    """Return the arguments of a search for collections with a filter that leaves some out."""
    expression = arguments.get("filter_expr")
    condition = _not_in("id", hidden)
    if expression is not None:
        condition = {"op": "and", "args": [condition, parse_filter(expression, arguments.get("filter_lang"))]}
    if query := arguments.pop("query", None):
        condition = {"op": "and", "args": [condition, *conditions_of_query(json.loads(query))]}
    return {**arguments, "filter_expr": json.dumps(condition), "filter_lang": "cql2-json"}


def _not_in(name: str, values: frozenset[str]) -> dict[str, Any] | None:
    if not values:
        return None
    return {"op": "not", "args": [{"op": "in", "args": [{"property": name}, sorted(values)]}]}
