"""The fast way and the stock way give the same answers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terralab.catalog import fast_reads
from terralab.catalog.app import create_app
from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.search_plan import compile_search
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, serve
from tests.catalog.test_writing import collection, item

STOCK = "x-stock"
WHEN = datetime(2024, 1, 1, tzinfo=UTC)
PLATFORMS = ("a", "b", None)


class Switch(fast_reads.FastReads):
    """Hands a request on that asks for the stock way, and marks what came that way."""

    def __init__(self, app: ASGIApp, *arguments: Any, **named: Any) -> None:
        async def marked(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_marked(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (STOCK.encode(), b"1")]
                await send(message)

            await app(scope, receive, send_marked)

        super().__init__(marked, *arguments, **named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = any(name == STOCK.encode() for name, _ in scope.get("headers", []))
        way: ASGIApp = self.app if asked else super().__call__
        await way(scope, receive, send)


def corpus() -> list[dict[str, Any]]:
    """Return items with equal times, ranges, missing properties and boxes on both sides of 180°."""
    made = []
    for n in range(60):
        name = ("places", "others")[n % 2]
        times = WHEN + timedelta(days=n // 3)
        one = item(n, x=-179.5 + 6 * (n % 59), when=times, name=name)
        properties = one["properties"]
        if n % 7 == 0:
            end = times + timedelta(days=9)
            properties |= {"datetime": None, "start_datetime": properties["datetime"], "end_datetime": iso(end)}
        if platform := PLATFORMS[n % 3]:
            properties["platform"] = platform
        if n % 4:
            properties["eo:cloud_cover"] = (n * 37) % 100
        if n % 5 == 0:
            properties |= {"ml-aoi:split": ("train", "test")[n % 2], "lab:dataset_version": "1.0.0"}
        if n % 6 == 0:
            properties |= {"mlm:name": "net", "lab:metrics": {"iou": n / 60}}
        made.append(one)
    return made


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def both(shared_lab: Workspace) -> Any:
    """Yield a server with a corpus of its own beside the shared lab's, whose requests can ask for the stock way."""
    shared_lab.catalog.write([collection("places"), collection("others")], corpus())
    patch = pytest.MonkeyPatch()
    patch.setattr("terralab.catalog.app.FastReads", Switch)
    yield from serve(create_app(shared_lab.settings))
    patch.undo()
    with shared_lab.catalog.connection() as connection:
        connection.execute("SELECT delete_collection('places'), delete_collection('others')")


def answers(server: Server, method: str, path: str, body: Any = None) -> tuple[httpx.Response, httpx.Response]:
    content = None if body is None else json.dumps(body)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    ways = ({}, {STOCK: "1"})
    one, other = (server.client.request(method, path, content=content, headers={**headers, **way}) for way in ways)
    assert STOCK not in one.headers, "the fast way did not answer"
    assert STOCK in other.headers
    return one, other


def check_same(server: Server, method: str, path: str, body: Any = None) -> dict[str, Any]:
    one, other = answers(server, method, path, body)
    assert one.status_code == other.status_code == 200, other.text
    fast, stock = normal(one.json()), normal(other.json())
    for document in (fast, stock):  # with `fields` the stock way calls its own link another type
        for link in document["links"]:
            if link["rel"] == "self":
                link.pop("type")
    if fast != stock:
        assert [item["id"] for item in fast.get("features", [])] == [item["id"] for item in stock.get("features", [])]
        for pair in zip(fast.get("features", [fast]), stock.get("features", [stock]), strict=True):
            assert pair[0] == pair[1]
    assert fast == stock
    return dict(one.json())


def normal(document: Any) -> Any:
    """Return a document whose links are in one order, without nulls: pgstac loses those that an item has."""
    if isinstance(document, dict):
        ordered = {key: normal(value) for key, value in document.items() if value is not None}
        if "links" in ordered:
            ordered["links"] = sorted(ordered["links"], key=lambda link: json.dumps(link, sort_keys=True))
        return ordered
    return [normal(part) for part in document] if isinstance(document, list) else document


