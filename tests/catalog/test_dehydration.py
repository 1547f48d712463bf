from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terralab.catalog.dehydration import dehydrated, rehydrated
from terralab.catalog.read_model import canonical

MERGE = "SELECT pgstac.merge_jsonb(%s::jsonb, %s::jsonb)"
SCALARS = st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5, "", "a"])
NAMES = st.sampled_from(["a", "b", "c"])


def of_values(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, values, min_size=1, max_size=3)


# pgstac itself loses empty lists in lists, whatever is stored.
FLAT = of_values(SCALARS | st.lists(SCALARS, max_size=3))
OBJECTS = st.recursive(
    FLAT,
    lambda inner: st.dictionaries(
        NAMES, SCALARS | inner | st.lists(SCALARS | inner, max_size=3), min_size=1, max_size=3
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def connection(postgres: str, template: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(f"{postgres}/{template}", options="-c search_path=pgstac,public") as connection:
        yield connection


def merged(connection: psycopg.Connection[Any], left: Any, base: Any) -> Any:
    row = connection.execute(MERGE, (orjson.dumps(left).decode(), orjson.dumps(base).decode())).fetchone()
    assert row is not None
    return row[0]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(OBJECTS, OBJECTS)
def test_pgstac_gives_every_item_back(connection: psycopg.Connection[Any], base: Any, item: Any) -> None:
    found = merged(connection, dehydrated(base, item), base)
    assert canonical(found) == canonical(item)
    assert canonical(rehydrated(base, dehydrated(base, item))) == canonical(item)


@pytest.mark.parametrize(
    ("base", "item"),
    [
        ({"a": {"roles": ["data"]}}, {"a": {"roles": []}}),
        ({"a": 5}, {"a": {"b": 1}}),
        ({"a": [{"b": 1}]}, {"a": [5]}),
        ({"a": [5]}, {"a": [{"b": 1}]}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": True}),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}),
    ],
)
def test_cases_that_the_loader_of_pgstac_gets_wrong(connection: psycopg.Connection[Any], base: Any, item: Any) -> None:
    assert orjson.dumps(merged(connection, dehydrated(base, item), base)) == orjson.dumps(item)
    assert orjson.dumps(rehydrated(base, dehydrated(base, item))) == orjson.dumps(item)


def test_what_the_collection_says_is_left_out() -> None:
    base = {"type": "Feature", "assets": {"image": {"type": "image/tiff", "roles": ["data"]}}}
    item = {"type": "Feature", "id": "x", "assets": {"image": {"type": "image/tiff", "roles": ["data"], "href": "h"}}}
    assert dehydrated(base, item) == {"id": "x", "assets": {"image": {"href": "h"}}}


def test_a_null_is_as_if_it_were_not_there(connection: psycopg.Connection[Any]) -> None:
    assert merged(connection, dehydrated({"a": 1, "b": 2}, {"a": None, "b": 3}), {"a": 1, "b": 2}) == {"b": 3}
