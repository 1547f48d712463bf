"""How many items a search matches: exactly, or not at all where that would cost more than the search itself.

- Searches for collections and times alone are summed from `lab.facets`, which holds the items of every month.
- Anything else is counted. Counting ends at `COUNTED_AT_MOST`, and `numberMatched` is then left out, as OGC API
  Features allows. A search with a `limit` of 1 wants the number (pystac-client's `matched()` sends one) and is counted
  to the end.

A count is remembered for as long as the version of the searched collections stays.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import asyncpg

from terralab.catalog.search_plan import SearchPlan

COUNTED_AT_MOST = 20_000
KEPT_COUNTS = 20_000
_LASTS = "SELECT coalesce(max(longest), '0') > '0' FROM lab.collections WHERE $1::text[] IS NULL OR id = ANY($1)"
_MONTHS = """
    SELECT coalesce(sum(items), 0)::bigint FROM lab.facets
    WHERE facet = 'month' AND ($1::text[] IS NULL OR collection = ANY($1))
    AND ($2::text IS NULL OR value > $2) AND ($3::text IS NULL OR value < $3)"""
_WITHIN = """
    SELECT count(*) FROM lab.items WHERE ($1::text[] IS NULL OR collection = ANY($1))
    AND datetime >= $2 AND datetime <= $3"""


class Counts:
    """Counts matches, and remembers how many they were."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, int, bool], int | None] = OrderedDict()

    async def of(self, connection: asyncpg.Connection, plan: SearchPlan, version: int) -> int | None:
        """Return how many items a search matches, None where they are too many to be counted.

        Args:
            connection: to the database.
            plan: the search.
            version: of the collections that it searches.
        """
        whole = plan.limit == 1
        key = (plan.where, repr(plan.parameters), version, whole)
        if key not in self._kept:
            self._kept[key] = await _count(connection, plan, whole)
            if len(self._kept) > KEPT_COUNTS:
                self._kept.popitem(last=False)
        return self._kept[key]


async def _count(connection: asyncpg.Connection, plan: SearchPlan, whole: bool) -> int | None:
    if plan.span is not None:
        collections = None if plan.collections is None else list(plan.collections)
        if not await connection.fetchval(_LASTS, collections):
            return await _count_by_months(connection, collections, *plan.span)
    if whole:
        return int(await connection.fetchval(f"SELECT count(*) FROM lab.items WHERE {plan.where}", *plan.parameters))
    statement = f"SELECT count(*) FROM (SELECT FROM lab.items WHERE {plan.where} LIMIT {COUNTED_AT_MOST + 1}) AS found"
    found = int(await connection.fetchval(statement, *plan.parameters))
    return found if found <= COUNTED_AT_MOST else None


async def _count_by_months(
    connection: asyncpg.Connection, collections: list[str] | None, start: datetime | None, end: datetime | None
) -> int:
    """Return how many instants lie between two times: whole months from their sums, the rest by the index of times."""
    first, last = _month(start), _month(end)
    if start is not None and end is not None and first == last:
        return int(await connection.fetchval(_WITHIN, collections, start, end))
    count = int(await connection.fetchval(_MONTHS, collections, first, last))
    if start is not None:
        count += int(await connection.fetchval(_WITHIN, collections, start, _last_moment(start)))
    if end is not None:
        count += int(await connection.fetchval(_WITHIN, collections, _first_moment(end), end))
    return count


def _month(moment: datetime | None) -> str | None:
    """Return the month as `lab.facets` names it: UTC, `YYYY-MM`."""
    return None if moment is None else moment.astimezone(UTC).isoformat()[:7]


def _first_moment(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _last_moment(moment: datetime) -> datetime:
    """Return the last microsecond of the month, which is as fine as PostgreSQL's times are."""
    first = _first_moment(moment)
    if first.year == datetime.max.year and first.month == 12:
        return datetime.max.replace(tzinfo=UTC)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return following - timedelta(microseconds=1)
