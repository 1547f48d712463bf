"""Counts and histograms: three ways to count that agree, over HTTP, and under the policy."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stac_fastapi.pgstac.db import con_init

from terralab.catalog import aggregation_sql as sql
from terralab.catalog.access.policy import read_filter
from terralab.catalog.access.principal import Principal
from terralab.catalog.aggregation import AGGREGATIONS, Aggregator, Wanted
from terralab.catalog.app import create_app
from terralab.catalog.search_plan import compile_where
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import delete_items, write_items
from terralab.catalog.writing_collections import write_collections
from tests.catalog.conftest import Server, serve
from tests.conftest import execute

COLLECTIONS = ("pictures", "pieces", "secret")
ALL = tuple(AGGREGATIONS)
BOB = Principal("bob", frozenset({"read"}), frozenset({"p"}))
HIDDEN = frozenset({"secret"})


def random_item(random: Random, number: int) -> dict[str, Any]:
    collection = COLLECTIONS[number % 3]
    west, south = random.uniform(-180, 175), random.uniform(-89, 85)
    start = datetime(2019, 12, 28, tzinfo=UTC) + timedelta(hours=random.randrange(24 * 400))
    properties: dict[str, Any] = {"datetime": start.isoformat().replace("+00:00", "Z")}
    if random.random() < 0.2:
        end = start + timedelta(days=40)
        properties |= {"datetime": None, "start_datetime": properties["datetime"], "end_datetime": end.isoformat()}
    choices = {
        "lab:kind": ["imagery", "chips", 5],
        "ml-aoi:split": ["train", "test"],
        "platform": ["a", "", "b"],
        "eo:cloud_cover": [0, 9.99, 10, 55.5, 100],
        "grid:code": ["MGRS-1", "MGRS-2"],
        "lab:class_counts": [{"water": 5, "land": 11}, {"water": 1.5}, {"land": "many"}, {}, [1]],
        "lab:visibility": ["public", "private", "project"],
        "lab:owner": ["bob", "ann"],
        "lab:project": ["p", "q"],
    }
    properties |= {name: random.choice(values) for name, values in choices.items() if random.random() < 0.6}
    ring = [[west, south], [west + 4, south], [west + 4, south + 3], [west, south + 3], [west, south]]
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": [ring]}
    if random.random() < 0.1:  # across 180 degrees
        halves = [[[178, 1], [180, 1], [180, 2], [178, 2], [178, 1]], [[-180, 1], [-179, 1], [-179, 2], [-180, 1]]]
        geometry = {"type": "MultiPolygon", "coordinates": [[half] for half in halves]}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"item-{number}",
        "collection": collection,
        "geometry": geometry,
        "bbox": [west, south, west + 4, south + 3],
        "properties": properties,
        "links": [],
        "assets": {},
    }


def collection(name: str, **fields: Any) -> dict[str, Any]:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2019-01-01T00:00:00Z", None]]}}
    return {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": name, "license": "other"} | {
        "extent": extent,
        "links": [],
        **fields,
    }


@pytest.fixture(scope="module")
def counted(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Yield a lab with random items, some of them changed and deleted again."""
    execute(postgres, f"CREATE DATABASE counted TEMPLATE {template}")
    chosen = Settings()
    chosen.database.database_url, chosen.lab.home = f"{postgres}/counted", tmp_path_factory.mktemp("counted")
    lab, random = Workspace(chosen), Random(7)
    with lab.catalog.connection() as connection:
        kinds = {"pictures": {"lab:kind": "imagery"}, "secret": {"lab:visibility": "private", "lab:owner": "ann"}}
        write_collections(connection, [collection(name, **kinds.get(name, {})) for name in COLLECTIONS])
        write_items(connection, [random_item(random, number) for number in range(160)])
        write_items(connection, [random_item(random, number) for number in range(0, 160, 7)])
        delete_items(connection, [(COLLECTIONS[number % 3], f"item-{number}") for number in range(0, 160, 11)])
    yield lab
    execute(postgres, "DROP DATABASE counted WITH (FORCE)")