SEARCHES: dict[str, dict[str, Any]] = {
    "all": {},
    "one collection": {"collections": ["places"], "limit": 5},
    "two collections": {"collections": ["places", "flood-v1"], "limit": 50},
    "none": {"collections": ["nowhere"]},
    "ids": {"ids": ["item-3", "item-4", "chip-0001", "nothing"]},
    "bbox": {"bbox": [-100, -10, 20, 10], "limit": 30},
    "bbox across 180": {"bbox": [170, -5, -170, 5], "limit": 30},
    "point": {"intersects": {"type": "Point", "coordinates": [0.6, 1.5]}},
    "polygon": {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [60, 0], [0, 60], [0, 0]]]}, "limit": 90},
    "instant": {"datetime": iso(WHEN + timedelta(days=3))},
    "before": {"datetime": f"../{iso(WHEN + timedelta(days=3))}"},
    "after": {"datetime": f"{iso(WHEN + timedelta(days=12))}/..", "limit": 40},
    "interval in ranges": {"datetime": "2024-01-20T00:00:00Z/2024-01-26T00:00:00Z", "limit": 40},
    "zone": {"datetime": "2024-01-03T01:00:00.5+02:00/2024-01-05T00:00:00Z"},
    "ascending": {"sortby": [{"field": "datetime", "direction": "asc"}], "limit": 33},
    "by id": {"sortby": [{"field": "id", "direction": "desc"}], "limit": 12},
    "by platform": {"sortby": [{"field": "properties.platform", "direction": "desc"}], "limit": 70},
    "by two": {"sortby": [{"field": "platform", "direction": "asc"}, {"field": "datetime", "direction": "desc"}]},
    "some fields": {"fields": {"include": ["type", "geometry", "properties.datetime", "assets"]}},
    "few fields": {"fields": {"include": ["properties.eo:cloud_cover", "nothing", "properties.nothing"]}, "limit": 50},
    "links as well": {"fields": {"include": ["links", "bbox"]}},
    "not all": {"fields": {"exclude": ["properties", "assets.prediction.bands"]}, "limit": 90},
    "no links": {"fields": {"exclude": ["links"]}},
    "both": {"fields": {"include": ["properties.datetime"], "exclude": ["properties", "assets"]}},
    "query": {"query": {"eo:cloud_cover": {"lt": 50, "gte": 10}, "platform": {"eq": "a"}}, "limit": 50},
}
FILTERS_OF_NET = {"op": "=", "args": [{"property": "mlm:name"}, "net"]}
FILTERS: dict[str, Any] = {
    "equal": {"op": "=", "args": [{"property": "platform"}, "a"]},
    "not equal": {"op": "<>", "args": [{"property": "platform"}, "a"]},
    "not": {"op": "not", "args": [{"op": "=", "args": [{"property": "platform"}, "a"]}]},
    "less": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 40]},
    "literal first": {"op": ">", "args": [40, {"property": "properties.eo:cloud_cover"}]},
    "null": {"op": "isNull", "args": [{"property": "eo:cloud_cover"}]},
    "in": {"op": "in", "args": [{"property": "platform"}, ["a", "b"]]},
    "in numbers": {"op": "in", "args": [{"property": "eo:cloud_cover"}, [37, 74, 11]]},
    "between": {"op": "between", "args": [{"property": "eo:cloud_cover"}, 10, 60]},
    "like": {"op": "like", "args": [{"property": "ml-aoi:split"}, "t%"]},
    "metric": {"op": ">=", "args": [{"property": "lab:metrics.iou"}, 0.3]},
    "time": {"op": ">", "args": [{"property": "datetime"}, {"timestamp": "2024-01-10T00:00:00Z"}]},
    "collection": {"op": "=", "args": [{"property": "collection"}, "others"]},
    "place": {
        "op": "s_intersects",
        "args": [{"property": "geometry"}, {"type": "Point", "coordinates": [0.6, 1.5]}],
    },
    "or": {
        "op": "or",
        "args": [
            {"op": "=", "args": [{"property": "ml-aoi:split"}, "test"]},
            {
                "op": "and",
                "args": [FILTERS_OF_NET, {"op": "<", "args": [{"property": "gsd"}, 9]}],
            },
        ],
    },
}


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_are_answered_alike(both: Server, name: str) -> None:
    check_same(both, "POST", "/stac/search", SEARCHES[name])


