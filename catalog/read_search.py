"""Running a compiled search over the read model: one statement, and a count where the number of matches is not known.

The statement also reads the version of the collections and whether any of their items wait to be rendered, in the same
snapshot: an answer is never stale, and a count may be kept for as long as the version stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from terralab.catalog.count_matches import Counts
from terralab.catalog.search_plan import SearchPlan, SortKey


@dataclass(frozen=True)
class FoundItem:
    """One item of a page: its keys, its finished JSON, and what decides who may have its files."""

    collection: str
    id: str
    body: bytes
    visibility: str | None


@dataclass(frozen=True)
class Page:
    """One page of a search.

    Attributes:
        items: in order.
        next: token of the next page, None on the last.
        previous: token of the page before, None on the first.
        matched: how many items match in all, None where they are too many to be counted.
        version: of the collections that were searched; it grows with every change of their items.
    """

    items: list[FoundItem]
    next: str | None
    previous: str | None
    matched: int | None
    version: int


class ReadSearch:
    """Runs compiled searches, and remembers how many items match."""

    def __init__(self) -> None:
        self._counts = Counts()

    async def page(self, connection: asyncpg.Connection, plan: SearchPlan) -> Page | None:
        """Return the page of a search, None where the read model cannot answer it now.

        That is so while items of the searched collections wait to be rendered, or where the item that a token names
        is gone.
        """
        parameters = list(plan.parameters)
        where, backwards = plan.where, plan.token is not None and plan.token[0] == "prev"
        if plan.token is not None:
            after = await _after(connection, plan, parameters)
            if after is None:
                return None
            where = f"({where}) AND {after}"
        rows = await connection.fetch(_statement(plan, where, backwards, parameters), *parameters)
        if rows[0]["stale"]:
            return None
        version = int(rows[0]["version"])
        found = [FoundItem(row[2], row[3], row[4], row[5]) for row in rows if row[4] is not None]
        more = len(found) > plan.limit
        items = found[: plan.limit]
        if backwards:
            items.reverse()
        complete = plan.token is None and not more
        matched = len(items) if complete else await self._counts.of(connection, plan, version)
        return Page(items, *_tokens(plan, items, more), matched, version)


def _statement(plan: SearchPlan, where: str, backwards: bool, parameters: list[Any]) -> str:
    """Return the statement of a page; its first two columns are those of the state."""
    which = ""
    if plan.collections is not None:
        parameters.append(list(plan.collections))
        which = f" WHERE {{column}} = ANY(${len(parameters)}::text[])"
    parameters.append(plan.limit + 1)
    order = ", ".join(f"{key.sql} {'DESC' if key.descending != backwards else 'ASC'}" for key in plan.keys)
    state = (
        f"(SELECT coalesce(sum(version), 0) FROM lab.collections{which.format(column='id')}) AS version,"
        f" EXISTS (SELECT 1 FROM lab.stale{which.format(column='collection')}) AS stale"
    )
    page = (
        f"SELECT collection, id, body, visibility FROM lab.items WHERE {where} ORDER BY {order}"
        f" LIMIT ${len(parameters)}::int"
    )
    return f"SELECT s.*, r.* FROM (SELECT {state}) s LEFT JOIN LATERAL ({page}) r ON true"


async def _after(connection: asyncpg.Connection, plan: SearchPlan, parameters: list[Any]) -> str | None:
    """Return the condition that an item comes after the one that the token names, None where that is gone."""
    assert plan.token is not None  # the caller asks only then
    direction, collection, item = plan.token
    columns = ", ".join(key.sql for key in plan.keys)
    statement = f"SELECT {columns} FROM lab.items WHERE collection = $1 AND id = $2"
    row = await connection.fetchrow(statement, collection, item)
    if row is None:
        return None
    return _keyset(plan.keys, list(row.values()), direction == "prev", parameters)


def _keyset(keys: Sequence[SortKey], values: Sequence[Any], backwards: bool, parameters: list[Any]) -> str:
    """Return the condition that a row comes after `values` in the order of `keys` (before, where `backwards`)."""
    places = []
    for value in values:
        if value is not None:
            parameters.append(value)
        places.append("NULL" if value is None else f"${len(parameters)}")
    down = [key.descending != backwards for key in keys]
    if len(set(down)) == 1 and not any(key.nullable for key in keys):
        sign = "<" if down[0] else ">"
        return f"({', '.join(key.sql for key in keys)}) {sign} ({', '.join(places)})"
    choices: list[str] = []
    equal: list[str] = []
    for key, place, descending in zip(keys, places, down, strict=True):
        if (beyond := _beyond(key, place, descending)) is not None:
            choices.append(" AND ".join([*equal, beyond]))
        equal.append(f"{key.sql} IS NULL" if place == "NULL" else f"{key.sql} = {place}")
    return "(" + " OR ".join(f"({choice})" for choice in choices) + ")"


def _beyond(key: SortKey, place: str, descending: bool) -> str | None:
    """Return the condition that one column is beyond a value; nulls are the largest."""
    if place == "NULL":
        return f"{key.sql} IS NOT NULL" if descending else None
    if descending:
        return f"{key.sql} < {place}"
    return f"({key.sql} > {place} OR {key.sql} IS NULL)" if key.nullable else f"{key.sql} > {place}"


def _tokens(plan: SearchPlan, items: Sequence[FoundItem], more: bool) -> tuple[str | None, str | None]:
    """Return the tokens of the next and the previous page."""
    backwards = plan.token is not None and plan.token[0] == "prev"
    has_next = backwards or more
    has_previous = more if backwards else plan.token is not None
    first_and_last = (items[0], items[-1]) if items else None
    if first_and_last is None:
        return None, None
    return (
        f"next:{_key(first_and_last[1])}" if has_next else None,
        f"prev:{_key(first_and_last[0])}" if has_previous else None,
    )


def _key(item: FoundItem) -> str:
    """Return the two halves of a token as pgstac writes them, so that either can go on from the other's page."""
    return f"{item.collection.encode().hex()}:{item.id.encode().hex()}"
