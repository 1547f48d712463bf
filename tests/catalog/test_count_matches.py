import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from terralab.catalog import count_matches
from terralab.catalog.count_matches import Counts
from terralab.catalog.search_plan import compile_search
from terralab.catalog.workspace import Workspace
from tests.catalog.test_writing import collection, item

BEGIN = datetime(2023, 11, 1, tzinfo=UTC)
SEARCHES = 60


@pytest.fixture
def url(workspace: Workspace) -> str:
    chance = random.Random(3)
    names = ("places", "others")
    items = [
        item(n, when=BEGIN + timedelta(minutes=chance.randrange(200 * 24 * 60)), name=names[n % 2]) for n in range(300)
    ]
    workspace.catalog.write([collection(name) for name in names], items)
    return str(workspace.settings.database_url)


def counted(url: str, searches: list[dict[str, Any]]) -> list[tuple[int | None, int]]:
    """Return what `Counts` says and what there is, for each search."""

    async def run() -> list[tuple[int | None, int]]:
        connection = await asyncpg.connect(url, server_settings={"search_path": "pgstac,public"})
        try:
            counts, found = Counts(), []
            for search in searches:
                plan = compile_search(search, 1000)
                there = await connection.fetchval(
                    f"SELECT count(*) FROM lab.items WHERE {plan.where}", *plan.parameters
                )
                found.append((await counts.of(connection, plan, 1), there))
            return found
        finally:
            await connection.close()

    return asyncio.run(run())


def moment(chance: random.Random) -> str:
    return (BEGIN + timedelta(minutes=chance.randrange(-9000, 220 * 24 * 60))).isoformat().replace("+00:00", "Z")


def test_times_are_summed_exactly(url: str) -> None:
    chance = random.Random(1)
    searches: list[dict[str, Any]] = [{}, {"collections": ["places"]}, {"collections": ["nowhere"]}]
    for _ in range(SEARCHES):
        start, end = sorted((moment(chance), moment(chance)))
        when = chance.choice([f"{start}/{end}", f"../{end}", f"{start}/..", start])
        searches.append({"datetime": when, **chance.choice([{}, {"collections": ["others"]}])})
    searches.append({"datetime": "2023-12-01T00:00:00Z/2023-12-31T23:59:59.999999Z"})
    assert all(said == there for said, there in counted(url, searches))


def test_ranges_are_counted_one_by_one(workspace: Workspace, url: str) -> None:
    long = item(1000, name="places")
    long["properties"] |= {
        "datetime": None,
        "start_datetime": "2023-01-01T00:00:00Z",
        "end_datetime": "2024-01-01T00:00:00Z",
    }
    workspace.catalog.write([], [long])
    searches = [{"datetime": "2023-06-01T00:00:00Z"}, {"datetime": "2023-06-01T00:00:00Z/.."}]
    assert counted(url, searches) == [(1, 1), (301, 301)]


def test_many_are_not_counted_unless_one_is_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_matches, "COUNTED_AT_MOST", 100)
    everywhere = {"bbox": [-180, -90, 180, 90]}
    few = {**everywhere, "collections": ["places"], "datetime": "2023-11-01T00:00:00Z/2023-11-20T00:00:00Z"}
    assert [said for said, _ in counted(url, [everywhere, {**everywhere, "limit": 1}])] == [None, 300]
    assert all(said == there for said, there in counted(url, [few]))
