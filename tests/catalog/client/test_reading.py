import subprocess
import sys

import pandas
import pystac
import pytest

from terralab.catalog import Lab
from terralab.catalog.errors import InvalidInput, UnknownName


def test_the_module_of_the_catalog_stays_light() -> None:
    check = "import terralab.catalog, sys; sys.exit('pystac_client' in sys.modules or 'pystac' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
    with pytest.raises(AttributeError):
        __import__("terralab.catalog").catalog.Labb  # noqa: B018


def test_search_gives_pystac_items_and_how_many(reader: Lab) -> None:
    found = reader.search(["flood-v1"], limit=3)
    assert found.matched() == 4
    items = list(found)
    assert [type(item) for item in items] == [pystac.Item] * 4
    assert {item.id for item in items} == {f"chip-{number:04d}" for number in range(4)}
    assert items[0].get_collection().id == "flood-v1"
    assert len(list(reader.search(["flood-v1"], max_items=2))) == 2
    assert reader.search(["flood-v1"], ids=["none"]).first() is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"filter": "lab:kind = 'model'"}, {"flood-net-abc"}),
        ({"filter": {"op": "=", "args": [{"property": "ml-aoi:split"}, "test"]}}, {"chip-0003"}),
        ({"q": ["nothingofthekind"]}, set()),
        ({"collections": ["flood-scenes"], "bbox": (-3.1, 37.8, -2.8, 38.1)}, {"spain-s2"}),
        ({"collections": ["flood-scenes"], "bbox": (10, 10, 11, 11)}, set()),
        ({"collections": ["flood-scenes"], "datetime": "2021-01-01/.."}, set()),
    ],
)
def test_search_takes_all_kinds_of_conditions(reader: Lab, arguments: dict, expected: set) -> None:
    assert {item.id for item in reader.search(**arguments)} == expected


def test_search_sorts_and_picks_fields(reader: Lab) -> None:
    ids = [item.id for item in reader.search(["flood-v1"], sortby="-id")]
    assert ids == sorted(ids, reverse=True)
    document = next(reader.search(["models"], fields=["id", "collection", "geometry", "bbox"]).documents())
    assert "lab:metrics" not in document.get("properties", {})


def test_errors_carry_the_code_of_the_server(reader: Lab) -> None:
    with pytest.raises(InvalidInput, match="CQL2") as error:
        list(reader.search(filter={"op": "nonsense", "args": 3}))
    assert error.value.code == "invalid_input"
    assert error.value.members["request_id"]
    with pytest.raises(UnknownName) as unknown:
        reader.item("models/none")
    assert unknown.value.code == "unknown_name"
    with pytest.raises(UnknownName):
        reader.collection("none")
    with pytest.raises(InvalidInput, match="collection/item"):
        reader.item("models")


def test_results_as_a_table(reader: Lab) -> None:
    table = reader.search(["flood-v1"], sortby="+id").to_geodataframe()
    assert list(table["id"]) == [f"chip-{number:04d}" for number in range(4)]
    assert table.crs.to_epsg() == 4326
    assert isinstance(table["datetime"].iloc[0], pandas.Timestamp)
    assert str(table["datetime"].dt.tz) == "UTC"
    assert table.total_bounds == pytest.approx([-3.0, 37.938, -2.993, 37.944], abs=0.01)
    assert table["assets"].iloc[0]["image"]["type"].startswith("image/tiff")
    empty = reader.search(["flood-v1"], ids=["none"]).to_geodataframe()
    assert (len(empty), empty.crs.to_epsg()) == (0, 4326)


def test_items_and_collections(reader: Lab) -> None:
    item = reader.item("models/flood-net-abc")
    assert item.properties["mlm:name"] == "flood-net"
    assert all(asset.href.startswith(f"{reader.url}/files/") for asset in item.assets.values())
    assert reader.collection("models").title == "Models"
    assert "flood-v1" in {collection.id for collection in reader.collections()}


def test_lineage_is_a_graph_that_prints_itself(reader: Lab) -> None:
    graph = reader.lineage("flood-net-predictions/flood-net-spain")
    assert graph.root == "flood-net-predictions/flood-net-spain"
    assert [node.id for node in graph.of_kind("model")] == ["models/flood-net-abc"]
    assert graph.of_kind("imagery")[0].source == {"file": "Spain_S2.tif", "sha256": "ab" * 32}
    assert "models/flood-net-abc" in graph.neighbours(graph.root)
    assert graph.missing == []
    text = str(graph)
    assert text.splitlines()[0].startswith("tile /tiles/")
    assert "model models/flood-net-abc" in text
    assert "\x1b" not in text
    down = reader.lineage(reader.item("flood-scenes/spain-s2"), "down", depth=1)
    assert "flood-net-predictions/flood-net-spain" in down.nodes
    assert not down.complete


def test_models_for_data_and_data_for_models(reader: Lab) -> None:
    scene = reader.item("flood-scenes/spain-s2")
    for found in (reader.models_for(scene), reader.models_for("flood-scenes/spain-s2", task="semantic-segmentation")):
        assert [one.name for one in found] == ["models/flood-net-abc"]
        assert (found[0].title, len(found), found.complete) == ("flood-net 1.0.0", 1, True)
        assert 0 < found[0].score <= 1
        assert "has all 4 bands" in found[0].reasons
        assert found[0].details["bands"][0]["needed"] == "B02"
    lacking = reader.models_for(bands=["B02", "B03"], sensor="sentinel-2", gsd=10, bbox=(0, 0, 1, 1))
    assert (len(lacking), lacking.unfit) == (0, {"models/flood-net-abc": ("lacks B04, B08",)})
    items = reader.items_for("models/flood-net-abc", collections=["flood-scenes"], datetime="2020-01-01T00:00:00Z/..")
    assert [one.name for one in items] == ["flood-scenes/spain-s2"]
    with pytest.raises(InvalidInput):
        reader.models_for()


def test_aggregations(reader: Lab) -> None:
    found = reader.aggregate("total_count", "split_frequency", collections=["flood-v1"])
    assert found == {"total_count": 4, "split_frequency": {"train": 2, "test": 1, "validate": 1}}
    with pytest.raises(InvalidInput, match="aggregation"):
        reader.aggregate("nonsense")


def test_items_are_validated_here(reader: Lab) -> None:
    item = reader.item("models/flood-net-abc")
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    document["properties"]["datetime"] = "yesterday"
    assert any("datetime" in str(problem) for problem in reader.validate(document))
