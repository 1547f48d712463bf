from collections.abc import Callable
from typing import Any

import pytest

from terralab.catalog.workspace import Workspace
from tests.catalog.transactions.conftest import Api, item

ITEMS = "/collections/places/items"
BULK = "/collections/places/bulk_items"


def features(*items: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items)}


def bulk(method: str | None, *items: dict[str, Any]) -> dict[str, Any]:
    by_id = {"items": {each["id"]: each for each in items}}
    return by_id if method is None else {**by_id, "method": method}


def stored(workspace: Workspace) -> list[str]:
    with workspace.catalog.connection() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM items ORDER BY id").fetchall()]


def test_a_feature_collection_is_created_at_once(api: Api, workspace: Workspace) -> None:
    answer = api("POST", ITEMS, features(item("a"), item("b", x=3), item("c")))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["received"], told["success"], told["skipped"], told["errors"]) == (3, 3, 0, [])
    assert [(each["id"], each["change"]) for each in told["items"]] == [(name, "created") for name in "abc"]
    assert api.etag(f"{ITEMS}/b") == f'"{told["items"][1]["etag"]}"'
    assert stored(workspace) == ["a", "b", "c"]


def test_one_bad_item_and_nothing_is_written(api: Api, workspace: Workspace) -> None:
    api("POST", ITEMS, item("there"))
    bad = {**item("bad"), "geometry": None}
    answer = api("POST", ITEMS, features(item("a"), bad, item("a"), item("there"), 7, {}, item("b")))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_item"), answer.text
    errors = answer.json()["errors"]
    assert [(error["index"], error["id"], error["code"]) for error in errors] == [
        (1, "bad", "invalid_item"),
        (2, "a", "invalid_item"),
        (3, "there", "already_exists"),
        (4, None, "invalid_item"),
        (5, None, "invalid_item"),
    ]
    assert errors[0]["problems"][0]["where"] == "geometry"
    assert "same id" in errors[1]["reason"]
    assert stored(workspace) == ["there"]


def test_only_conflicts_are_409(api: Api, workspace: Workspace) -> None:
    api("POST", ITEMS, features(item("a"), item("b")))
    answer = api("POST", ITEMS, features(item("a"), item("c")))
    assert (answer.status_code, [error["id"] for error in answer.json()["errors"]]) == (409, ["a"])
    assert stored(workspace) == ["a", "b"]


def test_partial_only_where_it_is_asked_for(api: Api, workspace: Workspace) -> None:
    api("POST", ITEMS, item("there"))
    answer = api("POST", f"{ITEMS}?mode=partial", features(item("a"), item("there"), 7, item("b")))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["received"], told["success"], told["skipped"]) == (4, 2, 2)
    assert [error["index"] for error in told["errors"]] == [1, 2]
    assert stored(workspace) == ["a", "b", "there"]
    refused = api("POST", f"{ITEMS}?mode=partial", features(item("a"), item("b")))
    assert refused.status_code == 409


def test_bulk_insert_and_upsert(api: Api, workspace: Workspace) -> None:
    assert api("POST", BULK, bulk(None, item("a"), item("b"))).status_code == 201
    assert api("POST", BULK, bulk("insert", item("b"), item("c"))).status_code == 409
    answer = api("POST", BULK, bulk("upsert", item("a"), item("b", n=2), item("c")))
    assert answer.status_code == 200
    assert [each["change"] for each in answer.json()["items"]] == ["unchanged", "updated", "created"]
    assert api.get(f"{ITEMS}/b")["properties"]["n"] == 2
    named = api("POST", BULK, {"items": {"x": item("y")}})
    assert (named.status_code, named.json()["errors"][0]["problems"][0]["where"]) == (422, "id")
    assert stored(workspace) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": {}, "method": "replace"},
        {"items": {}, "method": 7},
        {"items": {}, "method": ["insert"]},
        [],
    ],
)
def test_bodies_that_are_no_bulk(api: Api, body: Any) -> None:
    assert api("POST", BULK, body).status_code == 400


@pytest.mark.parametrize("value", [None, 7, {}, "x"])
def test_a_feature_collection_without_features(api: Api, value: Any) -> None:
    assert api("POST", ITEMS, {"type": "FeatureCollection", "features": value}).status_code == 400


def test_empty_batches_write_nothing(api: Api) -> None:
    for answer in (api("POST", ITEMS, features()), api("POST", BULK, {"items": {}})):
        assert (answer.status_code, answer.json()["received"]) == (200, 0)
    assert api("POST", "/collections/nowhere/items", features()).status_code == 404


def test_a_batch_has_an_end(api: Api, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace.settings.api, "max_batch", 2)
    answer = api("POST", ITEMS, features(item("a"), item("b"), item("c")))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_full_batch_is_one_transaction(api: Api, workspace: Workspace) -> None:
    many = [item(f"i{number:04}", x=number / 100) for number in range(1000)]
    answer = api("POST", ITEMS, features(*many[:-1], {**many[-1], "bbox": []}))
    assert answer.status_code == 422
    assert stored(workspace) == []
    assert api("POST", ITEMS, features(*many)).status_code == 201
    assert len(stored(workspace)) == 1000
    with workspace.catalog.connection() as connection:
        assert connection.execute(
            "SELECT count(DISTINCT at), count(DISTINCT request_id) FROM lab.audit WHERE item ~ '^i[0-9]{4}$'"
        ).fetchone() == (1, 1)


def test_batches_obey_the_policy(users: Callable[..., Api], workspace: Workspace) -> None:
    ann, bob = users("ann"), users("bob")
    assert ann("POST", BULK, bulk("upsert", item("a"), item("b"))).status_code == 201
    mixed = bob("POST", BULK, bulk("upsert", item("b", n=1), item("c")))
    assert (mixed.status_code, mixed.json()["errors"][0]["code"]) == (403, "not_allowed")
    assert stored(workspace) == ["a", "b"]
    given = {**item("d"), "properties": {**item("d")["properties"], "lab:owner": "ann"}}
    assert bob("POST", ITEMS, features(given)).status_code == 403