@pytest.mark.parametrize("name", FILTERS)
def test_filters_are_answered_alike(both: Server, name: str) -> None:
    body = {"filter": FILTERS[name], "filter-lang": "cql2-json", "limit": 100}
    assert check_same(both, "POST", "/stac/search", body)["numberMatched"] > 0


def test_query_strings_are_answered_alike(both: Server) -> None:
    for query in (
        "",
        "collections=places,others&limit=3",
        "bbox=-100,-10,20,10",
        f"datetime={quote('../2024-01-04T00:00:00Z')}",
        "ids=item-1,item-2",
        "sortby=-eo:cloud_cover,%2Bid&limit=60&filter=%22eo:cloud_cover%22%20IS%20NOT%20NULL",
        "sortby=platform",
        "fields=id,%2Bproperties.platform,-assets&limit=40",
        "fields=-links,-geometry&collections=models,flood-v1",
        urlencode({"filter": json.dumps(FILTERS["or"]), "filter-lang": "cql2-json"}),
        urlencode({"filter": "platform = 'a' AND \"eo:cloud_cover\" < 50", "filter-lang": "cql2-text"}),
        urlencode({"query": json.dumps({"platform": {"eq": "b"}})}),
        urlencode({"intersects": json.dumps({"type": "Point", "coordinates": [0.6, 1.5]})}),
    ):
        check_same(both, "GET", f"/stac/search?{query}")
    check_same(both, "GET", "/stac/collections/places/items?limit=7")
    check_same(both, "GET", "/stac/collections/places/items?datetime=2024-01-04T00:00:00Z/..&limit=7")


def test_items_are_answered_alike(both: Server, shared_lab: Workspace) -> None:
    found = check_same(both, "POST", "/stac/search", {"limit": 100})
    for one in found["features"]:
        path = f"/stac/collections/{one['collection']}/items/{one['id']}"
        assert normal(check_same(both, "GET", path)) == normal(one)


@pytest.mark.parametrize(
    "sortby",
    [None, "platform", "-platform", "-eo:cloud_cover", "datetime", "id", "-collection,eo:cloud_cover", "end_datetime"],
)
def test_walks_by_pages_meet_every_item_once_and_come_back(both: Server, sortby: str | None) -> None:
    query = f"limit=7&collections=places,others{'' if sortby is None else '&sortby=' + sortby}"
    whole = [
        one["id"]
        for one in check_same(both, "GET", f"/stac/search?{query.replace('limit=7', 'limit=100')}")["features"]
    ]
    path: str | None = f"/stac/search?{query}"
    met: list[str] = []
    pages: list[list[str]] = []
    last = ""
    while path:
        last, page = path, check_same(both, "GET", path)
        pages.append([one["id"] for one in page["features"]])
        met += pages[-1]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert met == whole
    backwards = []
    path = last
    while path:
        page = check_same(both, "GET", path)
        backwards.insert(0, [one["id"] for one in page["features"]])
        path = next((link["href"] for link in page["links"] if link["rel"] == "previous"), None)
    assert backwards == pages


def test_a_walk_by_post(both: Server) -> None:
    body: Any = {"collections": ["places"], "limit": 4}
    met = []
    while body:
        page = check_same(both, "POST", "/stac/search", body)
        met += [one["id"] for one in page["features"]]
        body = next((link["body"] for link in page["links"] if link["rel"] == "next"), None)
    assert len(met) == len(set(met)) == 30


