"""Items and collections that are almost right: one value anywhere is replaced, and the answer is never a 5xx.

What is accepted comes back as it was sent, and can be written back.
"""

import os
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terralab.catalog.refresh import differences
from terralab.catalog.workspace import Workspace
from tests.catalog.transactions.conftest import Api, collection, item

ITEM = {
    **item("a", x=3, gsd=10, platform="sentinel-2a", **{"eo:cloud_cover": 3, "proj:code": "EPSG:32630"}),
    "stac_extensions": ["https://stac-extensions.github.io/eo/v2.0.0/schema.json"],
    "links": [{"rel": "derived_from", "href": "collections/places/items/b", "type": "application/geo+json"}],
    "assets": {
        "image": {
            "href": "https://example.org/a.tif",
            "type": "image/tiff",
            "roles": ["data"],
            "bands": [{"name": "B02", "eo:common_name": "blue"}],
        }
    },
}
COLLECTION = {
    **collection("fields", title="Fields", keywords=["grass"], providers=[{"name": "us", "roles": ["host"]}]),
    "item_assets": {"image": {"type": "image/tiff", "roles": ["data"]}},
    "renders": {"rgb": {"title": "RGB", "assets": ["image"]}},
    "summaries": {"gsd": {"minimum": 1, "maximum": 10}},
    "assets": {"thumbnail": {"href": "https://example.org/a.png", "roles": ["thumbnail"]}},
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        [
            "",
            "..",
            "a/b",
            "\x00",
            "\u202e",
            "x" * 5_000,
            "𒍟※",  # pgstac's own mark in a dehydrated item
            "asset://",
            "asset://x/y",
            "collections/",
            "http://[",
            "data:,x",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "2016-12-31T23:59:60Z",
            "1e400",
            2**53,
            2**63,
            2**64,
            -(2**63) - 1,
            1e308,
            5e-324,
            -0.0,
            [],
            {},
            [None],
            [[]],
            {"": ""},
            {"a": {"b": {}}},
            {"type": "GeometryCollection", "geometries": []},
            {"type": "Point", "coordinates": [1, 2, 3, 4]},
            {"type": "Point", "coordinates": []},
            {"type": "MultiPolygon", "coordinates": []},
        ]
    ),
    st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=8),
)


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document."""
    if above:
        yield above
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*above, key))


def mutated(document: Any, path: tuple[Any, ...], value: Any, remove: bool) -> Any:
    copy = deepcopy(document)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy


def mutations(document: Any) -> st.SearchStrategy[Any]:
    changes = st.tuples(st.sampled_from(list(places(document))), ODD, st.booleans())
    return changes.map(lambda change: mutated(document, *change))


FUZZED = settings(
    max_examples=int(os.environ.get("TERRALAB_TEST_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZED
@given(sent=mutations(ITEM), name=st.sampled_from(["POST", "PUT", "PATCH"]))
def test_an_item_with_one_odd_value(api: Api, sent: Any, name: str) -> None:
    path = "/collections/places/items"
    api("PUT", f"{path}/a", ITEM, headers={"If-None-Match": "*"})
    answer = api(name, f"{path}/a" if name != "POST" else path, sent)
    assert answer.status_code < 500, (answer.text, sent)
    if answer.is_success and name != "POST":
        read = api("GET", f"{path}/a")
        assert read.json() == answer.json()
        again = api("PUT", f"{path}/a", read.json())
        assert (again.status_code, again.headers["etag"]) == (200, answer.headers["etag"]), (again.text, sent)
    assert api("GET", f"{path}?limit=5").status_code == 200
    if isinstance(sent.get("id"), str) and name == "POST" and answer.is_success:
        api("DELETE", f"{path}/{sent['id']}")


@FUZZED
@given(sent=mutations(COLLECTION), name=st.sampled_from(["POST", "PUT", "PATCH"]))
def test_a_collection_with_one_odd_value(api: Api, sent: Any, name: str) -> None:
    api("PUT", "/collections/fields", COLLECTION, headers={"If-None-Match": "*"})
    answer = api(name, "/collections/fields" if name != "POST" else "/collections", sent)
    assert answer.status_code < 500, (answer.text, sent)
    if answer.is_success and name != "POST":
        again = api("PUT", "/collections/fields", api.get("/collections/fields"))
        assert (again.status_code, again.headers["etag"]) == (200, answer.headers["etag"]), (again.text, sent)
        item_of = {**ITEM, "collection": "fields"}
        assert api("POST", "/collections/fields/items", item_of).status_code in (201, 409)
        assert api("GET", "/collections/fields/items/a").status_code == 200
    if isinstance(sent.get("id"), str) and name == "POST" and answer.is_success:
        api("DELETE", f"/collections/{sent['id']}")
    assert api("DELETE", "/collections/fields").status_code == 204


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:60Z"])
def test_the_ends_of_time(api: Api, workspace: Workspace, when: str) -> None:
    answer = api("POST", "/collections/places/items", item("a", when=when))
    assert answer.status_code in (201, 422), answer.text
    assert list(differences(workspace.catalog)) == []
