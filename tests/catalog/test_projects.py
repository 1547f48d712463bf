"""Projects: a hierarchy of catalogs, served and changed over HTTP, under the policy."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.access.keys import create_key
from terralab.catalog.access.principal import Principal
from terralab.catalog.app import create_app
from terralab.catalog.project_tree import ProjectTree, seen_by
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing_collections import delete_collection, write_collections
from tests.catalog.conftest import fill, serve
from tests.conftest import execute, official_schemas


class Caller:
    """The STAC API as one user sees it."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.client = httpx.Client(base_url=f"{url}/stac", headers=headers, timeout=30, follow_redirects=True)

    def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.client.request(method, path, **({} if body is None else {"json": body}))

    def get(self, path: str) -> Any:
        answer = self("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def closed_lab(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Yield a lab with one object of every kind, in which a stranger reads what is public alone."""
    execute(postgres, f"CREATE DATABASE projects TEMPLATE {template}")
    chosen = Settings()
    chosen.database.database_url, chosen.access.open_reads = f"{postgres}/projects", False
    chosen.lab.home, chosen.lab.schemas = tmp_path_factory.mktemp("projects"), official_schemas()
    yield fill(Workspace(chosen))
    execute(postgres, "DROP DATABASE projects WITH (FORCE)")


@pytest.fixture(scope="module")
def users(closed_lab: Workspace) -> Iterator[dict[str, Caller]]:
    """Yield Ann and Bob, who may write, Cleo of the project `flood`, an admin, and a stranger."""
    keys = {
        "ann": create_key(closed_lab.catalog, "ann", ["read", "write"])[0],
        "bob": create_key(closed_lab.catalog, "bob", ["read", "write"])[0],
        "cleo": create_key(closed_lab.catalog, "cleo", ["read", "write"], ["flood"])[0],
        "admin": create_key(closed_lab.catalog, "root", ["admin"])[0],
        "nobody": None,
    }
    for server in serve(create_app(closed_lab.settings)):
        made = {name: Caller(server.url, key) for name, key in keys.items()}
        yield made
        for caller in made.values():
            caller.client.close()


@pytest.fixture
def callers(users: dict[str, Caller], closed_lab: Workspace) -> Iterator[dict[str, Caller]]:
    """Yield the users, in a lab without projects."""
    yield users
    with closed_lab.catalog.connection() as connection:
        connection.execute("DELETE FROM lab.projects")


def project(id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "Catalog", "id": id, "stac_version": "1.1.0", "description": f"About {id}", **fields}


def hrefs(document: dict[str, Any], rel: str) -> list[str]:
    return [link["href"].partition("/stac/")[2] for link in document["links"] if link["rel"] == rel]


def test_a_project_orders_collections(callers: dict[str, Caller]) -> None:
    ann = callers["ann"]
    made = ann("POST", "/catalogs", project("floods", title="Floods"))
    assert made.status_code == 201
    assert made.headers["Location"].endswith("/stac/catalogs/floods")
    assert ann("POST", "/catalogs/floods/collections", {"id": "flood-v1"}).status_code == 200
    assert ann("POST", "/catalogs/floods/collections", {"id": "models"}).status_code == 200
    assert ann("POST", "/catalogs/floods/catalogs", project("spain")).status_code == 201
    assert ann("POST", "/catalogs/spain/collections", {"id": "flood-v1"}).status_code == 200

    shown = ann.get("/catalogs/floods")
    assert (shown["title"], shown["lab:owner"]) == ("Floods", "ann")
    assert hrefs(shown, "root") == [""]
    assert not any("//" in link["href"].partition("://")[2] for link in shown["links"])
    assert hrefs(shown, "parent") == [""]
    assert hrefs(shown, "child") == [
        "catalogs/spain",
        "catalogs/floods/collections/flood-v1",
        "catalogs/floods/collections/models",
    ]
    assert hrefs(ann.get("/catalogs/spain"), "parent") == ["catalogs/floods"]

    within = ann.get("/catalogs/spain/collections/flood-v1")
    assert hrefs(within, "self") == ["catalogs/spain/collections/flood-v1"]
    assert hrefs(within, "parent") == ["catalogs/spain"]
    assert hrefs(within, "canonical") == ["collections/flood-v1"]
    assert hrefs(within, "related") == ["catalogs/floods"]
    assert hrefs(within, "duplicate") == ["catalogs/floods/collections/flood-v1"]
    assert within["item_assets"] == ann.get("/collections/flood-v1")["item_assets"]
    assert hrefs(ann.get("/collections/flood-v1"), "related") == ["catalogs/floods", "catalogs/spain"]
    assert hrefs(ann.get("/collections/flood-v1"), "parent") == [""]

    listed = ann.get("/catalogs/floods/collections?limit=1")
    assert [one["id"] for one in listed["collections"]] == ["flood-v1"]
    assert listed["numberMatched"] == 2
    following = hrefs(listed, "next")[0]
    assert [one["id"] for one in ann.get(f"/{following}")["collections"]] == ["models"]
    children = ann.get("/catalogs/floods/children")["children"]
    assert [(one["type"], one["id"]) for one in children] == [
        ("Catalog", "spain"),
        ("Collection", "flood-v1"),
        ("Collection", "models"),
    ]
    assert [one["id"] for one in ann.get("/catalogs/floods/children?type=Collection&limit=1&token=1")["children"]] == [
        "models"
    ]
    assert [one["id"] for one in ann.get("/catalogs")["catalogs"]] == ["floods", "spain"]
    assert [one["id"] for one in ann.get("/catalogs/floods/catalogs")["catalogs"]] == ["spain"]


def test_the_landing_page_leads_to_projects(callers: dict[str, Caller]) -> None:
    ann = callers["ann"]
    ann("POST", "/catalogs", project("floods"))
    ann("POST", "/catalogs/floods/catalogs", project("spain"))
    root = ann.get("/")
    assert hrefs(root, "catalogs") == ["catalogs"]
    assert hrefs(root, "child") == ["catalogs/floods"]
    assert "https://api.stacspec.org/v1.0.0-rc.2/multi-tenant-catalogs" in root["conformsTo"]
    found = ann.get("/children?limit=4")
    assert (found["children"][0]["id"], found["numberMatched"], found["numberReturned"]) == ("floods", 8, 4)
    rest = ann.get(f"/{hrefs(found, 'next')[0]}")["children"]
    assert {one["type"] for one in rest} == {"Collection"}
    assert len({one["id"] for one in [*found["children"], *rest]}) == 8


def test_a_search_cannot_leave_the_project(callers: dict[str, Caller]) -> None:
    ann = callers["ann"]
    ann("POST", "/catalogs", project("floods"))
    assert ann.get("/catalogs/floods/search")["features"] == []
    ann("POST", "/catalogs/floods/catalogs", project("spain"))
    ann("POST", "/catalogs/spain/collections", {"id": "flood-v1"})
    ann("POST", "/catalogs/floods/collections", {"id": "flood-scenes"})
    found = ann.get("/catalogs/floods/search?limit=10")
    assert {item["collection"] for item in found["features"]} == {"flood-v1", "flood-scenes"}
    assert found["numberMatched"] == 5
    assert ann.get("/catalogs/spain/search?filter=\"ml-aoi:split\"='train'")["numberMatched"] == 2
    for asked in (["models"], ["models", "runs"]):
        assert ann.get(f"/catalogs/floods/search?collections={','.join(asked)}")["features"] == []
        assert ann("POST", "/catalogs/floods/search", {"collections": asked}).json()["features"] == []
    some = ann("POST", "/catalogs/floods/search", {"collections": ["models", "flood-scenes"]}).json()
    assert {item["collection"] for item in some["features"]} == {"flood-scenes"}
    assert ann.get("/catalogs/floods/search?q=spain")["numberMatched"] == 0  # no title of theirs has the word
    ann("POST", "/catalogs/floods/collections", {"id": "datasets"})
    assert [item["id"] for item in ann.get("/catalogs/floods/search?q=flood")["features"]] == ["flood-v1-0-0"]
    ann("DELETE", "/catalogs/floods/collections/datasets")
    page = ann.get("/catalogs/floods/search?limit=2")
    after = httpx.get(next(link["href"] for link in page["links"] if link["rel"] == "next"), headers=ann.client.headers)
    assert {item["collection"] for item in after.json()["features"]} <= {"flood-v1", "flood-scenes"}
    assert ann.get("/catalogs/spain/collections/flood-v1/items?limit=3")["numberReturned"] == 3
    assert ann.get("/catalogs/spain/collections/flood-v1/items/chip-0001")["id"] == "chip-0001"
    assert ann("GET", "/catalogs/spain/collections/models/items").status_code == 404
    assert ann("POST", "/catalogs/floods/search", {"filter": {"op": "nonsense", "args": []}}).status_code == 400


def test_changing_projects_keeps_what_is_in_them(callers: dict[str, Caller], closed_lab: Workspace) -> None:
    ann, bob = callers["ann"], callers["bob"]
    with closed_lab.catalog.connection() as connection:
        (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM lab.audit").fetchone() or (0,)
    for name in ("floods", "spain"):
        ann("POST", "/catalogs", project(name))
    assert ann("POST", "/catalogs/floods/catalogs", {"id": "spain"}).status_code == 200
    ann("POST", "/catalogs/spain/collections", {"id": "models"})
    changed = ann("PUT", "/catalogs/spain", project("spain", title="España")).json()
    assert (changed["title"], hrefs(changed, "parent")) == ("España", ["catalogs/floods"])
    assert hrefs(changed, "child") == ["catalogs/spain/collections/models"]
    assert ann("POST", "/catalogs/spain/catalogs", {"id": "floods"}).status_code == 400  # a circle
    assert ann("POST", "/catalogs/spain/catalogs", {"id": "spain"}).status_code == 400
    assert ann("DELETE", "/catalogs/floods").status_code == 204
    assert hrefs(ann.get("/catalogs/spain"), "parent") == [""]
    assert ann("DELETE", "/catalogs/spain/collections/models").status_code == 204
    assert ann("DELETE", "/catalogs/spain/collections/models").status_code == 404
    assert ann.get("/collections/models")["id"] == "models"
    with closed_lab.catalog.connection() as connection:
        write_collections(connection, [{**closed_lab.catalog.collection("runs"), "id": "short-lived"}])
    assert ann("POST", "/catalogs/spain/collections", {"id": "short-lived"}).status_code == 200
    with closed_lab.catalog.connection() as connection:
        delete_collection(connection, "short-lived")
    assert ann.get("/catalogs/spain/children")["children"] == []
    assert bob("DELETE", "/catalogs/spain").status_code == 403
    noting = "SELECT principal, action, collection FROM lab.audit WHERE number > %s ORDER BY number"
    with closed_lab.catalog.connection() as connection:
        noted = connection.execute(noting, (last,)).fetchall()
    assert noted == [
        ("ann", "create", "catalogs/floods"),
        ("ann", "create", "catalogs/spain"),
        ("ann", "update", "catalogs/spain"),
        ("ann", "delete", "catalogs/floods"),
    ]


def test_a_collection_is_created_and_replaced_in_a_project(callers: dict[str, Caller]) -> None:
    ann = callers["ann"]
    ann("POST", "/catalogs", project("floods"))
    extent = {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}}
    new = {"type": "Collection", "stac_version": "1.1.0", "id": "new", "description": "New", "license": "other"}
    made = ann("POST", "/catalogs/floods/collections", {**new, "extent": extent, "links": []})
    assert (made.status_code, hrefs(made.json(), "self")) == (201, ["catalogs/floods/collections/new"])
    again = ann("POST", "/catalogs/floods/collections", {**new, "extent": extent, "links": []})
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    other = {**new, "extent": extent, "links": [], "description": "Other"}
    assert ann("PUT", "/catalogs/floods/collections/new", other).status_code == 200
    assert ann.get("/collections/new")["description"] == "Other"
    assert ann("PUT", "/catalogs/floods/collections/models", other).status_code == 404
    assert ann("DELETE", "/collections/new").status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/catalogs", {"type": "Collection", "id": "x"}, 422),
        ("POST", "/catalogs", {"id": "No/Good"}, 422),
        ("POST", "/catalogs", {"id": 5}, 422),
        ("POST", "/catalogs", {"id": "x", "description": 5}, 422),
        ("POST", "/catalogs", {"id": "x", "title": "\0"}, 422),
        ("POST", "/catalogs", {"id": "x", "lab:visibility": "all"}, 422),
        ("POST", "/catalogs", {"id": "x", "lab:owner": "bob"}, 403),
        ("POST", "/catalogs", {"id": "floods"}, 409),
        ("POST", "/catalogs", [1], 400),
        ("PUT", "/catalogs/floods", {"id": "other"}, 422),
        ("PUT", "/catalogs/absent", {"id": "absent"}, 404),
        ("DELETE", "/catalogs/absent", None, 404),
        ("POST", "/catalogs/floods/collections", {"id": "absent"}, 404),
        ("POST", "/catalogs/floods/collections", {}, 422),
        ("POST", "/catalogs/absent/collections", {"id": "models"}, 404),
        ("POST", "/catalogs/floods/catalogs", {"id": "absent"}, 404),
        ("DELETE", "/catalogs/floods/catalogs/absent", None, 404),
        ("GET", "/catalogs/absent/children", None, 404),
        ("GET", "/catalogs/floods/children?type=Item", None, 400),
        ("GET", "/catalogs/floods/collections?limit=0", None, 400),
        ("POST", "/catalogs/floods/search", {"collections": "models"}, 400),
    ],
)
def test_wrong_requests(with_floods: Caller, method: str, path: str, body: Any, status: int) -> None:
    answer = with_floods(method, path, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture
def with_floods(callers: dict[str, Caller]) -> Caller:
    """Return Ann, who has a project."""
    callers["ann"]("POST", "/catalogs", project("floods"))
    return callers["ann"]


def test_what_a_caller_may_not_read_is_not_there(callers: dict[str, Caller]) -> None:
    ann, bob, cleo, admin, nobody = (callers[name] for name in ("ann", "bob", "cleo", "admin", "nobody"))
    ann("POST", "/catalogs", project("open"))
    ann("POST", "/catalogs", project("mine", **{"lab:visibility": "private"}))
    admin("POST", "/catalogs", project("flood", **{"lab:visibility": "project"}))
    ann("POST", "/catalogs/open/catalogs", {"id": "mine"})
    for name in ("mine", "open"):
        ann("POST", f"/catalogs/{name}/collections", {"id": "models"})
        ann("POST", f"/catalogs/{name}/collections", {"id": "flood-v1"})
    closed = admin("PATCH", "/collections/models", {"lab:owner": "ann", "lab:visibility": "private"})
    assert closed.status_code == 200, closed.text
    expected = {"ann": ["mine", "open"], "bob": ["open"], "cleo": ["flood", "open"], "nobody": ["open"]}
    for name, ids in {**expected, "admin": ["flood", "mine", "open"]}.items():
        assert [one["id"] for one in callers[name].get("/catalogs")["catalogs"]] == ids
    for caller in (bob, nobody):
        assert hrefs(caller.get("/catalogs/open"), "child") == ["catalogs/open/collections/flood-v1"]
        assert hrefs(caller.get("/collections/flood-v1"), "related") == ["catalogs/open"]
        assert hrefs(caller.get("/"), "child") == ["catalogs/open"]
        assert [one["id"] for one in caller.get("/catalogs/open/collections")["collections"]] == ["flood-v1"]
        assert caller.get("/catalogs/open/search?limit=100")["numberMatched"] == 4
        for path in ("", "/children", "/collections", "/collections/flood-v1", "/search", "/conformance", "/catalogs"):
            hidden, absent = caller("GET", f"/catalogs/mine{path}"), caller("GET", f"/catalogs/nine{path}")
            assert hidden.status_code == absent.status_code == 404
            assert hidden.json()["detail"].replace("mine", "nine") == absent.json()["detail"]
        assert caller("GET", "/catalogs/open/collections/models").status_code == 404
    assert bob("PUT", "/catalogs/mine", project("mine")).status_code == 404
    assert bob("POST", "/catalogs/open/catalogs", {"id": "mine"}).status_code == 403
    bob("POST", "/catalogs", project("his"))
    assert bob("POST", "/catalogs/his/catalogs", {"id": "mine"}).status_code == 404
    assert bob("POST", "/catalogs/his/collections", {"id": "models"}).status_code == 404
    assert nobody("POST", "/catalogs", project("x")).status_code == 401
    assert cleo("POST", "/catalogs/flood/collections", {"id": "flood-v1"}).status_code == 200  # a member
    assert admin("PATCH", "/collections/models", {"lab:owner": None, "lab:visibility": "public"}).status_code == 200


NAMES = st.integers(0, 5).map("p{}".format)


@given(
    edges=st.lists(st.tuples(NAMES, NAMES), max_size=12),
    members=st.lists(st.tuples(NAMES, st.sampled_from(["c0", "c1", "c2"])), max_size=8),
    visibilities=st.lists(st.sampled_from([None, "public", "private", "project"]), min_size=6, max_size=6),
    hidden=st.sets(st.sampled_from(["c0", "c1"])),
)
def test_a_tree_shows_nothing_unreadable(edges: Any, members: Any, visibilities: Any, hidden: set[str]) -> None:
    projects = {f"p{n}": {"id": f"p{n}", "lab:visibility": one, "lab:owner": "x"} for n, one in enumerate(visibilities)}
    children: dict[str, list[str]] = {}
    for parent, child in edges:
        children.setdefault(parent, []).append(child)
    collections: dict[str, list[str]] = {}
    for name, collection in members:
        collections.setdefault(name, []).append(collection)
    caller = Principal("y", frozenset({"read"}), frozenset({"p1"}))
    tree = seen_by(ProjectTree(projects, children, collections), caller, hidden)
    readable = {
        id
        for id, one in projects.items()
        if one["lab:visibility"] in (None, "public") or (one["lab:visibility"] == "project" and id == "p1")
    }
    assert set(tree.projects) == readable
    for id in tree.projects:
        assert set(tree.below(id)) <= readable  # ends, whatever circles there are
        assert not set(tree.all_collections(id)) & hidden
    assert set(tree.children) | set(tree.collections) <= readable
