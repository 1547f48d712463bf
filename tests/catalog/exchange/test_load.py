import json
from pathlib import Path

import orjson
import pystac_client
import pytest

from terralab.catalog.app import create_app
from terralab.catalog.errors import InvalidItem, UnknownName
from terralab.catalog.exchange.load import LoadOptions, load
from terralab.catalog.geoparquet.reader import read_geoparquet
from terralab.catalog.geoparquet.writer import write_geoparquet
from terralab.catalog.refresh import differences
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import serve
from tests.catalog.test_writing import collection
from tests.catalog.test_writing import item as item_with_file
from tests.conftest import ROOT

SENTINEL_2 = ROOT.parent / "shared" / "data" / "stac" / "1000-sentinel-2-items.parquet"
MANY = LoadOptions(create_collections=True, workers=2)


def item(number: int, **arguments: float) -> dict:
    return {**item_with_file(number, **arguments), "assets": {}}


def ndjson(path: Path, documents: list[dict]) -> str:
    path.write_bytes(b"\n".join(orjson.dumps(document) for document in documents))
    return str(path)


def test_items_of_a_file_are_loaded_once(workspace: Workspace, tmp_path: Path) -> None:
    items = [item(number, x=1.5 + number % 50) for number in range(700)]
    place = ndjson(tmp_path / "items.ndjson", items)
    with pytest.raises(UnknownName, match="create-collections"):
        load(workspace, place)
    assert load(workspace, place, MANY).counts["created"] == 700
    assert load(workspace, place, MANY).counts["unchanged"] == 700
    items[3]["properties"]["title"] = "changed"
    report = load(workspace, ndjson(tmp_path / "items.ndjson", items), MANY)
    assert (report.counts["updated"], report.counts["unchanged"]) == (1, 699)
    assert list(differences(workspace.catalog)) == []
    assert workspace.catalog.item("places", "item-3")["properties"] == items[3]["properties"]


def test_a_bad_item_is_told_with_its_line(workspace: Workspace, tmp_path: Path) -> None:
    workspace.catalog.write([collection()], [])
    items = [item(number) for number in range(5)]
    items[2]["bbox"] = [50, 50, 51, 51]
    place = ndjson(tmp_path / "items.ndjson", items)
    with pytest.raises(InvalidItem, match="bbox"):
        load(workspace, place)
    report = load(workspace, place, LoadOptions(skip_invalid=True))
    assert report.counts["invalid"] == 1
    assert {one["id"] for one in workspace.catalog.search()} == {f"item-{number}" for number in (0, 1, 3, 4)}


@pytest.mark.skipif(not SENTINEL_2.is_file(), reason="needs ../shared/data")
def test_real_items_are_loaded_searched_written_and_loaded_again(workspace: Workspace, tmp_path: Path) -> None:
    report = load(workspace, str(SENTINEL_2), MANY)
    assert report.counts["created"] == 1000
    items = {one["id"]: one for one in workspace.catalog.search()}
    for server in serve(create_app(workspace.settings)):
        found = pystac_client.Client.open(f"{server.url}/stac").search(max_items=1000, limit=200)
        assert {one.id for one in found.items()} == items.keys()
    again = tmp_path / "again.parquet"
    write_geoparquet(again, lambda: iter(items.values()), {})
    assert {one["id"]: normal(one) for one in read_geoparquet(again)} == {id: normal(one) for id, one in items.items()}


def normal(document: dict) -> dict:
    return dict(json.loads(json.dumps(document, sort_keys=True)))
