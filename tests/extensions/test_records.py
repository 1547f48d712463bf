"""A reader gives back what its builder was given, from the database's form and from the API's."""

import copy
import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from terralab.extensions.chips import ChipRecord, Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.dataset import DatasetRecord, dataset_item
from terralab.extensions.imagery import SceneRecord
from terralab.extensions.item import derived_from
from terralab.extensions.lab import Quality, QualityLevel, RunStatus, RunType
from terralab.extensions.labels import LabelRecord
from terralab.extensions.model import ModelRecord
from terralab.extensions.prediction import PredictionRecord
from terralab.extensions.raster import BandRecord
from terralab.extensions.record import InvalidRecord, ItemRef
from terralab.extensions.records import read_record
from terralab.extensions.run import RunRecord
from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import check_collection, check_item
from tests.extensions.test_profile import BANDS, CLASSES, FOOTPRINT, GRID, STORED, WHEN, every_kind

SCENE, LABEL, CHIP, DATASET, MODEL, RUN, PREDICTION = range(7)


def as_served(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item with absolute links, as the API answers."""
    served = copy.deepcopy(item)
    for link in served["links"]:
        link["href"] = f"http://127.0.0.1:8080/stac/{link['href']}"
    return json.loads(json.dumps(served))


@pytest.mark.parametrize("item", [*every_kind(), *map(as_served, every_kind())], ids=lambda item: item["id"])
def test_every_kind_is_read(item: dict[str, Any]) -> None:
    record = read_record(item)
    assert record.id == item["id"]
    assert record.footprint.start == WHEN


def test_a_scene() -> None:
    item = every_kind()[SCENE]
    item["properties"] |= {"platform": "sentinel-2a", "gsd": 10, "eo:cloud_cover": 3.5}
    scene = SceneRecord.of_item(item)
    assert scene.grid == GRID
    assert scene.bands == {"image": tuple(BANDS)}
    assert scene.band_names == ("B02", "B03", "B04")
    assert (scene.platform, scene.gsd, scene.cloud_cover) == ("sentinel-2a", 10.0, 3.5)
    assert scene.files == {"image": STORED, "thumbnail": STORED}


def test_a_label() -> None:
    label = LabelRecord.of_item(every_kind()[LABEL])
    assert (label.grid, label.raster, label.scene) == (GRID, STORED, ItemRef("scenes", "scene"))
    assert [(entry.name, entry.color) for entry in label.classes] == [("land", "AABBCC"), ("water", "0000FF")]
    assert (label.class_counts, label.description) == ({"land": 3}, "By hand")


@pytest.mark.parametrize("form", [lambda item: item, as_served], ids=["stored", "served"])
def test_a_chip(form: Any) -> None:
    item = every_kind()[CHIP]
    item["properties"] |= {"ml-aoi:split": "train", "lab:split_group": "b-1", "lab:fold": 2, "lab:qa": {"cloud": 0.1}}
    chip = ChipRecord.of_item(form(item))
    assert (chip.dataset, chip.version, chip.split, chip.split_group, chip.fold) == ("flood", None, "train", "b-1", 2)
    assert (chip.image, chip.target.file, chip.window, chip.valid_share) == (STORED, STORED, (0, 0), 1.0)
    assert chip.scene == ItemRef("scenes", "scene", "feature")
    assert chip.label == ItemRef("labels", "label", "label")
    assert chip.sources == (chip.scene, chip.label)
    assert tuple(chip.bands) == tuple(BANDS)
    assert chip.qa == {"cloud": 0.1}


def test_a_dataset_version() -> None:
    version = DatasetRecord.of_item(as_served(every_kind()[DATASET]))
    assert (version.dataset, version.version, version.chips_collection) == ("flood", "1.0.0", "flood-v1")
    assert (version.dvc_rev, version.dvc_tree) == ("a" * 40, "b" * 32 + ".dir")
    assert version.split_counts == {"train": 1}
    assert {ref.id for ref in version.sources} == {"scene", "label"}


def test_a_model() -> None:
    model = ModelRecord.of_item(every_kind()[MODEL])
    assert (model.description.name, model.description.version) == ("flood-resnet18", "1.0.0")
    assert model.description.hyperparameters == {"lr": 1e-3}
    assert (model.input.bands, model.input.stddev, model.input.size) == (["B02", "B03"], [2.0, 3.0], 64)
    assert [entry.name for entry in model.classes] == [entry.name for entry in CLASSES]
    assert (model.metrics, model.baseline, model.seed) == ({"test_miou": 0.5}, {"test_miou": 0.4}, 0)
    assert model.sources == (ItemRef("datasets", "flood-v1-0-0"),)
    assert model.files["weights"] == STORED


def test_a_run_is_written_again_as_it_was() -> None:
    failed = RunRecord(
        "predict-1", RunType.PREDICT, RunStatus.FAILED, RunRecord.of_item(every_kind()[RUN]).footprint, WHEN,
        datetime(2020, 1, 2, tzinfo=UTC), {"a": 1}, {"torch": "2.15.0"}, "flow", 3, {"loss": 0.5},
        {"code": "no_crs", "message": "no CRS"}, (), [("models", "x")], git_sha="a" * 40,
    )  # fmt: skip
    for item in (every_kind()[RUN], failed.to_item()):
        assert RunRecord.of_item(item).to_item() == item
    assert RunRecord.of_item(as_served(failed.to_item())).produced == [("models", "x")]


def test_what_a_builder_may_leave_out_is_read_back(schemas: SchemaStore) -> None:
    scene, label = every_kind()[:2]
    item = chip_item(
        id="chip", collection_id="flood-v1", dataset="flood", footprint=GRID.footprint(WHEN), grid=GRID,
        features=[Feature("image", STORED, BANDS)], target=Target.mask(STORED, CLASSES, {}), valid_share=1,
        scenes=[scene], label=label,
        window=(16, 32), split="test", split_group="b-7", fold=0, qa={"cloud_share": 0.25, "note": "haze"},
    )  # fmt: skip
    chip = ChipRecord.of_item(item)
    assert (chip.split, chip.split_group, chip.fold, chip.window) == ("test", "b-7", 0, (16, 32))
    assert chip.qa == {"cloud_share": 0.25, "note": "haze"}
    version = dataset_item(
        id="flood-v1-0-0", dataset="flood", chips_collection="flood-v1", version="1.0.0", footprint=FOOTPRINT,
        dvc_rev="a" * 40, dvc_tree="b" * 32 + ".dir", manifest=STORED, dvc_file=STORED, class_counts={},
        split_counts={}, split_report={}, sources=[derived_from(scene)], quality=Quality(QualityLevel.Q1, WHEN),
    )  # fmt: skip
    assert DatasetRecord.of_item(version).quality == Quality(QualityLevel.Q1, WHEN)
    assert [str(problem) for each in (item, version) for problem in check_item(each, schemas)] == []


def test_a_prediction() -> None:
    item = every_kind()[PREDICTION]
    item["properties"]["lab:metrics"] = {"miou": 0.7}
    for form in (item, as_served(item)):
        prediction = PredictionRecord.of_item(form)
        assert prediction.model == ItemRef("models", "flood-resnet18-abc")
        assert prediction.looked_at == (ItemRef("scenes", "scene"),)
        assert (prediction.processed, prediction.raster, prediction.grid) == (WHEN, STORED, GRID)
        assert (prediction.software, prediction.metrics) == ({"torch": "2.15.0"}, {"miou": 0.7})


def test_bands_are_read_as_written() -> None:
    for band in (BandRecord("B02", "uint16", 0), BandRecord("VV", "float32", 0.5), BandRecord("x", "uint8"), *BANDS):
        assert BandRecord.of_stac(band.to_stac()) == band
    assert str(BandRecord.of_stac(BandRecord("VV", "float32", float("nan")).to_stac()).nodata) == "nan"


@pytest.mark.parametrize(
    ("kind", "path", "says"),
    [
        (SCENE, ("properties", "lab:kind"), "lab:kind null"),
        (LABEL, ("properties", "label:description"), "label:description is null, not a text"),
        (LABEL, ("properties", "proj:transform"), "proj:transform"),
        (CHIP, ("assets", "mask"), 'no asset "mask"'),
        (CHIP, ("assets", "image", "file:size"), "file:size"),
        (CHIP, ("links", 1), "ml-aoi:role feature"),
        (DATASET, ("links", 1), "lab:members"),
        (MODEL, ("properties", "mlm:input"), "mlm:input"),
        (MODEL, ("properties", "version"), "version"),
        (RUN, ("properties", "lab:started"), "lab:started"),
        (PREDICTION, ("links", 1), "to a model"),
    ],
)
def test_what_is_missing_is_named(kind: int, path: tuple[str | int, ...], says: str) -> None:
    item = every_kind()[kind]
    holder: Any = item
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    with pytest.raises(InvalidRecord, match=says) as caught:
        read_record(item)
    assert f"{item['collection']}/{item['id']}" in str(caught.value)


def test_an_unknown_kind_or_run_type_is_named() -> None:
    run = every_kind()[RUN]
    run["properties"]["lab:run_type"] = "guess"
    with pytest.raises(InvalidRecord, match="guess"):
        read_record(run)
    with pytest.raises(InvalidRecord, match="not chips"):
        ChipRecord.of_item(every_kind()[SCENE])


def test_links_elsewhere_are_no_references() -> None:
    assert ItemRef.of_link({"rel": "derived_from", "href": "https://example.org/a.json"}) is None
    found = ItemRef.of_link({"href": "https://example.org/stac/collections/c/items/i?x=1"})
    assert found == ItemRef("c", "i")
    assert found.href == "collections/c/items/i"


def test_every_reader_documents_its_fields() -> None:
    for item in every_kind():
        record = read_record(item)
        names = {field.name for field in dataclasses.fields(record)}
        documented = "".join(str(base.__doc__) for base in type(record).__mro__)
        assert all(f"{name}:" in documented for name in names), item["id"]


def _dated(key: str, modality: str) -> Feature:
    bands = [BandRecord(f"{band.name}_t{time}", band.data_type) for time in range(2) for band in BANDS]
    return Feature(key, STORED, bands, modality, ("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"))


@pytest.mark.parametrize(
    "target",
    [
        Target.mask(STORED, CLASSES, {"land": 1}),
        Target(Task.REGRESSION, STORED, band=BandRecord("height", "float32", -9999.0)),
        Target(Task.CLASSIFICATION, None, tuple(CLASSES), {CLASSES[0].name: 1}, [CLASSES[0].name]),
        Target(Task.MULTILABEL, None, tuple(CLASSES), {}, []),
        Target(Task.DETECTION, STORED, tuple(CLASSES), {CLASSES[0].name: 3}),
    ],
    ids=lambda target: target.task,
)
def test_chips_of_every_task_with_several_modalities_and_dates(target: Target, schemas: SchemaStore) -> None:
    scene, label = every_kind()[:2]
    features = (_dated("s2l2a", "S2L2A"), Feature("dem", STORED, [BandRecord("elevation", "int16")], "DEM"))
    item = chip_item(
        id="chip", collection_id="flood-v1", dataset="flood", footprint=GRID.footprint(WHEN), grid=GRID,
        features=features, target=target, valid_share=1, scenes=[scene], label=label,
    )  # fmt: skip
    assert [str(problem) for problem in check_item(item, schemas)] == []
    item["assets"] = dict(sorted(item["assets"].items()))  # a database keeps no order
    chip = ChipRecord.of_item(as_served(item))
    assert [(one.key, one.modality, tuple(one.times), list(one.bands)) for one in chip.features] == [
        (one.key, one.modality, tuple(one.times), list(one.bands)) for one in features
    ]
    assert (chip.target.task, chip.target.labels, chip.target.counts) == (target.task, target.labels, target.counts)
    assert [(entry.value, entry.name) for entry in chip.classes] == [(e.value, e.name) for e in target.classes]
    assert chip.target.band == target.band
    collection = chips_collection(
        id="flood-v1", dataset="flood", description="Text", footprint=FOOTPRINT, features=features, target=target,
        summaries={},
    )  # fmt: skip
    assert [str(problem) for problem in check_collection(collection, schemas)] == []


@pytest.mark.parametrize("labels", [[], ["land", "water"], ["lava"], "land", None])
def test_a_classified_chip_has_one_of_its_classes(labels: Any, schemas: SchemaStore) -> None:
    scene, label = every_kind()[:2]
    item = chip_item(
        id="chip", collection_id="flood-v1", dataset="flood", footprint=GRID.footprint(WHEN), grid=GRID,
        features=[Feature("image", STORED, BANDS)], target=Target(Task.CLASSIFICATION, classes=CLASSES), valid_share=1,
        scenes=[scene], label=label,
    )  # fmt: skip
    item["properties"]["lab:labels"] = labels
    assert "chip_labels" in {problem.rule for problem in check_item(item, schemas)}