async def connected(lab: Workspace) -> asyncpg.Connection:
    connection = await asyncpg.connect(
        lab.settings.database_url, server_settings={"search_path": "pgstac,public", "pgstac.readonly": "true"}
    )
    await con_init(connection)
    return connection


@pytest.fixture(scope="module")
def reading(counted: Workspace) -> Iterator[tuple[asyncio.Runner, asyncpg.Connection]]:
    """Yield what runs coroutines, and a connection as the web process has."""
    with asyncio.Runner() as runner:
        connection = runner.run(connected(counted))
        yield runner, connection
        runner.run(connection.close())


def aggregate(reading: Any, wanted: Wanted, *policy: Any) -> list[dict[str, Any]]:
    runner, connection = reading
    found: list[dict[str, Any]] = runner.run(Aggregator().aggregate(connection, wanted, *policy))
    return found


async def three_ways(
    connection: asyncpg.Connection, wanted: Wanted, policy: Any, hidden: frozenset[str]
) -> list[sql.Counted]:
    """Count over facets, over the read model and over pgstac."""
    shape = wanted.shape._replace(facets=tuple(facet for facet in wanted.facets if facet in sql.SUMMED))
    collections = wanted.search.get("collections")
    where, values = compile_where({}, policy, hidden)
    facets = await sql.sum_facets(connection, shape.facets, collections, where, values)
    facets.first, facets.last = await sql.ends(connection, collections, where, values)
    where, values = compile_where(wanted.search, policy, hidden)
    scanned = await sql.scan(connection, shape, f"lab.items WHERE {where}", values)
    return [facets, scanned, await sql.scan_pgstac(connection, shape, wanted.search, policy, hidden)]


@pytest.mark.parametrize("collections", [None, ["pictures"], ["pieces", "secret", "absent"]])
@pytest.mark.parametrize(("caller", "hidden"), [(Principal(reads_all=True), frozenset()), (BOB, HIDDEN)])
def test_facets_read_model_and_pgstac_count_the_same(
    reading: Any, collections: Any, caller: Principal, hidden: frozenset[str]
) -> None:
    runner, connection = reading
    wanted = Wanted({"collections": collections}, ALL)
    found = runner.run(three_ways(connection, wanted, read_filter(caller), hidden))
    for one in found:
        one.counts = {facet: sorted(buckets) for facet, buckets in one.counts.items()}
    assert found[0] == found[1] == found[2]
    assert found[0].total > 10
    assert {bucket.value for bucket in found[0].counts["item"]} <= set(COLLECTIONS) - hidden


SEARCHES = st.fixed_dictionaries(
    {},
    optional={
        "collections": st.lists(st.sampled_from(COLLECTIONS), min_size=1, max_size=2),
        "ids": st.lists(st.integers(0, 160).map("item-{}".format), min_size=1, max_size=60),
        "datetime": st.sampled_from(["2020-03-01T00:00:00Z/2020-07-01T00:00:00Z", "../2020-05-05T05:05:05Z"]),
        "bbox": st.sampled_from([[-50, -50, 90, 60], [170, -80, -100, 80]]),
        "filter": st.sampled_from(
            [
                {"op": "=", "args": [{"property": "ml-aoi:split"}, "train"]},
                {"op": "or", "args": [{"op": ">", "args": [{"property": "eo:cloud_cover"}, 9]}] * 2},
                {"op": "isNull", "args": [{"property": "platform"}]},
            ]
        ),
    },
)


