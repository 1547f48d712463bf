"""The forms of the policy decide alike: for one object, as CQL2 in pgstac, as SQL on the read model's columns."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import psycopg
import pytest
from cql2 import Expr
from hypothesis import given, settings
from hypothesis import strategies as st

from terralab.catalog.access.collections import CollectionAccess, restricted_collections
from terralab.catalog.access.policy import (
    OPEN,
    Guarded,
    guarded,
    may_read,
    may_read_collection,
    may_write,
    read_filter,
    readable_sql,
    visible,
)
from terralab.catalog.access.principal import ANONYMOUS, Principal
from terralab.catalog.database import Catalog
from terralab.catalog.workspace import Workspace
from tests.conftest import execute

READ = frozenset({"read"})
BOTH = frozenset({"read", "write"})
NAMES = st.none() | st.sampled_from(["ana", "ben", "o'neil", 'quo"te', "ü%_", "null"])
PROJECTS = st.sampled_from(["x", "y", "it's"])
VISIBILITIES = st.sampled_from([None, "private", "project", "public", "secret"])
THINGS = st.builds(Guarded, NAMES, VISIBILITIES, st.none() | PROJECTS)
PRINCIPALS = st.builds(
    Principal,
    NAMES,
    st.frozensets(st.sampled_from(["read", "write", "admin"])),
    st.frozensets(PROJECTS),
    st.booleans(),
)
EVERY_THING = [
    Guarded(*parts)
    for parts in product((None, "ana", "ben"), (None, "private", "project", "public", "secret"), (None, "x", "it's"))
]
CALLERS = {
    "nobody": ANONYMOUS,
    "ana": Principal("ana", READ),
    "ana of x": Principal("ana", READ, frozenset({"x"})),
    "ben of both": Principal("ben", BOTH, frozenset({"x", "it's"})),
    "cleo": Principal("cleo", BOTH),
    "ana, writing only": Principal("ana", frozenset({"write"}), frozenset({"x"})),
    "admin": Principal("root", frozenset({"admin"}), reads_all=True),
    "anybody where reads are open": Principal(reads_all=True),
}


def item(number: int, thing: Guarded, collection: str = "things") -> dict[str, Any]:
    fields = {"lab:owner": thing.owner, "lab:visibility": thing.visibility, "lab:project": thing.project}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"thing-{number:03d}",
        "collection": collection,
        "geometry": {"type": "Point", "coordinates": [1.0, 2.0]},
        "bbox": [1.0, 2.0, 1.0, 2.0],
        "properties": {
            "datetime": "2020-01-01T00:00:00Z",
            **{key: value for key, value in fields.items() if value is not None},
        },
        "links": [],
        "assets": {},
    }


def collection(id: str, thing: Guarded) -> dict[str, Any]:
    fields = {"lab:owner": thing.owner, "lab:visibility": thing.visibility, "lab:project": thing.project}
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": id,
        "description": "Things",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
        **{key: value for key, value in fields.items() if value is not None},
    }


@given(principal=PRINCIPALS, thing=THINGS)
def test_filter_decides_as_may_read(principal: Principal, thing: Guarded) -> None:
    document = item(0, thing)
    wanted = read_filter(principal)
    # The package cql2 cannot compare a field that is absent; it gets a value here that nothing equals.
    absent = {"lab:owner": "\0", "lab:project": "\0"}
    filled = {**document, "properties": {**absent, **document["properties"]}}
    found = True if wanted is None else Expr(wanted).matches(filled)
    assert found == may_read(principal, guarded(document), OPEN)


@given(principal=PRINCIPALS, thing=THINGS, around=THINGS)
def test_an_item_is_never_more_open_than_its_collection(principal: Principal, thing: Guarded, around: Guarded) -> None:
    both = may_read(principal, thing, around)
    assert both == (may_read(principal, thing, OPEN) and may_read_collection(principal, around))
    assert visible(principal, [item(0, thing)], () if may_read_collection(principal, around) else {"things"}) == (
        [item(0, thing)] if may_read(principal, guarded(item(0, thing)), around) else []
    )


@given(principal=PRINCIPALS, thing=THINGS)
def test_who_may_write_also_may_read_given_both_scopes(principal: Principal, thing: Guarded) -> None:
    if may_write(principal, thing):
        assert principal.has("write")
        whole = Principal(principal.name, principal.scopes | READ, principal.projects)
        assert may_read_collection(whole, thing)


@settings(max_examples=50)
@given(thing=THINGS)
def test_nobody_else_reads_or_writes_what_is_private(thing: Guarded) -> None:
    private = Guarded(thing.owner, "private", thing.project)
    stranger = Principal("stranger", BOTH, frozenset({"x", "y", "it's"}))
    assert not may_read_collection(stranger, private)
    assert not may_write(stranger, private)


@pytest.mark.parametrize(
    ("thing", "writers"),
    [
        (Guarded(), {"ben of both", "cleo", "ana, writing only", "admin"}),
        (Guarded("ana"), {"ana, writing only", "admin"}),
        (Guarded("ana", "project", "it's"), {"ana, writing only", "ben of both", "admin"}),
        (Guarded(None, "project", "x"), {"ana, writing only", "ben of both", "admin"}),
        (Guarded(None, "private"), {"admin"}),
        (Guarded("cleo", "private"), {"cleo", "admin"}),
    ],
)
def test_who_may_write(thing: Guarded, writers: set[str]) -> None:
    assert {name for name, principal in CALLERS.items() if may_write(principal, thing)} == writers


@pytest.mark.parametrize("value", [5, ["public"], {"a": 1}, "PUBLIC", "", True])
def test_a_visibility_that_is_none_counts_as_private(value: Any) -> None:
    document = item(0, Guarded())
    document["properties"]["lab:visibility"] = value
    assert not may_read(ANONYMOUS, guarded(document), OPEN)


def test_a_visibility_of_no_known_form_is_hidden_everywhere(workspace: Workspace) -> None:
    values = [5, True, ["public"], ["public", "x"], {"a": 1}, [], {}, "PUBLIC", "", " public"]
    items = [item(number, Guarded()) for number in range(len(values))]
    for document, value in zip(items, values, strict=True):
        document["properties"]["lab:visibility"] = value
    workspace.catalog.write([collection("things", OPEN)], items)
    assert list(workspace.catalog.search(filter=read_filter(CALLERS["ben of both"]))) == []
    condition, parameters = readable_sql(CALLERS["ben of both"], "i")
    with workspace.catalog.connection() as connection:
        statement = f"SELECT id, visibility FROM lab.items i WHERE {condition}"
        assert connection.execute(statement.encode(), parameters).fetchall() == []
        stored = connection.execute("SELECT count(*) FROM lab.items").fetchone()
    assert stored == (len(values),)


@pytest.fixture(scope="module")
def catalog(postgres: str, template: str) -> Iterator[Catalog]:
    execute(postgres, f"CREATE DATABASE policy TEMPLATE {template}")
    found = Catalog(f"{postgres}/policy")
    around = [collection(f"c{number:03d}", thing) for number, thing in enumerate(EVERY_THING)]
    found.write([collection("things", OPEN), *around], [item(n, thing) for n, thing in enumerate(EVERY_THING)])
    yield found
    execute(postgres, "DROP DATABASE policy WITH (FORCE)")


@pytest.mark.parametrize("name", CALLERS)
def test_pgstac_finds_what_may_be_read(catalog: Catalog, name: str) -> None:
    wanted = read_filter(CALLERS[name])
    found = {entry["id"] for entry in catalog.search(**({"filter": wanted} if wanted else {}))}
    assert found == {
        f"thing-{number:03d}"
        for number, thing in enumerate(EVERY_THING)
        if may_read(CALLERS[name], guarded(item(number, thing)), OPEN)
    }


@pytest.mark.parametrize("name", CALLERS)
def test_hidden_collections_are_those_that_may_not_be_read(catalog: Catalog, name: str) -> None:
    def load() -> dict[str, Guarded]:
        with catalog.connection() as connection:
            return restricted_collections(connection)

    assert CollectionAccess(load).hidden_from(CALLERS[name]) == {
        f"c{number:03d}"
        for number, thing in enumerate(EVERY_THING)
        if not may_read_collection(CALLERS[name], guarded(collection("any", thing)))
    }


@pytest.mark.parametrize("name", CALLERS)
def test_sql_finds_what_may_be_read(catalog: Catalog, name: str) -> None:
    condition, values = readable_sql(CALLERS[name], "t")
    rows = [(n, thing.owner, thing.visibility, thing.project) for n, thing in enumerate(EVERY_THING)]
    with psycopg.connect(catalog.url) as connection:
        connection.execute("CREATE TEMP TABLE t (number int, owner text, visibility text, project text)")
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s, %s, %s)", rows)
        found = {row[0] for row in connection.execute(f"SELECT number FROM t WHERE {condition}", values)}
        others = {row[0] for row in connection.execute(f"SELECT number FROM t WHERE NOT {condition}", values)}
    assert found | others == set(range(len(EVERY_THING)))
    assert not found & others
    assert found == {n for n, thing in enumerate(EVERY_THING) if may_read(CALLERS[name], guarded(item(n, thing)), OPEN)}


def test_a_change_counts_at_once_where_it_is_told(catalog: Catalog) -> None:
    known = {"a": Guarded("ana", "private")}
    access = CollectionAccess(lambda: dict(known))
    assert access.hidden_from(ANONYMOUS) == {"a"}
    known["b"] = Guarded("ana", "private")
    assert access.hidden_from(ANONYMOUS) == {"a"}
    access.forget()
    assert access.hidden_from(ANONYMOUS) == {"a", "b"}


def test_what_is_read_during_a_change_is_not_kept() -> None:
    known: dict[str, Guarded] = {}

    def load() -> dict[str, Guarded]:
        before = dict(known)
        known["b"] = Guarded("ana", "private")
        access.forget()
        return before

    access = CollectionAccess(load)
    access.hidden_from(ANONYMOUS)
    assert access.hidden_from(ANONYMOUS) == {"b"}
