"""Onboarding sources in any form: chips of several modalities, of every task, with the split of the source."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import AlreadyExists, InvalidInput, InvalidLabels
from terralab.catalog.inbox import resolve_place, stage_tree
from terralab.catalog.workspace import Workspace
from terralab.datasets.onboarding.file_list import list_files
from terralab.datasets.onboarding.limits import Limits
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.chips import ChipRecord, Task
from terralab.flows.onboard import onboard_dataset
from terralab.flows.onboarding.request import OnboardRequest
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome
from tests.datasets.onboarding.sets import UTM, image, mask, write

MESH = ("S2L2A", "S2L1C", "S1RTC", "DEM", "NDVI")
DAY = "2024-06-01"


def onboard(workspace: Workspace, source: Path, name: str = "set", **more: Any) -> Outcome:
    """Stage a folder or file and onboard it."""
    files = list_files(source, Limits()) if source.is_dir() else []
    place = stage_tree(workspace.settings, source, files)
    return onboard_dataset(workspace, OnboardRequest(name=name, source=place, **more), LogProgress())


def chips_of(workspace: Workspace, name: str = "set") -> list[dict[str, Any]]:
    return sorted(workspace.catalog.search(collections=[f"{name}-v1"]), key=lambda chip: str(chip["id"]))


def pixels_of(workspace: Workspace, chip: dict[str, Any], key: str) -> np.ndarray:
    with rasterio.open(workspace.store.open_path(chip["assets"][key]["href"])) as dataset:
        return dataset.read()


def test_terramesh_becomes_one_dataset_of_five_modalities(workspace: Workspace, data_folder: Path) -> None:
    outcome = onboard(workspace, data_folder / "terramesh", chip_size=112)
    assert (outcome.details["scenes"], outcome.details["chips"], outcome.details["left_out"]) == (4, 16, 0)
    assert list(outcome.details["modalities"]) == list(MESH)
    chips = chips_of(workspace)
    mesh = data_folder / "terramesh"
    sources = {
        path.stem.lower(): {part: rasterio.open(mesh / part / path.name).read() for part in (*MESH, "LULC")}
        for path in (mesh / "DEM").glob("*.tif")
    }
    for chip in chips:
        record = ChipRecord.of_item(chip)
        assert {feature.key for feature in record.features} == {name.lower() for name in MESH}
        row, column = record.window or (-1, -1)
        whole = sources[chip["id"].rsplit("-r", 1)[0]]
        window = (slice(row, row + 112), slice(column, column + 112))
        for name in MESH:
            np.testing.assert_array_equal(pixels_of(workspace, chip, name.lower()), whole[name][:, *window])
            assert chip["assets"][name.lower()]["lab:modality"] == name
            with rasterio.open(workspace.store.open_path(chip["assets"][name.lower()]["href"])) as dataset:
                assert tuple(dataset.transform)[:6] == record.grid.transform
        np.testing.assert_array_equal(pixels_of(workspace, chip, "mask"), whole["LULC"][:, *window])
        for asset in chip["assets"].values():
            assert asset["file:checksum"] == multihash_of_file(workspace.store.verify(asset["href"]), "md5")
    collection = workspace.catalog.collection("set-v1")
    for name in MESH:
        for place, band in enumerate(collection["item_assets"][name.lower()]["bands"]):
            values = np.concatenate([whole[name][place].ravel() for whole in sources.values()]).astype(float)
            values = values[np.isfinite(values) & (values != float(band.get("nodata", "nan")))]
            assert band["statistics"]["mean"] == pytest.approx(values.mean(), rel=1e-9)
            assert band["statistics"]["stddev"] == pytest.approx(values.std(), rel=1e-9)
    roles = [link["href"].split("/")[1] for link in chips[0]["links"] if link.get("ml-aoi:role") == "feature"]
    assert roles == [f"set-scenes-{name.lower()}" for name in MESH]


def test_repeating_is_reused_and_another_source_refused(workspace: Workspace, tmp_path: Path) -> None:
    folder = masked(tmp_path / "in")
    first = onboard(workspace, folder, datetime=DAY, chip_size=32)
    again = onboard(workspace, folder, datetime=DAY, chip_size=32)
    assert again.reused
    assert again.details == first.details
    mask(folder / "masks" / "s0.tif", values=(1, 0))
    with pytest.raises(AlreadyExists):
        onboard(workspace, folder, datetime=DAY, chip_size=32)


def masked(folder: Path, splits: tuple[str, ...] = ("", "", ""), size: int = 64) -> Path:
    for number, split in enumerate(splits):
        place = {"transform": UTM @ rasterio.Affine.translation(1000 * number, 0)}
        image(folder / split / "images" / f"s{number}.tif", size, **place)
        mask(folder / split / "masks" / f"s{number}.tif", size, **place)
    return folder


def test_the_split_of_the_source_is_taken_as_given_with_its_report(workspace: Workspace, tmp_path: Path) -> None:
    outcome = onboard(workspace, masked(tmp_path / "in", ("train", "val", "test")), datetime=DAY, chip_size=32)
    assert outcome.details["split"] == {"train": 4, "validate": 4, "test": 4}
    splits = {chip["id"][:2]: chip["properties"]["ml-aoi:split"] for chip in chips_of(workspace)}
    assert splits == {"s0": "train", "s1": "validate", "s2": "test"}
    report = workspace.catalog.collection("set-v1")["lab:split_report"]
    assert report["method"] == "given"
    assert report["minimum_distance_m"]["train_test"] > 1000


def test_a_split_without_test_is_taken_too(workspace: Workspace, tmp_path: Path) -> None:
    outcome = onboard(workspace, masked(tmp_path / "in", ("train", "val")), datetime=DAY, chip_size=32)
    assert outcome.details["split"] == {"train": 4, "validate": 4, "test": 0}


def test_a_chip_size_that_does_not_divide_is_padded_and_masked(workspace: Workspace, tmp_path: Path) -> None:
    onboard(workspace, masked(tmp_path / "in", ("",), size=70), datetime=DAY, chip_size=48)
    chips = chips_of(workspace)
    assert len(chips) == 4
    corner = chips[-1]
    assert corner["properties"]["lab:valid_share"] == pytest.approx(22 * 22 / 48**2, abs=1e-6)
    beyond = pixels_of(workspace, corner, "mask")[0]
    assert (beyond[22:] == 255).all()
    assert (beyond[:, 22:] == 255).all()
    padded = pixels_of(workspace, corner, "image")
    assert (padded[:, 22:] == 0).all()
    assert (padded[:, :22, :22] != 0).all()


def test_regression_keeps_numbers_and_nodata(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image(folder / "images" / "s.tif")
    numbers = np.linspace(-1, 1, 64 * 64, dtype="float32").reshape(1, 64, 64)
    numbers[0, :5] = -9999
    write(folder / "targets" / "s.tif", numbers, nodata=-9999)
    onboard(workspace, folder, datetime=DAY, chip_size=64, task="regression")
    (chip,) = chips_of(workspace)
    record = ChipRecord.of_item(chip)
    assert record.target.task is Task.REGRESSION
    found = pixels_of(workspace, chip, "target")
    np.testing.assert_array_equal(found[0, 5:], numbers[0, 5:])
    assert np.isnan(found[0, :5]).all()
    assert record.target.band is not None
    assert record.target.band.statistics is not None
    assert record.target.band.statistics.mean == pytest.approx(numbers[0, 5:].astype(float).mean())
    label = workspace.catalog.item("set-labels", "s")
    assert label["properties"]["label:tasks"] == ["regression"]


def test_classes_of_folders(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number, place in enumerate(("train/sea/a", "train/land/b", "test/sea/c")):
        image(folder / f"{place}.tif", transform=UTM @ rasterio.Affine.translation(1000 * number, 0))
    onboard(workspace, folder, datetime=DAY, chip_size=64)
    records = {record.id[:10]: record for record in map(ChipRecord.of_item, chips_of(workspace))}
    assert records["train_sea_"].target.labels == ["sea"]
    assert records["train_sea_"].class_counts == {"land": 0, "sea": 1}
    assert records["train_sea_"].split == "train"
    collection = workspace.catalog.collection("set-v1")
    assert (collection["lab:task"], collection["lab:class_counts"]) == ("classification", {"land": 1, "sea": 2})
    assert set(workspace.catalog.item("set-labels", "train_sea_a")["assets"]) == {"vector_labels"}


def test_boxes_are_cut_at_the_edges_of_chips(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image(folder / "a.tif")
    objects = {"bbox": [[4, 4, 10, 10], [28, 4, 8, 8]], "categories": ["ship", "boat"]}
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.tif", "objects": objects}))
    onboard(workspace, folder, datetime=DAY, chip_size=32)
    chips = {chip["id"]: chip for chip in chips_of(workspace)}
    counts = {id: chip["properties"]["lab:class_counts"] for id, chip in chips.items()}
    assert counts["a-r00000-c00000"] == {"boat": 1, "ship": 1}
    assert counts["a-r00000-c00032"] == {"boat": 1, "ship": 0}
    path = workspace.store.open_path(chips["a-r00000-c00032"]["assets"]["boxes"]["href"])
    (feature,) = json.loads(path.read_bytes())["features"]
    assert feature["properties"] == {"class": "boat", "bbox_pixels": [0.0, 4.0, 4.0, 12.0]}
    longitude, latitude = feature["geometry"]["coordinates"][0][0]
    assert chips["a-r00000-c00032"]["bbox"][0] <= longitude <= chips["a-r00000-c00032"]["bbox"][2]
    assert chips["a-r00000-c00032"]["bbox"][1] <= latitude <= chips["a-r00000-c00032"]["bbox"][3]


def test_outlines_become_masks(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image(folder / "s.tif")
    ring = [[UTM.c + 10 * x, UTM.f - 10 * y] for x, y in ((0, 0), (32, 0), (32, 64), (0, 64), (0, 0))]
    feature = {
        "type": "Feature",
        "properties": {"class": "water"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32630"}}
    (folder / "labels.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature], "crs": crs}))
    onboard(workspace, folder, datetime=DAY, chip_size=64, background="land")
    (chip,) = chips_of(workspace)
    found = pixels_of(workspace, chip, "mask")[0]
    assert (found[:, :32] == 1).all()
    assert (found[:, 32:] == 0).all()
    assert chip["properties"]["lab:class_counts"] == {"land": 2048, "water": 2048}


def test_geostudio_and_an_archive(workspace: Workspace, tmp_path: Path, data_folder: Path) -> None:
    import zipfile

    archive = tmp_path / "floods.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((data_folder / "sen1floods11").glob("*.tif")):
            packed.write(path, f"floods/{path.name}")
    bands = [{"index": str(number), "band_name": name} for number, name in enumerate(("VV", "VH"))]
    sources = [
        {"bands": bands, "modality_tag": "S1GRD", "file_suffix": "_S1Hand.tif"},
        {"bands": [{"index": "1", "band_name": "B02"}], "modality_tag": "S2L1C", "file_suffix": "_S2Hand.tif"},
    ]
    payload = {
        "dataset_name": "Floods", "dataset_url": "https://example.org/floods.zip", "label_suffix": "_LabelHand.tif",
        "purpose": "Segmentation", "data_sources": sources,
        "label_categories": [{"id": "0", "name": "Land"}, {"id": "1", "name": "Floods", "weight": 2.0}],
    }  # fmt: skip
    path = tmp_path / "onboard.json"
    path.write_text(json.dumps(payload))
    data = stage_tree(workspace.settings, archive, [])
    outcome = onboard(workspace, path, datetime="2019-09-18", data=data, chip_size=256)
    assert outcome.details["modalities"] == {"S1GRD": ["VV", "VH"], "S2L1C": ["B02"]}
    assert outcome.details["class_counts"] == {"land": 192010, "floods": 70035}
    params = workspace.catalog.collection("set-v1")["lab:params"]
    assert (params["title"], params["class_weights"]) == ("Floods", {"Floods": 2.0})
    assert list(workspace.settings.store_folder.glob("tmp/*")) == []


def test_a_bad_source_leaves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    folder = masked(tmp_path / "in")
    mask(folder / "masks" / "s0.tif", values=(0, 77), transform=UTM)
    classes = [{"value": value, "name": f"c{value}", "color": "112233"} for value in range(2)]
    with pytest.raises(InvalidLabels, match=r"s0\.tif: values 77"):
        onboard(workspace, folder, datetime=DAY, classes=classes)
    assert workspace.catalog.collections() == []
    assert [path for path in (workspace.settings.store_folder / "files").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("place", ["../../etc", "/etc", "x/../../../etc", "a\0b", "nothing-here"])
def test_a_source_outside_the_inbox_is_refused(workspace: Workspace, place: str) -> None:
    with pytest.raises(InvalidInput):
        resolve_place(workspace.settings, place)
    with pytest.raises(InvalidInput):
        onboard_dataset(workspace, OnboardRequest(name="bad", source=place), LogProgress())


def test_a_link_in_the_inbox_does_not_lead_out(workspace: Workspace) -> None:
    workspace.settings.inbox_folder.mkdir(parents=True, exist_ok=True)
    (workspace.settings.inbox_folder / "link").symlink_to("/etc")
    with pytest.raises(InvalidInput, match="leads outside"):
        resolve_place(workspace.settings, "link")