@settings(max_examples=25, deadline=None)
@given(search=SEARCHES, guarded=st.booleans(), interval=st.sampled_from(["year", "month", "day"]))
def test_counts_are_those_of_the_items_that_a_search_finds(
    counted: Workspace, reading: Any, search: dict[str, Any], guarded: bool, interval: Any
) -> None:
    policy, hidden = (read_filter(BOB), HIDDEN) if guarded else (None, frozenset())
    answers = {one["name"]: one for one in aggregate(reading, Wanted(search, ALL, interval, 3), policy, hidden)}
    items = searched(counted, search, policy, hidden)
    assert answers["total_count"]["value"] == len(items)
    starts = sorted(item["properties"].get("start_datetime") or item["properties"]["datetime"] for item in items)
    ends = (starts[0], starts[-1]) if starts else (None, None)
    assert (answers["datetime_min"]["value"], answers["datetime_max"]["value"]) == ends
    length = {"year": 4, "month": 7, "day": 10}[interval]
    expected = {
        "collection_frequency": [item["collection"] for item in items],
        "platform_frequency": [p["platform"] for p in map(properties, items) if "platform" in p],
        "datetime_frequency": [f"{start[:length]}-01-01"[:10] + "T00:00:00Z" for start in starts],
        "class_frequency": [name for item in items for name in classes(item)],
    }
    for name, values in expected.items():
        buckets = answers[name]["buckets"]
        assert {one["key"]: one["frequency"] for one in buckets} == {v: values.count(v) for v in values}, name
    pixels = {one["key"]: one["pixels"] for one in answers["class_frequency"]["buckets"]}
    assert pixels == {name: round(sum(classes(item).get(name, 0) for item in items)) for name in pixels}
    for name, answer in answers.items():
        if name.endswith("_frequency") and name != "class_frequency":
            assert sum(one["frequency"] for one in answer["buckets"]) + answer["overflow"] == len(items)


def searched(lab: Workspace, search: dict[str, Any], policy: Any, hidden: frozenset[str]) -> list[dict[str, Any]]:
    """Return what pgstac finds, and of it what the policy lets through."""
    body = dict(search)
    if search.get("bbox", [0, 0, 0])[0] > search.get("bbox", [0, 0, 0])[2]:
        west, south, east, north = body.pop("bbox")
        halves = [[west, south, 180, north], [-180, south, east, north]]
        found = {item["id"]: item for half in halves for item in lab.catalog.search(**body, bbox=half)}
    else:
        found = {item["id"]: item for item in lab.catalog.search(**body)}
    return [item for item in found.values() if item["collection"] not in hidden and (policy is None or readable(item))]


def readable(item: dict[str, Any]) -> bool:
    owner, visibility, project = (properties(item).get(f"lab:{name}") for name in ("owner", "visibility", "project"))
    return visibility in (None, "public") or owner == "bob" or (visibility == "project" and project == "p")


def properties(item: dict[str, Any]) -> dict[str, Any]:
    return dict(item["properties"])


def classes(item: dict[str, Any]) -> dict[str, float]:
    counts = item["properties"].get("lab:class_counts")
    return (
        {name: count for name, count in counts.items() if not isinstance(count, str)}
        if isinstance(counts, dict)
        else {}
    )


def test_what_another_program_wrote_counts_at_once(counted: Workspace, reading: Any) -> None:
    wanted = Wanted({"collections": ["pictures"]}, ("total_count", "platform_frequency"))
    before = aggregate(reading, wanted)
    with counted.catalog.connection() as connection:
        connection.execute("UPDATE items SET content = content WHERE collection = 'pictures'")
    assert aggregate(reading, wanted) == before
    with counted.catalog.connection() as connection:
        connection.execute("DELETE FROM items WHERE id = 'item-3'")
    assert aggregate(reading, wanted)[0]["value"] == before[0]["value"] - 1


def test_facets_are_merged_into_their_sums(counted: Workspace) -> None:
    sums = (
        "SELECT facet, value, owner, visibility, project, sum(items) FROM lab.facets WHERE collection = 'pieces'"
        " GROUP BY 1, 2, 3, 4, 5 HAVING sum(items) <> 0"
    )
    with counted.catalog.connection() as connection:
        before = set(connection.execute(sums.encode()).fetchall())
        connection.execute("SELECT lab.merge_facets('pieces')")
        assert set(connection.execute(sums.encode()).fetchall()) == before
        rows = connection.execute("SELECT items FROM lab.facets WHERE collection = 'pieces'").fetchall()
        assert len(rows) == len(before)
        assert all(items > 0 for (items,) in rows)


