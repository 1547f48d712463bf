from datetime import UTC, datetime

import pytest

from terralab.catalog.errors import AssetCorrupt, InvalidItem, UnknownName
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import StoredFile
from terralab.extensions.raster import BandRecord, Grid

GRID = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (64, 64))
BANDS = [BandRecord("B02", "uint16", 0)]
WHEN = datetime(2020, 5, 1, 10, tzinfo=UTC)


def scene(stored: StoredFile, id: str = "scene-1") -> dict:
    return scene_item(
        id=id, collection_id="imagery", footprint=GRID.footprint(WHEN), grid=GRID, image=stored, bands=BANDS
    )


def imagery() -> dict:
    return imagery_collection(
        id="imagery", title="Imagery", description="Test", footprint=GRID.footprint(WHEN), bands=BANDS
    )


def test_publish_makes_items_findable_and_repeating_changes_nothing(workspace: Workspace) -> None:
    item = scene(workspace.store.put_bytes(b"bytes", "a.tif"))
    assert publish(workspace, [imagery()], [item]) == 1
    assert publish(workspace, [imagery()], [item]) == 0
    assert workspace.catalog.item("imagery", "scene-1")["assets"] == item["assets"]
    assert [found["id"] for found in workspace.catalog.search(bbox=item["bbox"])] == ["scene-1"]
    assert workspace.catalog.counts() == {"imagery": 1}


def test_many_items_come_back_page_by_page(workspace: Workspace) -> None:
    stored = workspace.store.put_bytes(b"bytes", "a.tif")
    items = [scene(stored, f"scene-{number:04d}") for number in range(1203)]
    publish(workspace, [imagery()], items)
    assert {found["id"] for found in workspace.catalog.search(collections=["imagery"])} == {i["id"] for i in items}
    assert len(list(workspace.catalog.search(limit=7))) == 7


def test_item_without_bytes_is_refused_and_nothing_is_visible(workspace: Workspace) -> None:
    absent = StoredFile("asset://1220" + "0" * 64 + "/a.tif", 5, "1220" + "0" * 64)
    with pytest.raises(AssetCorrupt, match="missing"):
        publish(workspace, [imagery()], [scene(absent)])
    assert workspace.catalog.find_collection("imagery") is None


def test_invalid_item_is_refused_with_the_field(workspace: Workspace) -> None:
    item = scene(workspace.store.put_bytes(b"bytes", "a.tif"))
    item["properties"]["lab:kind"] = "picture"
    with pytest.raises(InvalidItem, match="lab:kind"):
        publish(workspace, [imagery()], [item])


def test_unknown_item_names_the_closest(workspace: Workspace) -> None:
    publish(workspace, [imagery()], [scene(workspace.store.put_bytes(b"bytes", "a.tif"))])
    with pytest.raises(UnknownName, match="did you mean scene-1"):
        workspace.catalog.item("imagery", "scene-2")
