"""Whatever JSON is in items, a fresh lab gives it the same entity tag and serves the same."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from terralab.catalog.exchange.export import ExportOptions, export
from terralab.catalog.exchange.importing import import_export
from terralab.catalog.exchange.load import LoadOptions
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import delete_items
from tests.catalog.exchange.odd_lab import contents, new_lab
from tests.catalog.geoparquet.test_round_trip import NAMES, POSITIONS, TEXTS, VALUES
from tests.catalog.test_writing import collection, item

UNCHECKED = LoadOptions(validate=False)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "properties": st.dictionaries(TEXTS, VALUES, max_size=5),
            "geometry": st.one_of(
                st.builds(lambda position: {"type": "Point", "coordinates": position}, POSITIONS),
                st.just({"type": "Polygon", "coordinates": [[[0, 0], [1.0, 0], [1, 1.5], [0, 0.0]]], "note": "more"}),
            ),
            "assets": st.dictionaries(NAMES, st.fixed_dictionaries({"href": TEXTS, "more": VALUES}), max_size=2),
        },
        optional={"foreign": VALUES},
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def labs(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Workspace]]:
    """Yield two labs; the first has a collection whose items share a part, which pgstac stores once."""
    home = tmp_path_factory.mktemp("labs")
    shared = {"item_assets": {"a": {"more": 1, "title": "A"}, "b": {"more": [1, {"x": 2.0}]}}}
    first, second = (new_lab(postgres, template, name, home / name) for name in ("one", "two"))
    with first as one, second as two:
        one.catalog.write([collection(**shared)], [])
        yield [one, two]


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(items=ITEMS, format=st.sampled_from(["geoparquet", "ndjson"]))
def test_items_get_the_same_entity_tags(labs: list[Workspace], items: list[dict[str, Any]], format: Any) -> None:
    one, two = labs
    for lab in labs:
        with lab.catalog.connection() as connection:
            keys = connection.execute("SELECT collection, id FROM items").fetchall()
            if keys:
                delete_items(connection, keys)
    written = []
    for number, fields in enumerate(items):
        whole = item(number)
        whole.update({**fields, "properties": {**fields["properties"], **whole["properties"]}})
        written.append(whole)
    one.catalog.write([], written)
    with tempfile.TemporaryDirectory() as folder:
        export(one, Path(folder) / "export", ExportOptions(format=format))
        import_export(two, Path(folder) / "export", UNCHECKED)
    assert contents(two) == contents(one)
