"""Whose an object is, who may change it, and that what is hidden looks like what is not there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from terralab.catalog.app import create_app
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, serve
from tests.catalog.transactions.conftest import Api, collection, item

ITEMS = "/collections/places/items"


def owned(name: str = "a", **properties: Any) -> dict[str, Any]:
    return item(name, **{f"lab:{key}": value for key, value in properties.items()})


@pytest.fixture(scope="module")
def closed_settings(written_lab: Workspace) -> Settings:
    """Return settings of the same lab by which not everybody reads everything."""
    settings = Settings()
    settings.__dict__.update(written_lab.settings.__dict__)
    settings.access = written_lab.settings.access.model_copy(update={"open_reads": False})
    return settings


@pytest.fixture(scope="module")
def closed_server(closed_settings: Settings) -> Iterator[Server]:
    yield from serve(create_app(closed_settings))


@pytest.fixture
def closed(users: Callable[..., Api], closed_server: Server) -> Callable[..., Api]:
    def make(*arguments: Any, **options: Any) -> Api:
        api = users(*arguments, **options)
        api.client.base_url, api.url = closed_server.url, closed_server.url
        return api

    return make


def test_what_is_new_belongs_to_who_writes_it(users: Callable[..., Api]) -> None:
    ann, bob, admin = users("ann"), users("bob"), users()
    made = ann("POST", ITEMS, item("a"))
    assert made.json()["properties"]["lab:owner"] == "ann"
    assert "lab:visibility" not in made.json()["properties"]
    assert bob("POST", ITEMS, owned("b", owner="ann")).status_code == 403
    assert admin("POST", ITEMS, owned("b", owner="bob")).json()["properties"]["lab:owner"] == "bob"
    assert "lab:owner" not in admin("POST", ITEMS, item("c")).json()["properties"]
    assert (
        ann("PUT", f"{ITEMS}/d", item("d"), headers={"If-None-Match": "*"}).json()["properties"]["lab:owner"] == "ann"
    )
    assert ann("POST", "/collections", collection("anns")).json()["lab:owner"] == "ann"


def test_only_who_may_changes(users: Callable[..., Api]) -> None:
    ann, bob, admin = users("ann"), users("bob"), users()
    ann("POST", ITEMS, item("a"))
    for method, body in (("PUT", item(n=1)), ("PATCH", {"properties": {"n": 1}}), ("DELETE", None)):
        assert bob(method, f"{ITEMS}/a", body).status_code == 403
    assert ann("PUT", f"{ITEMS}/a", item(n=1)).json()["properties"]["lab:owner"] == "ann"
    assert ann("PATCH", f"{ITEMS}/a", {"properties": {"lab:owner": "bob"}}).status_code == 403
    assert ann("PATCH", f"{ITEMS}/a", {"properties": {"lab:owner": None}}).json()["properties"]["lab:owner"] == "ann"
    given = admin("PATCH", f"{ITEMS}/a", {"properties": {"lab:owner": "bob"}})
    assert given.json()["properties"]["lab:owner"] == "bob"
    assert ann("DELETE", f"{ITEMS}/a").status_code == 403
    assert bob("DELETE", f"{ITEMS}/a").status_code == 204


def test_nobody_takes_what_is_the_labs(users: Callable[..., Api]) -> None:
    users()("POST", ITEMS, item("a"))
    ann = users("ann")
    assert ann("PUT", f"{ITEMS}/a", item("a", n=1)).status_code == 200
    assert ann("PUT", f"{ITEMS}/a", owned("a", owner="ann")).status_code == 403
    assert ann("PUT", f"{ITEMS}/a", owned("a", visibility="private")).status_code == 403
    assert "lab:owner" not in ann.get(f"{ITEMS}/a")["properties"]


def test_an_item_without_owner_is_its_collections(users: Callable[..., Api]) -> None:
    admin, ann, bob = users(), users("ann"), users("bob")
    ann("POST", "/collections", collection("anns"))
    path = "/collections/anns/items"
    admin("POST", path, {**item("a"), "collection": "anns"})
    assert bob("PATCH", f"{path}/a", {"properties": {"n": 1}}).status_code == 403
    assert bob("POST", path, {**item("b"), "collection": "anns"}).status_code == 403
    assert ann("PATCH", f"{path}/a", {"properties": {"n": 1}}).status_code == 200


def test_scopes(users: Callable[..., Api]) -> None:
    reader = users("ann", scopes=("read",))
    assert reader("POST", ITEMS, item()).status_code == 403
    reader.client.headers.pop("Authorization")
    answer = reader("POST", ITEMS, item())
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert "bearer" in answer.headers["www-authenticate"].lower()


def test_a_project_is_for_its_members(closed: Callable[..., Api]) -> None:
    ann, bob, eve = closed("ann", "team"), closed("bob", "team"), closed("eve")
    team = {"visibility": "project", "project": "team"}
    assert eve("POST", ITEMS, owned("a", **team)).status_code == 403
    assert ann("POST", ITEMS, owned("a", **team)).status_code == 201
    assert bob("PATCH", f"{ITEMS}/a", {"properties": {"n": 1}}).status_code == 200
    assert bob("PATCH", f"{ITEMS}/a", {"properties": {"lab:visibility": "private"}}).status_code == 403
    assert eve("PATCH", f"{ITEMS}/a", {"properties": {"n": 2}}).status_code == 404
    assert ann("PATCH", f"{ITEMS}/a", {"properties": {"lab:project": "other"}}).status_code == 403
    assert ann("PATCH", f"{ITEMS}/a", {"properties": {"lab:visibility": "private"}}).status_code == 200
    assert bob("GET", f"{ITEMS}/a").status_code == 404


def test_what_is_hidden_answers_as_what_is_not_there(closed: Callable[..., Api]) -> None:
    ann, eve = closed("ann"), closed("eve")
    private = collection("hidden", **{"lab:visibility": "private"})
    assert ann("POST", "/collections", private).status_code == 201
    assert ann("POST", "/collections/hidden/items", {**item("a"), "collection": "hidden"}).status_code == 201
    assert ann("POST", ITEMS, owned("secret", visibility="private")).status_code == 201
    for hidden, missing in (
        ("/collections/hidden", "/collections/absent"),
        ("/collections/hidden/items/a", "/collections/absent/items/a"),
        (f"{ITEMS}/secret", f"{ITEMS}/absent"),
    ):
        for method in ("PUT", "PATCH", "DELETE"):
            answers = [eve(method, path, _body(method, path)) for path in (hidden, missing)]
            told = [answer.json() for answer in answers]
            for document, path in zip(told, (hidden, missing), strict=True):
                document.pop("request_id")
                name = path.split("/")[2] if "absent" in missing.split("/")[2] else path.split("/")[-1]
                for member in ("detail", "description"):
                    document[member] = document[member].replace(name, "?")
            assert (answers[0].status_code, told[0]) == (404, told[1]), (method, hidden)
    posted = eve("POST", "/collections/hidden/items", {**item("b"), "collection": "hidden"})
    assert posted.status_code == 404


def _body(method: str, path: str) -> dict[str, Any] | None:
    if method == "DELETE":
        return None
    if method == "PATCH":
        return {}
    parts = path.split("/")
    return {**item(parts[4]), "collection": parts[2]} if len(parts) == 5 else collection(parts[2])


@pytest.mark.parametrize(
    ("default", "of_ann", "of_eve"),
    [("public", None, None), ("private", "private", "private"), ("project", "project", "private")],
)
def test_the_default_visibility(
    closed: Callable[..., Api],
    closed_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    default: str,
    of_ann: str | None,
    of_eve: str | None,
) -> None:
    monkeypatch.setattr(closed_settings.access, "default_visibility", default)
    ann, eve = closed("ann", "team"), closed("eve", "team", "other")
    made = ann("POST", ITEMS, item("a")).json()["properties"]
    assert (made.get("lab:visibility"), made.get("lab:project")) == (of_ann, "team" if of_ann == "project" else None)
    assert eve("POST", ITEMS, item("b")).json()["properties"].get("lab:visibility") == of_eve
    named = ann("POST", ITEMS, owned("c", visibility="public")).json()["properties"]
    assert named["lab:visibility"] == "public"


def test_files_of_others_are_as_if_missing(closed: Callable[..., Api], workspace: Workspace) -> None:
    ann, bob, admin = closed("ann"), closed("bob"), closed()
    file = workspace.store.put_bytes(b"secret bytes", "a.bin")
    asset = {"a": {"href": file.href, "file:size": file.size}}
    assert ann("POST", ITEMS, {**owned("a", visibility="private"), "assets": asset}).status_code == 201
    stolen = bob("POST", ITEMS, {**item("b"), "assets": asset})
    missing = bob("POST", ITEMS, {**item("b"), "assets": {"a": {"href": f"asset://1220{'0' * 64}/a.bin"}}})
    assert (stolen.status_code, missing.status_code) == (422, 422)
    assert stolen.json()["problems"][0]["rule"] == missing.json()["problems"][0]["rule"] == "file_missing"
    bob("POST", ITEMS, item("c"))
    patch = {"assets": {"a": {"href": file.href}}}
    assert bob("PATCH", f"{ITEMS}/c", patch).status_code == 422
    by_address = {"a": {"href": f"{bob.url}/files/{file.checksum}/a.bin?expires=1&signature=x"}}
    assert bob("PATCH", f"{ITEMS}/c", {"assets": by_address}).status_code == 422
    assert admin("POST", ITEMS, {**item("d"), "assets": asset}).status_code == 201  # now it is public
    assert bob("PATCH", f"{ITEMS}/c", patch).status_code == 200


def test_signed_addresses_come_back_as_references(closed: Callable[..., Api], workspace: Workspace) -> None:
    ann = closed("ann")
    file = workspace.store.put_bytes(b"my bytes", "mine.bin")
    asset = {"a": {"href": file.href, "file:size": file.size}}
    made = ann("POST", ITEMS, {**owned("a", visibility="private"), "assets": asset})
    assert "signature=" in made.json()["assets"]["a"]["href"]
    read = ann("GET", f"{ITEMS}/a")
    again = ann("PUT", f"{ITEMS}/a", read.json(), headers={"If-Match": read.headers["etag"]})
    assert (again.status_code, again.headers["etag"]) == (200, made.headers["etag"])
    assert workspace.catalog.item("places", "a")["assets"]["a"]["href"] == file.href
    wrong = ann("PATCH", f"{ITEMS}/a", {"assets": {"a": {"file:size": 1}}})
    assert (wrong.status_code, wrong.json()["problems"][0]["rule"]) == (422, "file_size")
