"""The catalog as one caller sees it, against `may_read` on everything that is there."""

from collections.abc import Iterator

import pytest

from terralab.catalog.access.policy import OPEN, Guarded, guarded, may_read, may_read_collection
from terralab.catalog.access.views import Views
from terralab.catalog.database import Catalog
from tests.catalog.test_policy import CALLERS, EVERY_THING, collection, item
from tests.conftest import execute

AROUND = {"open": OPEN, "ana": Guarded("ana", "private"), "of-x": Guarded("ben", "project", "x")}


@pytest.fixture(scope="module")
def catalog(postgres: str, template: str) -> Iterator[Catalog]:
    execute(postgres, f"CREATE DATABASE reading TEMPLATE {template}")
    found = Catalog(f"{postgres}/reading")
    items = [item(n, thing, name) for name in AROUND for n, thing in enumerate(EVERY_THING)]
    found.write([collection(name, thing) for name, thing in AROUND.items()], items)
    yield found
    execute(postgres, "DROP DATABASE reading WITH (FORCE)")


def readable(name: str) -> set[str]:
    return {
        f"{around}/thing-{n:03d}"
        for around, outer in AROUND.items()
        for n, thing in enumerate(EVERY_THING)
        if may_read(CALLERS[name], guarded(item(n, thing)), outer)
    }


def name_of(document: dict) -> str:
    return f"{document['collection']}/{document['id']}"


@pytest.mark.parametrize("name", CALLERS)
def test_search_and_counts(catalog: Catalog, name: str) -> None:
    view = Views(catalog, None).of(CALLERS[name])
    assert {name_of(found) for found in view.search()} == readable(name)
    assert sum(view.counts().values()) == len(readable(name))
    wanted = {"op": "=", "args": [{"property": "id"}, "thing-000"]}
    assert {name_of(found) for found in view.search(filter=wanted)} == {
        found for found in readable(name) if found.endswith("thing-000")
    }


@pytest.mark.parametrize("name", CALLERS)
def test_items_and_collections(catalog: Catalog, name: str) -> None:
    view = Views(catalog, None).of(CALLERS[name])
    every = [f"{around}/thing-{n:03d}" for around in AROUND for n in range(len(EVERY_THING))]
    assert {name_of(found) for found in view.items([*every, "open/none", "none/none", "none"])} == readable(name)
    assert {found["id"] for found in view.collections()} == {
        around for around, thing in AROUND.items() if may_read_collection(CALLERS[name], thing)
    }


def test_what_another_program_wrote_is_counted(catalog: Catalog) -> None:
    with catalog.connection() as connection:
        connection.execute("UPDATE items SET content = content WHERE id = 'thing-000'")
    for name in CALLERS:
        assert sum(Views(catalog, None).of(CALLERS[name]).counts().values()) == len(readable(name))
