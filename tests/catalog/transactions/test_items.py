import json
from typing import Any

import pytest

from terralab.catalog.refresh import differences
from terralab.catalog.workspace import Workspace
from tests.catalog.transactions.conftest import Api, item

ITEMS = "/collections/places/items"


def test_an_item_is_created_read_replaced_and_deleted(api: Api, workspace: Workspace) -> None:
    made = api("POST", ITEMS, item(cloud=1))
    assert made.status_code == 201
    assert made.headers["location"] == f"{api.url}/stac{ITEMS}/a"
    read = api("GET", f"{ITEMS}/a")
    assert read.json() == made.json()
    assert read.headers["etag"] == made.headers["etag"]
    assert read.json()["properties"] == {"datetime": "2024-05-01T00:00:00Z", "cloud": 1}
    changed = api("PUT", f"{ITEMS}/a", item(cloud=2))
    assert (changed.status_code, changed.json()["properties"]["cloud"]) == (200, 2)
    assert changed.headers["etag"] != made.headers["etag"]
    assert api.etag(f"{ITEMS}/a") == changed.headers["etag"]
    assert list(differences(workspace.catalog)) == []
    gone = api("DELETE", f"{ITEMS}/a")
    assert (gone.status_code, gone.content) == (204, b"")
    assert api("GET", f"{ITEMS}/a").status_code == 404


