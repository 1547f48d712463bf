"""The features flow: catalogued imagery with its formula, the same again, from sources that are whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import AlreadyExists, AssetCorrupt, InvalidInput, UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.workspace import Workspace
from terralab.datasets.simulate import write_scenes
from terralab.flows.features import FeaturesRequest, make_features
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress


@pytest.fixture
def scenes(workspace: Workspace, tmp_path: Path) -> list[str]:
    """Return the items of two scenes of 96 pixels."""
    pairs = write_scenes(tmp_path / "in", seed=5, count=2, size=96)
    request = OnboardRequest(
        name="sim",
        images=stage(workspace.settings, [image for image, _ in pairs]),
        labels=stage(workspace.settings, [label for _, label in pairs]),
        chip_size=32,
    )
    onboard_dataset(workspace, request, LogProgress())
    found = workspace.catalog.search(collections=["sim-scenes"])
    return sorted(f"sim-scenes/{item['id']}" for item in found)


def request(recipe: str, items: list[str], collection: str | None = None, **parameters: object) -> FeaturesRequest:
    return FeaturesRequest(recipe=recipe, items=items, parameters=parameters, collection=collection)


def test_indices_are_catalogued_with_formula_and_sources(workspace: Workspace, scenes: list[str]) -> None:
    outcome = make_features(workspace, request("indices", scenes, indices=["NDVI", "MNDWI"]), LogProgress())
    assert [collection for collection, _ in outcome.produced] == ["sim-scenes-indices"] * 2
    for made, source in zip(outcome.produced, scenes, strict=True):
        item = workspace.catalog.item(*made)
        properties = item["properties"]
        assert properties["lab:kind"] == "imagery"
        assert properties["lab:params"]["formula"]["indices"] == {"NDVI": "(N-R)/(N+R)", "MNDWI": "(G-S1)/(G+S1)"}
        assert properties["lab:params"]["parameters"]["indices"] == ["NDVI", "MNDWI"]
        assert properties["processing:level"] == "L3"
        assert {"spyndex", "terralab", "gdal"} <= set(properties["processing:software"])
        links = {link["rel"]: link["href"] for link in item["links"]}
        collection, id = source.split("/")
        assert links["derived_from"] == f"collections/{collection}/items/{id}"
        assert links["processing-execution"] == f"collections/runs/items/{outcome.run}"
        original = workspace.catalog.item(collection, id)
        names = [band["name"] for band in original["assets"]["image"]["bands"]]
        with rasterio.open(workspace.store.open_path(original["assets"]["image"]["href"])) as dataset:
            red, nir = (dataset.read(names.index(name) + 1).astype(float) for name in ("B04", "B08"))
            valid = dataset.dataset_mask() > 0
        with rasterio.open(workspace.store.open_path(item["assets"]["image"]["href"])) as dataset:
            ndvi = dataset.read(1)
        assert np.allclose(ndvi[valid], ((nir - red) / (nir + red))[valid], atol=1e-5)
        assert [band["name"] for band in item["assets"]["image"]["bands"]] == ["NDVI", "MNDWI"]
    run = workspace.catalog.item("runs", outcome.run)
    assert run["properties"]["lab:run_type"] == "features"


def test_the_same_again_is_the_same(workspace: Workspace, scenes: list[str]) -> None:
    wanted = request("texture", scenes[:1], band="B08", window=5)
    first = make_features(workspace, wanted, LogProgress())
    item = workspace.catalog.item(*first.produced[0])
    again = make_features(workspace, wanted, LogProgress())
    assert again.reused
    assert again.produced == first.produced
    with workspace.catalog.connection() as connection:
        connection.execute("SELECT delete_item(%s, %s)", (item["id"], item["collection"]))
    anew = make_features(workspace, wanted, LogProgress())
    assert not anew.reused
    assert workspace.catalog.item(*anew.produced[0])["assets"] == item["assets"]
    other = make_features(workspace, request("texture", scenes[:1], band="B08", window=7), LogProgress())
    assert other.produced != first.produced


def test_zones_come_from_a_label_item(workspace: Workspace, scenes: list[str]) -> None:
    scene = scenes[0].split("/")[1]
    (label,) = [
        item
        for item in workspace.catalog.search(collections=["sim-labels"])
        if any(link["href"].endswith(f"/{scene}") for link in item["links"])
    ]
    outcome = make_features(workspace, request("zonal", [scenes[0], f"sim-labels/{label['id']}"]), LogProgress())
    item = workspace.catalog.item(*outcome.produced[0])
    table = json.loads(workspace.store.verify(item["assets"]["table"]["href"]).read_bytes())
    counts = label["properties"]["lab:class_counts"]
    (asset,) = [entry for entry in label["assets"].values() if "labels-raster" in entry["roles"]]
    names = {entry["value"]: entry["name"] for entry in asset["classification:classes"]}
    for row in table["zones"]:
        assert 0 < row["B08"]["count"] <= counts[names[row["zone"]]]
    assert len([link for link in item["links"] if link["rel"] == "derived_from"]) == 2


def test_what_cannot_be_worked_on_is_named(workspace: Workspace, scenes: list[str]) -> None:
    with pytest.raises(UnknownName, match="no recipe"):
        make_features(workspace, request("indexes", scenes), LogProgress())
    with pytest.raises(InvalidInput, match="collection/item"):
        make_features(workspace, request("indices", ["sim"]), LogProgress())
    chip = next(iter(workspace.catalog.search(collections=["sim-v1"])))
    with pytest.raises(InvalidInput, match="neither imagery"):
        make_features(workspace, request("indices", [f"sim-v1/{chip['id']}"]), LogProgress())
    with pytest.raises(AlreadyExists, match="sim-labels"):
        make_features(workspace, request("indices", scenes, "sim-labels"), LogProgress())
    item = workspace.catalog.item(*scenes[1].split("/"))
    path = workspace.store.open_path(item["assets"]["image"]["href"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(AssetCorrupt):
        make_features(workspace, request("indices", scenes), LogProgress())
    assert workspace.catalog.find_collection("sim-scenes-indices") is None
