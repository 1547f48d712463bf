"""Every form gives the same table of samples."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import shapes

from terralab.catalog.errors import InvalidInput, InvalidLabels
from terralab.datasets.dates import parse_period
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.label_pixels import draw
from terralab.datasets.onboarding.plan import BoxesPlan, NamesPlan, ShapesPlan
from terralab.datasets.onboarding.reading import read_table
from terralab.datasets.onboarding.report import report_of
from terralab.extensions.chips import Task
from tests.datasets.onboarding.sets import UTM, codes, image, look, mask, pairs, said, write

STEPS = [UTM @ rasterio.Affine.translation(1000 * number, 0) for number in range(6)]


def test_terramesh_is_found_by_itself(data_folder: Path) -> None:
    found = look(data_folder / "terramesh", period=None)
    plan = found.usable()
    assert [feature.modality for feature in plan.features] == ["S2L2A", "S2L1C", "S1RTC", "DEM", "NDVI"]
    assert [sample.id for sample in plan.samples] == ["282d_485l_3_3", "433d_629l_3_1", "609u_541l_3_0", "637u_59r_1_3"]
    assert plan.features[0].bands[7:10] == ("B08", "B8A", "B09")
    assert plan.features[2].bands == ("VV", "VH")
    assert {entry.value for entry in plan.classes} == {1, 2, 3, 4, 5, 6, 7, 9}
    assert plan.samples[0].periods[2][0].isoformat() == "2021-07-21T08:40:10+00:00"
    assert plan.samples[0].periods[4][0].isoformat() == "2021-07-23T13:22:41+00:00"


def test_suffixes_are_modalities(data_folder: Path) -> None:
    plan = look(data_folder / "sen1floods11").usable()
    assert [feature.modality for feature in plan.features] == ["S2Hand", "S1Hand"]
    assert plan.samples[0].id == "spain_7370579"
    alone = look(data_folder / "sen1floods11", hints=Hints({"image": "*_S2Hand.tif"}, "*_LabelHand.tif")).usable()
    assert [feature.key for feature in alone.features] == ["image"]


def test_outlines_of_a_mask_give_the_mask(data_folder: Path, folder: Path) -> None:
    """sen1floods11 from vector labels is sen1floods11 from raster labels, pixel by pixel."""
    source = data_folder / "sen1floods11"
    shutil.copy(source / "Spain_7370579_S2Hand.tif", folder)
    with rasterio.open(source / "Spain_7370579_LabelHand.tif") as dataset:
        label, transform = dataset.read(1), dataset.transform
    names = {0: "land", 1: "water"}
    features = [
        {"type": "Feature", "geometry": geometry, "properties": {"class": names[int(value)], "class_id": int(value)}}
        for geometry, value in shapes(label, mask=label >= 0, transform=transform)
    ]
    (folder / "flood.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    plan = look(folder).usable()
    assert [(entry.value, entry.name) for entry in plan.classes] == [(0, "land"), (1, "water")]
    drawn = plan.samples[0].label
    assert isinstance(drawn, ShapesPlan)
    made = draw(drawn.shapes, plan.samples[0].images[0].grid, drawn.background, drawn.all_touched)
    np.testing.assert_array_equal(made, np.where(label < 0, 255, label))


def test_split_folders_and_names_in_two_splits(folder: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        image(folder / split / "images" / "1.tif", transform=STEPS[number])
        mask(folder / split / "masks" / "1.tif", transform=STEPS[number])
    table = read_table(folder, Hints())
    assert {sample.name: sample.split for sample in table.samples} == {
        "train_1": "train",
        "validate_1": "validate",
        "test_1": "test",
    }


def terratorch(folder: Path) -> Path:
    for number in range(3):
        image(folder / f"x.v{number}_merged.tif", transform=STEPS[number])
        mask(folder / f"x.v{number}.mask.tif", transform=STEPS[number])
    for number, split in enumerate(("train", "val", "test")):
        (folder / f"{split}.txt").write_text(f"x.v{number}\n")
    return folder


def test_terratorch_split_files(folder: Path) -> None:
    table = read_table(terratorch(folder), Hints())
    assert table.form == "terratorch"
    assert [sample.split for sample in table.samples] == ["train", "validate", "test"]
    (folder / "val.txt").write_text("x.v0\nx.v9\n")
    found = look(folder)
    assert "x.v0: is in train by train.txt and in validate by val.txt" in said(found, "split").replace("test", "test")
    assert "names 1 samples that are not there: x.v9" in said(found, "split")


def test_eotdl_front_matter(folder: Path) -> None:
    pairs(folder)
    (folder / "catalog.parquet").write_bytes(b"PAR1")
    (folder / "README.md").write_text(
        "---\nname: Floods\nauthors:\n  - A. Body\nlicense: CC-BY-4.0\nsource: https://example.org\n---\nAll of it.\n"
    )
    found = look(folder)
    about = found.usable().about
    assert found.table.form == "eotdl"
    assert (about.title, about.license, about.authors, about.description) == (
        "Floods",
        "CC-BY-4.0",
        ("A. Body",),
        "All of it.",
    )
    (folder / "README.md").write_text("---\nname: Floods\n---\n")
    assert "authors, license, source is missing" in said(look(folder, "eotdl"), "card")
    (folder / "README.md").write_text("---\n: [\n---\n")
    with pytest.raises(InvalidInput, match=r"README\.md: its front matter is no YAML"):
        look(folder)


S1 = {
    "bands": [{"index": "0", "band_name": "VV", "scaling_factor": 1}, {"index": "1", "band_name": "VH"}],
    "connector": "sentinelhub", "collection": "s1_grd", "modality_tag": "S1GRD", "align_dates": "true",
    "file_suffix": "_S1Hand.tif", "scaling_factor": [1, 1],
}  # fmt: skip
S2 = {
    "bands": [{"index": str(n), "band_name": f"B0{n + 2}", "RGB_band": "BGR"[n], "description": ""} for n in range(3)],
    "connector": "sentinelhub", "collection": "s2_l2a", "modality_tag": "S2L2A", "file_suffix": "_S2Hand.tif",
}  # fmt: skip
HLS = ("Blue", "Green", "Red", "NIR_Narrow", "SWIR1", "SWIR2")
GEOSTUDIO: dict[str, dict[str, Any]] = {
    "sen1floods11: two sources, no categories": {
        "dataset_name": "sen1floods11", "dataset_url": "https://example.org/sen1floods11_v1.1.zip",
        "label_suffix": "_LabelHand.tif", "description": "Floods.", "purpose": "Segmentation", "data_sources": [S1, S2],
        "version": "v2",
    },
    "flooding: categories as text": {
        "dataset_name": "Sentinel Flood Multimodal Test", "data_sources": [S2, S1],
        "label_categories": [{"id": "0", "name": "No Floods", "description": "Flooding assets"},
                             {"id": "1", "name": "Floods", "description": "Flooding assets"}],
        "dataset_url": "https://example.org/floods.zip", "description": "Flood data from places",
        "label_suffix": "_LabelHand.tif", "purpose": "Segmentation",
    },
    "burn scars: suffix with a dot, a value that is no label": {
        "dataset_name": "Wildfire burn scars (CI subset)", "dataset_url": "https://example.org/burn.zip",
        "label_suffix": ".mask.tif", "description": "Scars.", "purpose": "Segmentation",
        "data_sources": [{
            "bands": [{"index": str(n), "band_name": name, "scaling_factor": "0.0001"} for n, name in enumerate(HLS)],
            "connector": "sentinelhub", "file_suffix": "_merged.tif", "modality_tag": "HLS_L30",
        }],
        "label_categories": [
            {"id": "1", "name": "Fire Scar", "color": "#ab4f4f", "opacity": 1},
            {"id": "0", "name": "No data", "color": "#000000", "opacity": "0"},
            {"id": "-1", "name": "Ignore", "color": "#000000", "opacity": "0"},
        ],
        "version": "v2",
    },
    "buildings: weights that are null": {
        "dataset_name": "Inria Building dataset",
        "data_sources": [{**S2, "file_suffix": "_train.tif"}],
        "label_categories": [
            {"id": "0", "name": "Background", "color": "#000000", "opacity": "0", "weight": None},
            {"id": "1", "name": "Building", "color": "#000000", "opacity": 1, "weight": None},
        ],
        "dataset_url": "https://example.org/buildings.zip", "description": "Tiles.", "label_suffix": "_label.tif",
        "purpose": "Segmentation",
    },
}  # fmt: skip


def geostudio_files(folder: Path, payload: dict[str, Any]) -> Path:
    """Write the files that a payload describes."""
    for number in range(2):
        place = {"transform": STEPS[number]}
        values = (-1, 1) if ".mask" in payload["label_suffix"] else (0, 1)
        label = np.repeat([[values]], 64, axis=1).repeat(32, axis=2).astype("int16")
        write(folder / f"p_{number}{payload['label_suffix']}", label, **place)
        if values[0] < 0:
            write(folder / f"p_{number}{payload['label_suffix']}", np.where(label < 0, 0, label)[:, :, ::-1], **place)
        for source in payload["data_sources"]:
            path = folder / f"p_{number}{source['file_suffix']}"
            image(path, names=tuple(f"{i}" for i in range(len(source["bands"]))), **place)
    return folder


@pytest.mark.parametrize("name", GEOSTUDIO)
def test_geostudios_payloads_are_taken_unchanged(folder: Path, tmp_path: Path, name: str) -> None:
    payload = GEOSTUDIO[name]
    geostudio_files(folder, payload)
    path = tmp_path / "onboard.json"
    path.write_text(json.dumps(payload))
    found = look(path, hints=Hints(data=folder))
    plan = found.usable()
    assert plan.form == "geostudio"
    assert plan.about.title == payload["dataset_name"]
    assert len(plan.samples) == 2
    tags = [source["modality_tag"] for source in payload["data_sources"]]
    assert [feature.modality or tags[0] for feature in plan.features] == tags
    wanted = [
        int(entry["id"]) for entry in payload.get("label_categories", ({"id": 0}, {"id": 1})) if int(entry["id"]) >= 0
    ]
    assert [entry.value for entry in plan.classes] == sorted(wanted)
    with pytest.raises(InvalidInput, match="--data"):
        read_table(path, Hints())


def test_geostudios_details_are_told(folder: Path, tmp_path: Path, data_folder: Path) -> None:
    burn = GEOSTUDIO["burn scars: suffix with a dot, a value that is no label"]
    path = tmp_path / "onboard.json"
    path.write_text(json.dumps(burn))
    found = look(path, hints=Hints(data=geostudio_files(folder, burn)))
    plan = found.usable()
    assert plan.features[0].bands == ("B02", "B03", "B04", "B8A", "B11", "B12")
    assert plan.scales == {"hls_l30": [0.0001] * 6}
    assert "label value -1 (Ignore) counts as no label" in said(found, "ignored")
    assert "class 0 is called 'No data'" in said(found, "class_name")
    path.write_text(json.dumps(GEOSTUDIO["sen1floods11: two sources, no categories"]))
    real = look(path, hints=Hints(data=data_folder / "sen1floods11"))
    assert "band 1 is B01, not B02" in said(real, "band_map")
    assert real.usable().features[1].bands == ("B01", "B02", "B03")
    assert real.usable().features[1].select == (1, 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purpose": "NER"}, "purpose 'NER'"),
        ({"data_sources": []}, "at least one source"),
        ({"data_sources": [{"bands": [1]}]}, "modality_tag, file_suffix is missing"),
        ({"data_sources": [{**S2, "bands": [{"band_name": "B02"}]}]}, "an index"),
        ({"label_suffix": ""}, "label_suffix is missing"),
        ({"label_categories": [{"name": "x"}]}, r"label_categories\[0\]"),
        ({"label_suffix": "_nothing.tif"}, "has no label"),
    ],
)
def test_wrong_payloads_are_refused(folder: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    payload = GEOSTUDIO["buildings: weights that are null"]
    geostudio_files(folder, payload)
    path = tmp_path / "onboard.json"
    path.write_text(json.dumps({**payload, **change}))
    with pytest.raises(InvalidInput, match=message):
        look(path, hints=Hints(data=folder)).usable()


def stac(folder: Path) -> Path:
    """Write a static catalog of two items with image and label, with splits."""
    pairs(folder)
    links = []
    for number, split in enumerate(("train", "test")):
        item = {
            "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": f"s{number}", "collection": "c",
            "geometry": {"type": "Point", "coordinates": [0, 0]}, "bbox": [0, 0, 0, 0], "links": [],
            "properties": {"datetime": "2024-05-01T10:00:00Z", "ml-aoi:split": split},
            "assets": {
                "image": {"href": f"../images/s{number}.tif", "roles": ["data"],
                          "bands": [{"name": "blue"}, {"name": "green"}]},
                "labels": {"href": f"../masks/s{number}.tif", "roles": ["labels"], "classification:classes": [
                    {"value": 0, "name": "land"}, {"value": 1, "name": "water", "color_hint": "0000FF"}]},
                "thumbnail": {"href": "../t.png", "roles": ["thumbnail"]},
            },
        }  # fmt: skip
        (folder / "items").mkdir(exist_ok=True)
        (folder / "items" / f"s{number}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./items/s{number}.json"})
    collection = {"type": "Collection", "stac_version": "1.1.0", "id": "c", "description": "d", "license": "MIT"}
    (folder / "collection.json").write_text(json.dumps({**collection, "links": links}))
    return folder


def test_static_stac(folder: Path) -> None:
    plan = look(stac(folder), period=None).usable()
    assert plan.form == "stac"
    assert plan.about.license == "MIT"
    assert plan.features[0].bands == ("B02", "B03")
    assert [(entry.name, entry.color) for entry in plan.classes] == [("land", "808080"), ("water", "0000FF")]
    assert plan.split == {"s0": "train", "s1": "test"}
    assert plan.samples[0].start == parse_period("2024-05-01T10:00:00Z")[0]


def test_a_static_catalog_may_not_lead_out_of_its_folder(folder: Path) -> None:
    path = stac(folder) / "items" / "s0.json"
    good = path.read_text()
    path.write_text(good.replace("../images/s0.tif", "../../../secret.tif"))
    with pytest.raises(InvalidInput, match="leads out of the folder"):
        look(folder)
    path.write_text(good.replace("../images/s0.tif", "https://example.org/a.tif"))
    assert "load the files beside the catalog" in said(look(folder), "remote")
    path.write_text(good.replace("../images/s0.tif", "../images/lost.tif"))
    assert "is not there" in said(look(folder), "no_partner")


def test_stac_geoparquet(folder: Path) -> None:
    from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

    stac(folder)
    items = [json.loads((folder / "items" / f"s{number}.json").read_text()) for number in range(2)]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].removeprefix("../")
    to_parquet(parse_stac_items_to_arrow(items), folder / "items.parquet")
    plan = look(folder / "items.parquet", period=None).usable()
    assert plan.form == "stac-geoparquet"
    assert plan.split == {"s0": "train", "s1": "test"}
    assert plan.features[0].bands == ("B02", "B03")


def test_folders_of_classes(folder: Path) -> None:
    for number, place in enumerate(("train/forest/a", "train/sea/b", "validation/forest/c", "test/sea/d")):
        image(folder / f"{place}.tif", transform=STEPS[number])
    plan = look(folder).usable()
    assert (plan.form, plan.task) == ("hugging-face", Task.CLASSIFICATION)
    assert [entry.name for entry in plan.classes] == ["forest", "sea"]
    assert [sample.split for sample in plan.samples] == ["test", "train", "train", "validate"] or plan.split
    assert plan.split["train_forest_a"] == "train"
    assert plan.split["validation_forest_c"] == "validate"


def table_of(folder: Path, *rows: dict[str, Any]) -> Path:
    for number, row in enumerate(rows):
        image(folder / "data" / row["file_name"], transform=STEPS[number])
    (folder / "data" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_tables_of_classes(folder: Path) -> None:
    card = "---\nlicense: cc-by-4.0\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n"
    (folder / "README.md").write_text(card + "        names:\n          '0': sea\n          '1': land\n---\n")
    table_of(folder, {"file_name": "a.tif", "label": 1, "split": "train"}, {"file_name": "b.tif", "label": 0})
    plan = look(folder).usable()
    assert plan.about.license == "CC-BY-4.0"
    labels = {sample.id: sample.label for sample in plan.samples}
    assert isinstance(labels["data_a"], NamesPlan)
    assert labels["data_a"].names == ("land",)
    table_of(folder, {"file_name": "a.tif", "labels": ["sea", "land"]}, {"file_name": "b.tif", "labels": []})
    assert look(folder).usable().task is Task.MULTILABEL


def test_tables_of_objects(folder: Path) -> None:
    objects = {"bbox": [[1, 2, 10, 20], [50, 50, 30, 5]], "categories": ["ship", "ship"]}
    table_of(
        folder,
        {"file_name": "a.tif", "objects": objects},
        {"file_name": "b.tif", "objects": {"bbox": [], "categories": []}},
    )
    found = look(folder)
    label = found.usable().samples[0].label
    assert isinstance(label, BoxesPlan)
    assert label.boxes[0].pixels == (1, 2, 11, 22)
    assert "reaches beyond its image" in said(found, "box")
    table_of(folder, {"file_name": "a.tif", "objects": {"bbox": [[90, 90, 5, 5]], "categories": ["ship"]}})
    assert "lies outside its image of 64 x 64 pixels" in said(look(folder), "outside")
    table_of(folder, {"file_name": "a.tif", "objects": {"bbox": [[9, 9, 0, 5]], "categories": ["ship"]}})
    assert "has no area" in said(look(folder), "box")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"label": 1}', "names no file"),
        ('{"file_name": "../../x.tif", "label": 1}', "leads out of the folder"),
        ('{"file_name": "lost.tif", "label": 1}', "lost.tif is not there"),
        ('{"file_name": "a.tif", "label": 1, "split": "some"}', "split 'some'"),
        ('{"file_name": "a.tif", "label": 1, "datetime": "yesterday"}', "yesterday"),
        ('{"file_name": "a.tif", "objects": {"bbox": [[1, 2]], "categories": ["x"]}}', "x, y, width, height"),
    ],
)
def test_wrong_tables_are_refused(folder: Path, line: str, message: str) -> None:
    image(folder / "a.tif")
    (folder / "metadata.jsonl").write_text(line)
    with pytest.raises(InvalidInput, match=message):
        look(folder).usable()


def coco(folder: Path, split: str, number: int, names: tuple[str, ...]) -> None:
    image(folder / split / f"im{number}.tif", transform=STEPS[number])
    document = {
        "images": [{"id": 7, "file_name": f"im{number}.tif", "width": 64, "height": 64}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [4, 5, 6, 7]}],
        "categories": [{"id": place + 1, "name": name} for place, name in enumerate(names)],
    }
    (folder / split / "_annotations.coco.json").write_text(json.dumps(document))


def test_coco(folder: Path) -> None:
    coco(folder, "train", 0, ("ship", "plane"))
    coco(folder, "valid", 1, ("ship", "plane"))
    plan = look(folder).usable()
    assert (plan.form, plan.task) == ("coco", Task.DETECTION)
    assert plan.split == {"train_im0": "train", "validate_im1": "validate"}
    coco(folder, "valid", 1, ("plane", "ship"))
    with pytest.raises(InvalidLabels, match=r"the category 1 is .plane., in train/.*it is .ship."):
        look(folder).usable()


def test_regression(folder: Path) -> None:
    for number in range(2):
        image(folder / "images" / f"s{number}.tif", transform=STEPS[number])
        write(folder / "targets" / f"s{number}.tif", np.full((1, 64, 64), 0.5, "float32"), transform=STEPS[number])
    plan = look(folder, hints=Hints(task=Task.REGRESSION))
    table = plan.table
    assert table.task is Task.REGRESSION
    assert plan.usable().classes == ()


def test_labels_alone_say_which_imagery_to_fetch(tmp_path: Path) -> None:
    ring = [[8.0, 50.0], [8.1, 50.0], [8.1, 50.1], [8.0, 50.0]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    feature["properties"] = {"class": "water", "date": "2024-06-10"}
    path = tmp_path / "ponds.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    found = look(path)
    command = "terralab imagery fetch ponds --modality S2L2A --bbox 8.0 50.0 8.1 50.1 --dates 2024-06-07/2024-06-13"
    shown = said(found, "no_imagery").replace("7.9999", "8.0").replace("8.1001", "8.1").replace("49.9999", "50.0")
    assert command in shown.replace("50.1001", "50.1")
    assert report_of(found)["ready"] is False


@pytest.mark.parametrize("suffix", [".gpkg", ".geoparquet", ".shp"])
def test_outlines_in_other_files(folder: Path, suffix: str) -> None:
    import geopandas

    image(folder / "s0.tif")
    left, top = UTM.c, UTM.f
    boxes = [shapely.box(left, top - 640, left + 320, top), shapely.box(left + 320, top - 640, left + 640, top)]
    frame = geopandas.GeoDataFrame({"class": ["land", "water"]}, geometry=boxes, crs="EPSG:32630")
    path = folder / f"labels{suffix}"
    frame.to_parquet(path) if suffix == ".geoparquet" else frame.to_file(path)
    found = look(folder)
    assert codes(found) == set()
    drawn = found.usable().samples[0].label
    assert isinstance(drawn, ShapesPlan)
    made = draw(drawn.shapes, found.usable().samples[0].images[0].grid, None, False)
    assert (made[:, :32] == 0).all()
    assert (made[:, 32:] == 1).all()


def test_forms_by_name(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no form 'excel'; the forms are folder"):
        read_table(pairs(folder), Hints(), "excel")
    with pytest.raises(InvalidInput, match=r"no catalog\.json"):
        read_table(folder, Hints(), "stac")
    with pytest.raises(InvalidInput, match="is that of a file"):
        read_table(folder, Hints(), "geostudio")