def test_what_is_not_there_is_404(api: Api) -> None:
    for method, path, body in (
        ("POST", "/collections/nowhere/items", {**item(), "collection": "nowhere"}),
        ("PUT", f"{ITEMS}/a", item()),
        ("PATCH", f"{ITEMS}/a", {"properties": {"x": 1}}),
        ("DELETE", f"{ITEMS}/a", None),
        ("DELETE", "/collections/nowhere/items/a", None),
    ):
        answer = api(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_name"), (method, path, answer.text)


def test_an_id_that_exists_is_409_in_whatever_month(api: Api, workspace: Workspace) -> None:
    with workspace.catalog.connection() as connection:
        connection.execute("UPDATE collections SET partition_trunc = 'month'")
    made = api("POST", ITEMS, item())
    again = api("POST", ITEMS, item(when="2024-09-01T00:00:00Z"))
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    assert again.json()["etag"] == made.headers["etag"].strip('"')
    moved = api("PUT", f"{ITEMS}/a", item(when="2024-09-01T00:00:00Z"))
    assert moved.status_code == 200
    with workspace.catalog.connection() as connection:
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (1,)


def test_if_match(api: Api) -> None:
    first = api("POST", ITEMS, item(n=1)).headers["etag"]
    second = api("PUT", f"{ITEMS}/a", item(n=2), headers={"If-Match": first})
    assert second.status_code == 200
    for method, body in (("PUT", item(n=3)), ("PATCH", {"properties": {"n": 3}}), ("DELETE", None)):
        answer = api(method, f"{ITEMS}/a", body, headers={"If-Match": first})
        assert (answer.status_code, answer.json()["code"]) == (412, "changed"), method
    listed = f'"{"0" * 32}", W/{second.headers["etag"]}'
    assert api("PUT", f"{ITEMS}/a", item(n=3), headers={"If-Match": listed}).status_code == 200
    assert api("PUT", f"{ITEMS}/a", item(n=4), headers={"If-Match": "*"}).status_code == 200
    assert api("PUT", f"{ITEMS}/a", item(n=4), headers={"If-Match": "bare"}).status_code == 400
    assert api.get(f"{ITEMS}/a")["properties"]["n"] == 4


def test_if_none_match_creates_only(api: Api) -> None:
    only_new = {"If-None-Match": "*"}
    assert api("PUT", f"{ITEMS}/a", item(n=1), headers=only_new).status_code == 201
    assert api("PUT", f"{ITEMS}/a", item(n=2), headers=only_new).status_code == 412
    assert api("PUT", f"{ITEMS}/a", item(n=2), headers={"If-None-Match": '"x"'}).status_code == 400
    assert api.get(f"{ITEMS}/a")["properties"]["n"] == 1


def test_a_lab_may_require_if_match(api: Api, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    api("POST", ITEMS, item())
    monkeypatch.setattr(workspace.settings.api, "require_if_match", True)
    answer = api("DELETE", f"{ITEMS}/a")
    assert (answer.status_code, answer.json()["code"]) == (428, "condition_missing")
    assert api("DELETE", f"{ITEMS}/a", headers={"If-Match": api.etag(f"{ITEMS}/a")}).status_code == 204


def test_merge_patch(api: Api) -> None:
    api("POST", ITEMS, item(a=1, b={"c": 1, "d": 2}))
    for media_type in ("application/merge-patch+json", "application/json"):
        patch = {"properties": {"a": None, "b": {"c": 3}, "e": media_type}}
        answer = api("PATCH", f"{ITEMS}/a", patch, headers={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text
        kept = {name: value for name, value in answer.json()["properties"].items() if ":" not in name}
        assert kept == {"datetime": "2024-05-01T00:00:00Z", "b": {"c": 3, "d": 2}, "e": media_type}
    assert api("PATCH", f"{ITEMS}/a", patch).headers["etag"] == answer.headers["etag"]  # nothing changed


def patch(api: Api, *operations: dict[str, Any]) -> Any:
    return api(
        "PATCH",
        f"{ITEMS}/a",
        content=json.dumps(operations),
        headers={"Content-Type": "application/json-patch+json"},
    )


def test_json_patch_works_on_what_is_served(api: Api) -> None:
    api("POST", ITEMS, {**item(n=1), "links": [{"rel": "about", "href": "https://example.org/"}]})
    served = api.get(f"{ITEMS}/a")
    place = next(number for number, link in enumerate(served["links"]) if link["rel"] == "about")
    answer = patch(
        api,
        {"op": "test", "path": f"/links/{place}/href", "value": "https://example.org/"},
        {"op": "remove", "path": f"/links/{place}"},
        {"op": "replace", "path": "/properties/n", "value": 2},
        {"op": "copy", "from": "/properties/n", "path": "/properties/m"},
        {"op": "move", "from": "/properties/m", "path": "/properties/k"},
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["properties"]["n"], answer.json()["properties"]["k"]) == (2, 2)
    assert "about" not in [link["rel"] for link in answer.json()["links"]]


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "test", "path": "/properties/n", "value": 7}, 412),
        ({"op": "remove", "path": "/properties/missing"}, 400),
        ({"op": "remove", "path": "properties"}, 400),
        ({"op": "shake", "path": "/properties/n"}, 400),
        ({"path": "/properties/n"}, 400),
        ({"op": "add", "path": "/links/99", "value": 1}, 400),
        ({"op": "add", "path": "/id/x", "value": 1}, 400),
        ({"op": "replace", "path": "", "value": 1}, 400),
        ({"op": "remove", "path": "/geometry"}, 422),
        ({"op": "replace", "path": "/id", "value": "b"}, 422),
        ({"op": "replace", "path": "/collection", "value": "b"}, 422),
        ({"op": "add", "path": "/properties/datetime", "value": "yesterday"}, 422),
        ({"op": "copy", "from": "/nowhere", "path": "/properties/n"}, 400),
        ({"op": "copy", "path": "/properties/n"}, 400),
        ({"op": 1, "path": 2, "value": 3}, 400),
    ],
)
def test_patches_that_cannot_be_applied(api: Api, operation: dict[str, Any], status: int) -> None:
    before = api("POST", ITEMS, item(n=1)).headers["etag"]
    answer = patch(api, operation)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert api.etag(f"{ITEMS}/a") == before


def test_a_patch_cannot_grow_without_bound(api: Api) -> None:
    api("POST", ITEMS, item(text="x" * 100_000))
    doubling = [{"op": "copy", "from": "/properties", "path": f"/properties/p{n}"} for n in range(30)]
    assert patch(api, *doubling).status_code == 413
    nesting = [{"op": "add", "path": "/properties" + "/a" * n, "value": {}} for n in range(1, 300)]
    assert patch(api, *nesting).status_code == 400
    assert patch(api, *[{"op": "remove", "path": "/properties/text"}] * 1001).status_code == 413
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    assert api("PATCH", f"{ITEMS}/a", {"properties": deep}).status_code == 400