def test_a_kept_result_goes_with_a_write(lab: Workspace) -> None:
    aggregator = Aggregator()
    wanted = Wanted({"filter": {"op": "=", "args": [{"property": "lab:kind"}, "chips"]}}, ("total_count",))

    async def counts() -> tuple[Any, Any]:
        connection = await connected(lab)
        try:
            first = await aggregator.aggregate(connection, wanted)
            with lab.catalog.connection() as writing:
                delete_items(writing, [("flood-v1", "chip-0000")])
            return first[0]["value"], (await aggregator.aggregate(connection, wanted))[0]["value"]
        finally:
            await connection.close()

    assert asyncio.run(counts()) == (4, 3)


def names(answer: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one for one in answer["aggregations"]}


def test_aggregate_by_get_and_post(server: Server) -> None:
    query = "aggregations=total_count,kind_frequency,datetime_frequency&datetime_frequency_interval=year"
    answer = server.get(f"/stac/aggregate?{query}").json()
    assert answer["type"] == "AggregationCollection"
    found = names(answer)
    assert found["total_count"] == {"name": "total_count", "data_type": "integer", "value": 12}
    kinds = {one["key"]: one["frequency"] for one in found["kind_frequency"]["buckets"]}
    assert kinds == {"chips": 4, "run": 3, "imagery": 1, "labels": 1, "dataset": 1, "model": 1, "prediction": 1}
    assert found["datetime_frequency"]["buckets"] == [
        {"key": "2020-01-01T00:00:00Z", "data_type": "datetime", "frequency": 12}
    ]
    body = {"filter": {"op": "=", "args": [{"property": "ml-aoi:split"}, "train"]}, "aggregations": ["total_count"]}
    posted = server.client.post("/stac/aggregate", json=body).json()
    got = server.get("/stac/aggregate?filter=\"ml-aoi:split\"='train'&aggregations=total_count").json()
    assert names(posted)["total_count"]["value"] == names(got)["total_count"]["value"] == 2


def test_free_text_is_counted(server: Server) -> None:
    found = names(server.get("/stac/aggregate?q=flood&aggregations=total_count,kind_frequency").json())
    assert found["total_count"]["value"] == 2
    assert {one["key"] for one in found["kind_frequency"]["buckets"]} == {"dataset", "model"}
    answer = server.get("/stac/aggregate?q=flood&filter=title='flood'&aggregations=total_count")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


def test_aggregate_a_collection(server: Server) -> None:
    path = "/stac/collections/flood-v1/aggregate"
    found = names(server.get(f"{path}?aggregations=split_frequency,class_frequency").json())
    assert {one["key"]: one["frequency"] for one in found["split_frequency"]["buckets"]} == {
        "train": 2,
        "validate": 1,
        "test": 1,
    }
    assert {one["key"]: (one["frequency"], one["pixels"]) for one in found["class_frequency"]["buckets"]} == {
        "land": (4, 40),
        "water": (4, 24),
    }
    tiles = names(server.get(f"{path}?aggregations=grid_geotile_frequency&grid_geotile_frequency_precision=3").json())
    assert tiles["grid_geotile_frequency"]["buckets"] == [{"key": "3/3/3", "data_type": "string", "frequency": 4}]
    listed = server.get("/stac/collections/flood-v1/aggregations").json()
    assert "split_frequency" in names(listed)
    assert "platform_frequency" not in names(listed)
    assert names(server.get("/stac/aggregations").json()).keys() == AGGREGATIONS.keys()
    links = {link["rel"]: link["href"] for link in server.get("/stac/collections/flood-v1").json()["links"]}
    assert links["aggregate"] == f"{server.url}{path}"
    root = {link["rel"]: link["href"] for link in server.get("/stac/").json()["links"]}
    assert root["aggregations"] == f"{server.url}/stac/aggregations"
    assert "https://api.stacspec.org/v0.3.0/aggregation" in server.get("/stac/conformance").json()["conformsTo"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "say what to count"),
        ("aggregations=nonsense", "'nonsense' is not known"),
        ("aggregations=total_count&kind=chips", "takes no 'kind'"),
        ("aggregations=total_count&bbox=1,2", "bbox must be"),
        ("aggregations=total_count&bbox=1,2,3,nan", "finite"),
        ("aggregations=total_count&bbox=1,2,3,x", "bbox cannot be read"),
        ("aggregations=total_count&datetime=yesterday", ""),
        ("aggregations=total_count&filter=((", "cql2-text"),
        ("aggregations=total_count&intersects={}", ""),
        ("aggregations=total_count&bbox=1,2,3,4&intersects={}", "not both"),
        ("aggregations=datetime_frequency&datetime_frequency_interval=week", "year, month, day"),
        ("aggregations=grid_geotile_frequency&grid_geotile_frequency_precision=99", "0 to 22"),
        ("aggregations=total_count&query=[]", "query must be"),
    ],
)
def test_wrong_requests_are_refused_with_the_reason(server: Server, query: str, said: str) -> None:
    answer = server.get(f"/stac/aggregate?{query}")
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]


