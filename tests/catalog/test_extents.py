"""The extent of a collection tells nobody where and when items are that not everybody sees."""

from typing import Any

import pytest

from terralab.catalog.access.policy import OPEN, Guarded
from terralab.catalog.extents import recompute_extent
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import delete_items
from tests.catalog.test_policy import collection, item

PUBLIC = Guarded("ben", "public")
WORLD = {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [["2020-01-01T00:00:00Z"] * 2]}}


def at(x: float, year: int, number: int, thing: Guarded, around: str) -> dict[str, Any]:
    place = {"geometry": {"type": "Point", "coordinates": [x, 1.0]}, "bbox": [x, 1.0, x, 1.0]}
    found = {**item(number, thing, around), **place}
    found["properties"]["datetime"] = f"{year}-01-01T00:00:00Z"
    return found


@pytest.mark.parametrize(
    ("around", "thing", "covered"),
    [
        (OPEN, Guarded(), True),
        (OPEN, PUBLIC, True),
        (OPEN, Guarded("ana", "private"), False),
        (OPEN, Guarded("ana", "project", "x"), False),
        (Guarded("ana", "private"), Guarded(), True),
        (Guarded("ana", "private"), Guarded("ana", "private"), True),
        (Guarded("ana", "private"), Guarded("ben", "private"), False),
        (Guarded("ana", "project", "x"), Guarded("ana", "project", "x"), True),
        (Guarded("ana", "project", "x"), Guarded("ana", "project", "y"), False),
        (Guarded("ana", "project", "x"), Guarded("ana", "private"), False),
    ],
)
def test_only_what_everybody_sees_is_covered(
    workspace: Workspace, around: Guarded, thing: Guarded, covered: bool
) -> None:
    catalog = workspace.catalog
    catalog.write([{**collection("c", around), "extent": WORLD}], [at(1, 2020, 0, around, "c")])
    catalog.write([], [at(9, 1999, 1, thing, "c")])
    wide = {
        "spatial": {"bbox": [[0.0, 0.0, 9.0, 1.0]]},
        "temporal": {"interval": [["1999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]]},
    }
    assert catalog.collection("c")["extent"] == (wide if covered else WORLD)
    with catalog.connection() as connection:
        recompute_extent(connection, "c")
        found = catalog_extent(connection)
        assert found["spatial"]["bbox"][0][2] == (9.0 if covered else 1.0)
        delete_items(connection, [("c", "thing-001")])
        assert catalog_extent(connection)["spatial"]["bbox"][0][2] == 1.0


def catalog_extent(connection: Any) -> dict[str, Any]:
    extent: dict[str, Any] = connection.execute("SELECT content->'extent' FROM collections").fetchone()[0]
    return extent