def test_problems_name_the_place_in_what_was_sent(api: Api) -> None:
    links = [
        {"rel": "self", "href": f"{api.url}/stac{ITEMS}/a"},
        {"rel": "about", "href": "https://example.org/"},
        {"rel": "root", "href": f"{api.url}/stac/"},
        {"rel": "about", "href": "javascript:alert(1)"},
    ]
    answer = api("POST", ITEMS, {**item(), "links": links, "bbox": [0, 9, 0, 10]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_item")
    found = {problem["where"]: problem for problem in answer.json()["problems"]}
    assert found.keys() == {"links[3].href", "bbox"}
    assert found["links[3].href"]["rule"] == "href_scheme"
    assert found["links[3].href"]["fix"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"id": "b"}, "id"),
        ({"collection": "other"}, "collection"),
        ({"id": ".."}, "id"),
        ({"id": None}, "id"),
        ({"type": "Collection"}, "type"),
        ({"geometry": None}, "geometry"),
        ({"stac_version": "9.9.9"}, "stac_version"),
        ({"links": 7}, "links"),
        ({"links": [7]}, "links[0]"),
        ({"assets": []}, "assets"),
        ({"assets": {"x": 7}}, "assets.x"),
        ({"assets": {"x": {"href": 7}}}, "assets.x.href"),
        ({"properties": 7}, "properties"),
        ({"assets": {"x": {"href": "file:///etc/passwd"}}}, "assets.x.href"),
        ({"assets": {"x": {"href": "asset://x"}}}, "assets.x.href"),
        ({"assets": {"x": {"href": f"asset://1220{'0' * 64}/a.tif"}}}, "assets.x.href"),
        ({"properties": {"datetime": "2024-05-01T00:00:00Z", "lab:visibility": "secret"}}, "properties.lab:visibility"),
        ({"properties": {"datetime": "2024-05-01T00:00:00Z", "lab:owner": 7}}, "properties.lab:owner"),
        ({"properties": {"datetime": "2024-05-01T00:00:00Z", "x": "http://terralab-base.invalid/"}}, "$"),
    ],
)
def test_items_that_are_refused(api: Api, change: dict[str, Any], where: str) -> None:
    answer = api("PUT", f"{ITEMS}/a", {**item(), **change}, headers={"If-None-Match": "*"})
    assert answer.status_code == 422, answer.text
    assert where in {problem["where"] for problem in answer.json()["problems"]}, answer.text
    assert api("GET", f"{ITEMS}/a").status_code == 404


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"7", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (json.dumps(item(note="a\0b")).encode(), "application/json", 400),
        (json.dumps(item()).encode(), "text/plain", 415),
        (json.dumps(item()).encode(), "", 415),
        (json.dumps(item()).encode(), "application/merge-patch+json", 415),
        (json.dumps(item(note="x" * 11_000_000)).encode(), "application/json", 413),
        (json.dumps(item()).encode(), "Application/geo+json; charset=utf-8", 201),
    ],
)
def test_bodies(api: Api, body: bytes, content_type: str, status: int) -> None:
    answer = api("POST", ITEMS, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text[:500]
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_without_an_announced_length_is_limited_too(api: Api) -> None:
    pieces = (b" " * 1_000_000 for _ in range(12))
    answer = api("POST", ITEMS, content=pieces, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_unknown_query_parameters_and_other_oddities(api: Api) -> None:
    assert api("POST", f"{ITEMS}?upsert=true", item()).status_code == 400
    assert api("POST", f"{ITEMS}?mode=some", item()).status_code == 400
    assert api("DELETE", f"{ITEMS}/a?mode=partial").status_code == 400
    assert api("DELETE", "/collections/a%00b/items/c%00d").status_code in (400, 404)
    assert api("DELETE", "/collections/a%ff/items/%ff").status_code == 404


def test_backslashes_tabs_and_letters_come_back_as_they_were(api: Api) -> None:
    text = 'C:\\new\\table\t"é😀\u202f\\u0041'
    api("POST", ITEMS, item(text=text))
    assert api.get(f"{ITEMS}/a")["properties"]["text"] == text


def test_openapi_and_conformance_name_the_writes(api: Api) -> None:
    paths = api.get("/api")["paths"]
    assert paths["/collections/{collection_id}/items/{item_id}"].keys() == {"get", "put", "patch", "delete"}
    assert "post" in paths["/collections/{collection_id}/bulk_items"]
    conforms = api.get("/conformance")["conformsTo"]
    assert "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction" in conforms
    assert "https://api.stacspec.org/v1.0.0/collections/extensions/transaction" in conforms
