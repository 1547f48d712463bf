"""Bad and greedy requests to the STAC API: each is a 4xx problem document that says why, and none costs much."""

import json
import time
from typing import Any

import httpx
import pytest

from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server

SEARCH = "/stac/search"


def nested(levels: int) -> dict[str, Any]:
    expression: dict[str, Any] = {"op": "=", "args": [{"property": "gsd"}, 10]}
    for _ in range(levels):
        expression = {"op": "not", "args": [expression]}
    return expression


def polygon(vertices: int) -> dict[str, Any]:
    ring = [[number / vertices, (number % 2) / 10] for number in range(vertices)]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def filtered(expression: Any) -> dict[str, Any]:
    return {"filter-lang": "cql2-json", "filter": expression}


def equal(left: Any, right: Any) -> dict[str, Any]:
    return {"op": "=", "args": [left, right]}


BODIES: dict[str, Any] = {
    "nested CQL2": filtered(nested(60)),
    "very nested CQL2": filtered(nested(400)),
    "unknown operator": filtered({"op": "explode", "args": [1, 2]}),
    "operator that is no text": filtered({"op": 7, "args": [1, 2]}),
    "arguments that are no list": filtered({"op": "=", "args": 7}),
    "filter that is text": filtered("gsd = 10"),
    "filter that is a list": filtered([1, 2]),
    "5,000 alternatives": filtered({"op": "or", "args": [equal({"property": "gsd"}, n) for n in range(5_000)]}),
    "20,000 vertices": {"intersects": polygon(20_000)},
    "9,000 vertices in a filter": filtered({"op": "s_intersects", "args": [{"property": "geometry"}, polygon(9_000)]}),
    "open ring": {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}},
    "short ring": {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}},
    "geometry without a type": {"intersects": {"coordinates": [0, 0]}},
    "geometry of text": {"intersects": {"type": "Point", "coordinates": ["a", "b"]}},
    "geometry that is text": {"intersects": "POINT(0 0)"},
    "garbage token": {"token": "garbage"},
    "garbage token with a colon": {"token": "next:x"},
    "token that is a number": {"token": 7},
    "limit 0": {"limit": 0},
    "negative limit": {"limit": -1},
    "limit that is text": {"limit": "many"},
    "limit that is a fraction": {"limit": 1.5},
    "start after end": {"datetime": "2024-05-02T00:00:00Z/2024-05-01T00:00:00Z"},
    "time that is none": {"datetime": "yesterday"},
    "time that is a number": {"datetime": 7},
    "day without a time": {"datetime": "2024-13-45T00:00:00Z"},
    "box of three": {"bbox": [0, 0, 1]},
    "box of text": {"bbox": ["a", "b", "c", "d"]},
    "box upside down": {"bbox": [0, 10, 1, 0]},
    "box and intersects": {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
    "NUL in an id": {"ids": ["a\0b"]},
    "NUL in a collection": {"collections": ["a\0b"]},
    "NUL in a filter": filtered(equal({"property": "platform"}, "a\0b")),
    "NUL in a property": filtered(equal({"property": "a\0b"}, 1)),
    "ids that are no list": {"ids": 7},
    "collections of numbers": {"collections": [7]},
    "sort by nothing": {"sortby": [{"direction": "asc"}]},
    "sort in no direction": {"sortby": [{"field": "gsd", "direction": "sideways"}]},
    "fields that are text": {"fields": "id"},
    "query of nothing": {"query": {"gsd": {"around": 7}}},
    "query that is a list": {"query": []},
    "free text without a word": {"q": ["", ""]},
    "free text that is a number": {"q": 7},
}
"""Bodies of POST /search that must be refused."""


