"""What a client reads, it can write back: nothing changes, whatever serving added."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.app import create_app
from terralab.catalog.read_model import canonical, etag_of
from terralab.catalog.refresh import rebuild
from terralab.catalog.rendering import rendered, served
from terralab.catalog.settings import Settings
from terralab.catalog.transactions.stored_form import collection_as_stored, item_as_stored, kept_links
from terralab.catalog.transactions.stored_objects import served_collection
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, fill, serve
from tests.catalog.transactions.conftest import collection, item
from tests.conftest import execute, official_schemas

BASE = "http://lab.example:8080"
OBJECTS = [
    "datasets/items/flood-v1-0-0",
    "flood-labels/items/spain-label",
    "flood-net-predictions/items/flood-net-spain",
    "flood-scenes/items/spain-s2",
    "flood-v1/items/chip-0001",
    "models/items/flood-net-abc",
    "runs/items/tune-1",
    "runs/items/predict-1",
    "datasets",
    "flood-labels",
    "flood-net-predictions",
    "flood-scenes",
    "flood-v1",
    "models",
    "runs",
]


@pytest.fixture(scope="module")
def filled_lab(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    execute(postgres, f"CREATE DATABASE round_trip TEMPLATE {template}")
    settings = Settings()
    settings.database.database_url = f"{postgres}/round_trip"
    settings.lab.home = tmp_path_factory.mktemp("round_trip")
    settings.lab.schemas = official_schemas()
    yield fill(Workspace(settings))
    execute(postgres, "DROP DATABASE round_trip WITH (FORCE)")


@pytest.fixture(scope="module")
def filled_server(filled_lab: Workspace) -> Iterator[Server]:
    yield from serve(create_app(filled_lab.settings))


@pytest.fixture(scope="module")
def client(filled_lab: Workspace, filled_server: Server) -> Iterator[httpx.Client]:
    token = kept_secret(filled_lab.settings.secrets_folder, TOKEN)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{filled_server.url}/stac/collections", headers=headers, timeout=30) as client:
        yield client


def state(lab: Workspace) -> list[Any]:
    with lab.catalog.connection() as connection:
        return connection.execute(
            "SELECT collection, id, hash, body FROM lab.items UNION ALL"
            " SELECT id, '', convert_to(content::text, 'UTF8'), NULL FROM collections ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.parametrize("path", OBJECTS)
def test_putting_back_what_was_read_changes_nothing(client: httpx.Client, filled_lab: Workspace, path: str) -> None:
    before = state(filled_lab)
    first = client.get(f"/{path}")
    answer = client.put(f"/{path}", json=first.json())
    assert answer.status_code == 200, answer.text
    assert state(filled_lab) == before
    assert answer.headers["etag"] == first.headers["etag"]
    if "items" in path:
        assert answer.json() == first.json()
    patched = client.patch(f"/{path}", json={})
    assert (patched.status_code, patched.headers["etag"]) == (200, answer.headers["etag"])
    assert state(filled_lab) == before


def shuffled(value: Any, turn: random.Random) -> Any:
    """Return the same JSON with the members of its objects in another order."""
    if isinstance(value, dict):
        names = list(value)
        turn.shuffle(names)
        return {name: shuffled(value[name], turn) for name in names}
    return [shuffled(part, turn) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", OBJECTS)
def test_the_order_of_members_says_nothing(client: httpx.Client, filled_lab: Workspace, path: str) -> None:
    before = state(filled_lab)
    document = client.get(f"/{path}").json()
    assert client.put(f"/{path}", json=shuffled(document, random.Random(path))).status_code == 200
    assert state(filled_lab) == before


@pytest.mark.parametrize("path", [path for path in OBJECTS if "items" in path])
def test_one_changed_property_changes_that_alone(client: httpx.Client, filled_lab: Workspace, path: str) -> None:
    name, _, id = path.partition("/items/")
    before = filled_lab.catalog.item(name, id)
    document = client.get(f"/{path}").json()
    document["properties"]["title"] = "Another"
    assert client.put(f"/{path}", json=document).status_code == 200
    after = filled_lab.catalog.item(name, id)
    assert after["properties"].pop("title") == "Another"
    before["properties"].pop("title", None)
    assert after == before
    assert client.patch(f"/{path}", json={"properties": {"title": None}}).status_code == 200


def test_what_pgstac_keeps_otherwise_is_unchanged_too(client: httpx.Client, filled_lab: Workspace) -> None:
    rebuild(filled_lab.catalog)  # numbers and nulls are now as pgstac has them
    before = state(filled_lab)
    for path in OBJECTS:
        document = client.get(f"/{path}").json()
        assert client.put(f"/{path}", json=document).status_code == 200, path
        assert client.patch(f"/{path}", json={}).status_code == 200, path
    assert state(filled_lab) == before


RELS = st.sampled_from(["about", "alternate", "self", "xyz", "wmts", "derived_from", "item", "items", "license", "wms"])
HREFS = st.sampled_from(
    [
        "https://example.org/a",
        "collections/x/items/y",
        "collections/x/items/y?limit=3",
        "search",
        "http://lab.example:8080.evil/stac/collections/x",
        "https://tiles.example/{z}/{x}/{y}.png",
    ]
)
LINKS = st.lists(st.fixed_dictionaries({"rel": RELS, "href": HREFS}, optional={"title": st.text()}), max_size=5)
RENDERS = st.one_of(st.none(), st.just({"default": {"title": "Default", "assets": ["image"]}}))
ASSETS = st.dictionaries(
    st.sampled_from(["image", "a b", "ü"]),
    st.sampled_from(
        [
            {"href": f"asset://1220{'ab' * 32}/a b%20ü.tif", "roles": ["data"]},
            {"href": f"asset://d50110{'ab' * 16}/c.tif"},
            {"href": "https://example.org/files/x/y.tif?z=1"},
            {"href": "s3://bucket/key"},
        ]
    ),
)


@given(LINKS, RENDERS, ASSETS)
def test_what_serving_adds_is_taken_away_again(links: list[Any], renders: Any, assets: Any) -> None:
    stored = item_as_stored({**item(), "links": links, "assets": assets}, [BASE])
    if renders:  # serving replaces the map links that are stored
        stored["links"] = [link for link in stored["links"] if link["rel"] not in ("xyz", "wmts")]
    document = orjson.loads(served(rendered(stored, renders), BASE))
    again = item_as_stored(document, ["http://other.example", BASE])
    assert canonical(orjson.loads(served(rendered(again, renders), BASE))) == canonical(document)
    if not any(link["rel"] == "wms" for link in links):  # it may declare map links by itself, or serving may
        assert etag_of(again) == etag_of(stored)
    assert item_as_stored(again, [BASE]) == again


@given(LINKS, ASSETS)
def test_collections_come_back_too(links: list[Any], assets: Any) -> None:
    stored = collection_as_stored({**collection(), "links": links, "assets": assets}, [BASE])
    document = served_collection(stored, BASE)
    document["links"].append({"rel": "queryables", "href": f"{BASE}/stac/collections/places/queryables"})
    assert canonical(collection_as_stored(document, [BASE])) == canonical(stored)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rel", "href", "a"]), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.sampled_from(["links", "assets", "stac_extensions", "type", "id", "properties"]), JSON))
def test_any_json_is_taken(document: Any) -> None:
    copy = deepcopy(document)
    for form in (item_as_stored, collection_as_stored):
        form(document, [BASE])
    kept_links(document, [BASE])
    assert document == copy


def test_signatures_are_dropped() -> None:
    href = f"{BASE}/files/1220{'ab' * 32}/a.tif?expires=1&signature=x"
    stored = item_as_stored({**item(), "assets": {"a": {"href": href}}}, [BASE])
    assert stored["assets"]["a"]["href"] == f"asset://1220{'ab' * 32}/a.tif"
