from collections.abc import Callable

import pytest

from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import write_items
from tests.catalog.transactions.conftest import EXTENT, Api, collection, item

ONE = "/collections/fields"


def test_a_collection_is_created_read_replaced_and_deleted(api: Api, workspace: Workspace) -> None:
    made = api("POST", "/collections", collection("fields", title="Fields"))
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{api.url}/stac{ONE}"
    read = api("GET", ONE)
    assert (read.json()["title"], read.headers["etag"]) == ("Fields", made.headers["etag"])
    assert api("GET", ONE, headers={"If-None-Match": made.headers["etag"]}).status_code == 304
    assert api("POST", "/collections", collection("fields")).status_code == 409
    stale = made.headers["etag"]
    put = api("PUT", ONE, collection("fields", title="Meadows"), headers={"If-Match": stale})
    assert (put.status_code, put.json()["title"]) == (200, "Meadows")
    for method, body in (("PUT", collection("fields")), ("PATCH", {"title": "x"}), ("DELETE", None)):
        assert api(method, ONE, body, headers={"If-Match": stale}).status_code == 412
    patched = api("PATCH", ONE, {"title": None, "keywords": ["grass"]}, headers={"If-Match": put.headers["etag"]})
    assert patched.status_code == 200
    assert ("title" in api.get(ONE), api.get(ONE)["keywords"]) == (False, ["grass"])
    assert api("DELETE", ONE).status_code == 204
    assert api("GET", ONE).status_code == 404


def test_what_is_not_there_is_404(api: Api) -> None:
    for method, body in (("PUT", collection("fields")), ("PATCH", {}), ("DELETE", None)):
        assert api(method, ONE, body).status_code == 404


def test_put_with_if_none_match_creates(api: Api) -> None:
    only_new = {"If-None-Match": "*"}
    assert api("PUT", ONE, collection("fields"), headers=only_new).status_code == 201
    assert api("PUT", ONE, collection("fields"), headers=only_new).status_code == 412


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"id": "meadows"}, "id"),
        ({"id": "a/b"}, "id"),
        ({"type": "Feature"}, "type"),
        ({"extent": None}, "extent"),
        ({"extent": {**EXTENT, "temporal": {"interval": []}}}, "extent.temporal.interval"),
        ({"license": 7}, "license"),
        ({"links": {}}, "links"),
        ({"assets": {"x": {"href": "javascript:1"}}}, "assets.x.href"),
        ({"lab:visibility": "project"}, "lab:visibility"),
    ],
)
def test_collections_that_are_refused(api: Api, change: dict, where: str) -> None:
    answer = api("PUT", ONE, {**collection("fields"), **change}, headers={"If-None-Match": "*"})
    assert answer.status_code == 422, answer.text
    assert where in {problem["where"] for problem in answer.json()["problems"]}, answer.text


def test_the_extent_goes_on_to_cover_the_items(api: Api) -> None:
    api("POST", "/collections/places/items", item(x=20))
    assert api("PUT", "/collections/places", collection(title="Again")).status_code == 200
    assert api.get("/collections/places")["extent"]["spatial"]["bbox"] == [[1, 1, 21, 2.5]]


def test_deleting_takes_the_items_along_but_not_those_of_others(
    users: Callable[..., Api], workspace: Workspace
) -> None:
    ann, bob = users("ann", "team"), users("bob", "team")
    shared = collection("fields", **{"lab:visibility": "project", "lab:project": "team"})
    assert ann("POST", "/collections", shared).status_code == 201
    assert bob("POST", f"{ONE}/items", {**item("b"), "collection": "fields"}).status_code == 201
    refused = ann("DELETE", ONE)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert bob("DELETE", f"{ONE}/items/b").status_code == 204
    assert ann("POST", f"{ONE}/items", {**item("a"), "collection": "fields"}).status_code == 201
    assert ann("DELETE", ONE).status_code == 204
    assert workspace.catalog.find_item("fields", "a") is None


def test_a_collection_that_goes_while_items_come(api: Api, workspace: Workspace) -> None:
    """Whoever comes second sees what the first did; there is no third outcome."""
    api("POST", "/collections", collection("fields"))
    with workspace.catalog.connection() as connection:
        write_items(connection, [{**item("a"), "collection": "fields"}])
        waiting = api("DELETE", ONE)
        assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "5")
    assert api("DELETE", ONE).status_code == 204
    assert api("POST", f"{ONE}/items", {**item("a"), "collection": "fields"}).status_code == 404