values = st.one_of(
    st.tuples(
        st.sampled_from(["platform", "ml-aoi:split", "mlm:name"]), st.sampled_from(["a", "b", "test", "net", "é"])
    ),
    st.tuples(st.sampled_from(["eo:cloud_cover", "lab:metrics.iou"]), st.sampled_from([0, 0.5, 37, 99.5, -1])),
)
comparisons = st.builds(
    lambda op, pair: {"op": op, "args": [{"property": pair[0]}, pair[1]]},
    st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
    values,
)
nulls = st.builds(lambda pair: {"op": "isNull", "args": [{"property": pair[0]}]}, values)
expressions = st.recursive(
    st.one_of(comparisons, nulls),
    lambda inner: st.one_of(
        st.builds(lambda one: {"op": "not", "args": [one]}, inner),
        st.builds(
            lambda op, parts: {"op": op, "args": parts},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
    ),
    max_leaves=6,
)


@given(expression=expressions)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_filter_is_answered_alike(both: Server, expression: dict) -> None:
    check_same(both, "POST", "/stac/search", {"filter": expression, "filter-lang": "cql2-json", "limit": 100})


def test_etags_hold_until_something_changes(lab: Workspace, server: Server) -> None:
    for path in ("/stac/collections/models/items/flood-net-abc", "/stac/search?collections=models"):
        tag = server.get(path).headers["etag"]
        assert server.get(path, headers={"If-None-Match": tag}).status_code == 304
    model = lab.catalog.item("models", "flood-net-abc")
    model["properties"]["title"] = "renamed"
    lab.catalog.write([], [model])
    for path in ("/stac/collections/models/items/flood-net-abc", "/stac/search?collections=models"):
        assert server.get(path).headers["etag"] != tag
        answer = server.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 200
        assert "renamed" in answer.text


def test_what_waits_to_be_rendered_is_served_as_it_is(lab: Workspace, server: Server) -> None:
    model = lab.catalog.item("models", "flood-net-abc")
    model["properties"]["title"] = "by another program"
    with lab.catalog.connection() as connection:
        # Held by this transaction, the background cannot render it; what it sees is the old state.
        connection.execute("SELECT upsert_item(%s::jsonb)", (json.dumps(model),))
        assert "by another program" not in server.get("/stac/search?collections=models").text
    for path in ("/stac/collections/models/items/flood-net-abc", "/stac/search?collections=models"):
        assert "by another program" in server.get(path).text


def test_free_text_finds_titles_descriptions_keywords_and_models(lab: Workspace, server: Server) -> None:
    chip = lab.catalog.item("flood-v1", "chip-0001")
    chip["properties"] |= {"title": "A flooded meadow", "keywords": ["Ebro", "spring flood"]}
    lab.catalog.write([], [chip])

    def found(**query: Any) -> list[str]:
        as_text = {name: ",".join(values) for name, values in query.items()}
        answers = [server.client.post("/stac/search", json=query), server.get("/stac/search", params=as_text)]
        assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
        ids = [[one["id"] for one in answer.json()["features"]] for answer in answers]
        assert ids[0] == ids[1]
        return sorted(ids[0])

    assert found(q=["meadows"]) == found(q=["ebro"]) == found(q=["spring flood"]) == ["chip-0001"]
    assert found(q=["flood-net"]) == ["flood-net-abc"]
    assert found(q=["resnet18", "meadow"]) == ["chip-0001", "flood-net-abc"]
    assert found(q=["meadow"], collections=["models"]) == found(q=["desert"]) == []
    assert server.get("/stac/collections/flood-v1/items?q=meadow").json()["numberMatched"] == 1
    refused = server.client.post(
        "/stac/search", json={"q": ["a"], "datetime": "2020-01-01T00:00:00Z", "bbox": [0, 0, 0, 1, 1, 1]}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")


@pytest.mark.parametrize(
    "search",
    [
        {"q": [""]},
        {"conf": {}},
        {"datetime": "2024-01-01"},
        {"datetime": "P1D/.."},
        {"bbox": [0, 0, 0, 1, 1, 1]},
        {"bbox": [0, 50, 1, 40]},
        {"collections": []},
        {"limit": 0},
        {"limit": True},
        {"ids": ["a\0"]},
        {"token": "next:zz:00"},
        {"filter": {"op": "=", "args": [{"property": "s2:anything"}, 1]}},
        {"filter": {"op": "=", "args": [{"property": "platform"}, 1]}},
        {"filter": {"op": "t_after", "args": [{"property": "datetime"}, {"timestamp": "2024-01-01T00:00:00Z"}]}},
        {"sortby": [{"field": "lab:metrics.iou", "direction": "desc"}]},
        {"filter-lang": "cql2-text", "filter": {"op": "=", "args": [{"property": "platform"}, "a"]}},
    ],
)
def test_what_is_not_plain_goes_the_stock_way(search: dict) -> None:
    with pytest.raises(NotCompiled):
        compile_search(search, 1000)
