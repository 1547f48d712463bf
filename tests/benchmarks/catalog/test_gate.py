"""The gate sees what differs and overlooks only what may."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.benchmarks.catalog.canonical import canonical_item, differences
from tests.benchmarks.catalog.gate import compare_systems
from tests.benchmarks.catalog.load import measure
from tests.benchmarks.catalog.load_python import measure as measure_in_python
from tests.benchmarks.catalog.queries import Query, search

ITEMS = [{"type": "Feature", "collection": "c", "id": f"i{number}", "properties": {"n": number}} for number in range(5)]
Change = Callable[[dict[str, Any]], None]


@contextmanager
def api(change: Change = lambda page: None, status: int = 200) -> Iterator[str]:
    """Serve pages of two of five items, changed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            start = int(body.get("token", 0))
            page: dict[str, Any] = {
                "type": "FeatureCollection",
                "features": [dict(i) for i in ITEMS[start : start + 2]],
            }
            address = f"http://{self.headers['Host']}/search"
            following = {"rel": "next", "href": address, "method": "POST", "body": {**body, "token": start + 2}}
            page |= {"links": [following] if start + 2 < len(ITEMS) else [], "numberMatched": len(ITEMS)}
            change(page)
            content = json.dumps(page).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()


WALK = Query("POST", "/search", {"limit": 2}, compare="walk")


def found(change: Change, query: Query) -> list[str]:
    with api(change) as ours, api() as theirs:
        verdict = compare_systems(ours, theirs, {"one": [query]})
    return [text for difference in verdict.differences for text in difference.found]


def test_equal_answers_pass_and_are_counted() -> None:
    with api() as ours, api() as theirs:
        verdict = compare_systems(ours, theirs, {"pages": [search(limit=2)], "walks": [WALK]})
    assert verdict.differences == []
    assert verdict.compared == {"pages": 1, "walks": 1}
    assert verdict.items == 7


def drop(page: dict[str, Any]) -> None:
    page["features"] = page["features"][:1]


def turn(page: dict[str, Any]) -> None:
    page["features"].reverse()


def alter(page: dict[str, Any]) -> None:
    page["features"][0]["properties"] = {"n": 7}


def end(page: dict[str, Any]) -> None:
    page["links"] = []


def miscount(page: dict[str, Any]) -> None:
    page["numberMatched"] = 6


@pytest.mark.parametrize(
    ("change", "compare", "text"),
    [
        (drop, "features", "items: ours 1, stock 2"),
        (turn, "features", "order: from item 0"),
        (alter, "features", "properties/n: ours 7, stock 0"),
        (end, "features", "next page: ours False, stock True"),
        (miscount, "matched", "numberMatched: ours 6, stock 5"),
        (end, "walk", "items: ours 2, stock 5"),
    ],
)
def test_differences_are_named(change: Change, compare: str, text: str) -> None:
    assert text in found(change, Query("POST", "/search", {"limit": 2}, compare=compare))[0]


def test_counts_are_compared_only_where_asked() -> None:
    assert found(miscount, search(limit=2)) == []


def test_failures_of_stock_are_no_equal_answers() -> None:
    with api() as ours, api(status=500) as theirs:
        verdict = compare_systems(ours, theirs, {"one": [search(limit=2)]})
    assert (len(verdict.unanswered), verdict.items, verdict.differences) == (1, 0, [])
    with api(status=500) as ours, api() as theirs:
        assert compare_systems(ours, theirs, {"one": [search(limit=2)]}).differences


def test_what_may_differ() -> None:
    ours = {
        "id": "i",
        "properties": {"a": 1, "none": None},
        "stac_extensions": ["b", "https://stac-extensions.github.io/web-map-links/v1.2.0/schema.json", "a"],
        "links": [
            {"rel": "self", "href": "http://one/stac/collections/c/items/i"},
            {"rel": "xyz", "href": "http://one/tiles/x"},
            {"rel": "alternate", "type": "text/html", "href": "http://one/items/c/i"},
            {"rel": "preview", "href": "https://elsewhere.org/map"},
        ],
    }
    theirs = {
        "id": "i",
        "properties": {"a": 1.0},
        "stac_extensions": ["a", "b"],
        "links": [
            {"rel": "preview", "href": "https://elsewhere.org/map"},
            {"rel": "self", "href": "http://two/collections/c/items/i"},
        ],
    }
    pair = canonical_item(ours, "http://one/stac"), canonical_item(theirs, "http://two")
    assert list(differences(*pair)) == []


@pytest.mark.parametrize(("one", "other"), [(True, 1), ("1", 1), ([1], [1, 1]), ({"a": 1}, {}), ([2, 1], [1, 2])])
def test_other_values_differ(one: Any, other: Any) -> None:
    assert list(differences(one, other))
    assert list(differences(other, one))


def test_both_clients_measure_and_see_errors() -> None:
    queries = [search(limit=2), search(limit=1)]
    with api() as url:
        seen = measure(url, queries, clients=2, seconds=1)
        assert seen.requests > 10
        assert seen.errors == 0
        assert seen.p50 <= seen.p95 <= seen.longest
    with api(status=503) as url:
        assert measure(url, queries, clients=1, seconds=1).errors > 10
        raw = [b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"]
        assert measure_in_python(url, raw, 2, 0.3, 0)["errors"] > 1