@pytest.mark.parametrize("name", BODIES)
def test_searches_that_are_refused(server: Server, name: str) -> None:
    start = time.monotonic()
    answer = server.client.post(SEARCH, json=BODIES[name])
    assert answer.status_code == 400, (name, answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"code", "detail"} <= answer.json().keys()
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "body",
    [
        filtered({"op": "=", "args": [{"op": "/", "args": [1, 0]}, 1]}),
        filtered({"op": ">", "args": [{"property": "gsd"}, "text"]}),
        filtered({"op": "like", "args": [{"property": "platform"}, "%%%\\"]}),
        filtered(equal({"property": "no:such.property"}, 1)),
        filtered({"op": "isNull", "args": [{"property": ""}]}),
        {"limit": 10**30},
        {"bbox": [-1e300, -1e300, 1e300, 1e300]},
        {"datetime": "../2024-05-01T00:00:00Z"},
        {"datetime": "../.."},
        {"ids": []},
        {"conf": {"nohydrate": True}},
        {"unknown": 1},
    ],
)
def test_searches_that_are_odd_are_answered_or_refused(server: Server, body: dict[str, Any]) -> None:
    answer = server.client.post(SEARCH, json=body)
    assert answer.status_code in (200, 400), answer.text[:300]
    if answer.status_code == 400:
        assert answer.json()["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"limit": NaN}', "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b'{"ids": ["\\ud800"]}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (json.dumps({"ids": ["x" * 1_100_000]}).encode(), "application/json", 413),
    ],
)
def test_bodies_of_searches(server: Server, content: bytes, content_type: str, status: int) -> None:
    answer = server.client.post(SEARCH, content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"


QUERIES = [
    "limit=0",
    "limit=-5",
    "limit=many",
    "bbox=1,2,3",
    "bbox=nan,0,1,1",
    "bbox=a,b,c,d",
    "datetime=never",
    "datetime=2024-05-02T00:00:00Z/2024-05-01T00:00:00Z",
    "token=garbage",
    "filter=gsd >",
    "filter=" + "(" * 300 + "gsd=1" + ")" * 300,
    "filter=explode(gsd)",
    "filter=platform='a%00b'",
    "ids=a%00b",
    "collections=a%00b",
    "intersects={",
    "intersects={}",
    "intersects=7",
    "filter-lang=sql&filter=1=1",
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_that_are_refused(server: Server, query: str) -> None:
    answer = server.get(f"{SEARCH}?{query}")
    assert answer.status_code == 400, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/collections/a%00b", "/collections/flood-scenes/items/a%00b", "/collections/%ff"])
def test_names_that_nothing_can_have(server: Server, path: str) -> None:
    assert server.get(f"/stac{path}").status_code in (400, 404)


def test_a_page_has_an_end(server: Server, shared_lab: Workspace) -> None:
    most = shared_lab.settings.api.max_limit
    answer = server.client.post(SEARCH, json={"limit": 1_000_000_000})
    assert answer.status_code == 200
    assert answer.json()["numberReturned"] <= most


def test_an_unknown_collection_is_404(server: Server) -> None:
    for path in ("/collections/nowhere", "/collections/nowhere/items", "/collections/nowhere/items/x"):
        answer = server.get(f"/stac{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_name")


def test_a_lock_that_lasts_is_503(lab: Workspace, server: Server) -> None:
    with lab.catalog.connection() as connection:
        connection.execute("LOCK TABLE lab.items, items IN ACCESS EXCLUSIVE MODE")
        start = time.monotonic()
        answer = server.get("/stac/collections/flood-scenes/items")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert time.monotonic() - start < lab.settings.api.lock_timeout_s + 2
    assert server.get("/stac/collections/flood-scenes/items").status_code == 200


def test_a_query_that_lasts_is_503(lab: Workspace) -> None:
    lab.settings.api.read_timeout_s = 0.001
    from terralab.catalog.app import create_app
    from tests.catalog.conftest import serve

    for server in serve(create_app(lab.settings)):
        answer: httpx.Response = server.client.post(SEARCH, json={"filter-lang": "cql2-json", "filter": nested(3)})
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5"), answer.text


def test_free_text_with_what_is_no_member_of_a_search_is_refused(server: Server) -> None:
    for path in (SEARCH, "/stac/collections/flood-scenes/items"):
        assert server.get(f"{path}?q=flood&unknown=1").status_code == 400
        assert server.get(f"{path}?q=flood&sortby=no-such-field").status_code == 400
        assert server.get(f"{path}?q=flood").status_code == 200