def test_an_aggregation_of_another_kind_is_refused(server: Server) -> None:
    answer = server.get("/stac/collections/models/aggregate?aggregations=split_frequency")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert server.get("/stac/collections/absent/aggregate?aggregations=total_count").status_code == 404
    assert server.get("/stac/collections/absent/aggregations").status_code == 404


def test_strangers_count_what_is_public(counted: Workspace) -> None:
    closed = Settings()
    closed.database.database_url, closed.lab.home = counted.settings.database_url, counted.settings.lab.home
    closed.access.open_reads = False
    for server in serve(create_app(closed)):
        found = names(server.get("/stac/aggregate?aggregations=total_count,collection_frequency").json())
        shown = list(counted.catalog.search(filter=read_filter(Principal()), collections=["pictures", "pieces"]))
        assert found["total_count"]["value"] == len(shown)
        assert {one["key"] for one in found["collection_frequency"]["buckets"]} == {"pictures", "pieces"}
        hidden, absent = (
            server.get(f"/stac/collections/{name}/aggregate?aggregations=total_count") for name in ("secret", "absent")
        )
        assert hidden.status_code == absent.status_code == 404
        assert hidden.json()["detail"].replace("secret", "absent") == absent.json()["detail"]


def test_facets_stay_exact_under_many_writers(lab: Workspace) -> None:
    """Four writers put, change and delete items and merge facets meanwhile; the sums are those of the items."""
    with lab.catalog.connection() as connection:
        write_collections(connection, [collection("pieces")])
        random = Random(9)
        first = [{**random_item(random, number), "collection": "pieces"} for number in range(90_000, 90_200)]
        write_items(connection, first)  # so that pgstac's partition is there for all times

    def write(seed: int) -> None:
        random = Random(seed)
        for step in range(12):
            numbers = [seed * 1000 + random.randrange(40) for _ in range(8)]
            items = [{**random_item(random, number), "collection": "pieces"} for number in numbers]
            with lab.catalog.connection() as connection:
                write_items(connection, items)
                connection.execute("SELECT lab.merge_facets('pieces')")
                if step % 4 == 1:
                    connection.rollback()
            if step % 4 == 2:
                with lab.catalog.connection() as connection:
                    delete_items(connection, [("pieces", items[0]["id"])])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    counted_items = """
        SELECT 'item', '', count(*) FROM lab.items WHERE collection = 'pieces' UNION ALL
        SELECT 'platform', platform, count(*) FROM lab.items
        WHERE collection = 'pieces' AND platform IS NOT NULL GROUP BY 2"""
    summed = """
        SELECT facet, value, sum(items)::bigint FROM lab.facets
        WHERE collection = 'pieces' AND facet IN ('item', 'platform') GROUP BY 1, 2 HAVING sum(items) <> 0"""
    with lab.catalog.connection() as connection:
        expected = sorted(connection.execute(counted_items).fetchall())
        assert sorted(connection.execute(summed).fetchall()) == expected
    assert expected[0][2] > 20
