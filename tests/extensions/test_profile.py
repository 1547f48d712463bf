"""Every builder's item and collection is valid by the official schemas, and reads back as it was written."""

from datetime import UTC, datetime

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralab.extensions import chips, dataset, imagery, labels, model, prediction, run
from terralab.extensions.bands import canonical_band_name
from terralab.extensions.checksum import multihash_of_bytes, split_multihash
from terralab.extensions.ids import derived_id, is_valid_id, slug
from terralab.extensions.item import Footprint, StoredFile, derived_from
from terralab.extensions.lab import Kind, LabExtension, RunStatus, RunType
from terralab.extensions.raster import (
    BandRecord,
    BandStatistics,
    ClassDefinition,
    Grid,
    classes_of_stac,
    classes_to_stac,
)
from terralab.extensions.schema_store import SchemaStore

WHEN = datetime(2020, 1, 1, tzinfo=UTC)
GRID = Grid("EPSG:32630", (10, 0, 5e5, 0, -10, 4.2e6), (512, 512))
FOOTPRINT = GRID.footprint(WHEN)
STORED = StoredFile("asset://1220" + "a" * 64 + "/x.tif", 10, "1220" + "a" * 64)
BANDS = [BandRecord(name, "uint16", 0, BandStatistics(0, 100, 50, 10, 99.5)) for name in ("B02", "B03", "B04")]
CLASSES = [
    ClassDefinition(value=0, name="land", color="aabbcc"),
    ClassDefinition(value=1, name="water", title="Open water", color="0000ff"),
]


def every_kind() -> list[dict]:
    scene = imagery.scene_item(
        id="scene", collection_id="scenes", footprint=FOOTPRINT, grid=GRID, image=STORED, bands=BANDS, thumbnail=STORED
    )
    label = labels.label_item(
        id="label", collection_id="labels", footprint=FOOTPRINT, grid=GRID, raster=STORED, classes=CLASSES,
        class_counts={"land": 3}, scene=scene, scene_asset="image", description="By hand",
    )  # fmt: skip
    chip = chips.chip_item(
        id="chip", collection_id="flood-v1", dataset="flood", footprint=FOOTPRINT, grid=GRID,
        features=[chips.Feature("image", STORED, BANDS)], target=chips.Target.mask(STORED, CLASSES, {"land": 1}),
        valid_share=1.0, scenes=[scene], label=label, window=(0, 0),
    )  # fmt: skip
    version = dataset.dataset_item(
        id="flood-v1-0-0", dataset="flood", chips_collection="flood-v1", version="1.0.0", footprint=FOOTPRINT,
        dvc_rev="a" * 40, dvc_tree="b" * 32 + ".dir", manifest=STORED, dvc_file=STORED, class_counts={"land": 1},
        split_counts={"train": 1}, split_report={}, sources=[derived_from(scene), derived_from(label)],
    )  # fmt: skip
    network = model.model_item(
        id="flood-resnet18-abc", footprint=FOOTPRINT,
        description=model.ModelDescription(
            "flood-resnet18", "1.0.0", "resnet18", "2.15.0+cu132", 10, 100, False, None, {"lr": 1e-3}, 4
        ),
        model_input=model.ModelInput(["B02", "B03"], [1.0, 2.0], [2.0, 3.0], 64), classes=CLASSES, weights=STORED,
        config=STORED, dataset="flood-v1", dataset_version="1.0.0", metrics={"test_miou": 0.5},
        baseline={"test_miou": 0.4}, seed=0, assets={}, links=[derived_from(version)],
    )  # fmt: skip
    record = run.RunRecord(
        "tune-abc", RunType.TUNE, RunStatus.RUNNING, FOOTPRINT, WHEN, software={"torch": "2.15.0"}, flow_run="x",
        produced=[("models", "flood-resnet18-abc")],
    )  # fmt: skip
    result = prediction.prediction_item(
        id="result", collection_id="flood-predictions", footprint=FOOTPRINT, grid=GRID, raster=STORED, classes=CLASSES,
        class_counts={}, model=network, sources=[scene], params={}, software={"torch": "2.15.0"}, processed=WHEN,
    )  # fmt: skip
    return [scene, label, chip, version, network, record.to_item(), result]


def every_collection() -> list[dict]:
    texts = {"title": "Title", "description": "Text", "footprint": FOOTPRINT}
    return [
        imagery.imagery_collection(id="scenes", bands=BANDS, **texts),
        labels.labels_collection(id="labels", classes=CLASSES, **texts),
        chips.chips_collection(
            id="flood-v1", dataset="flood", description="Text", footprint=FOOTPRINT,
            features=[chips.Feature("image", None, BANDS)],
            target=chips.Target(chips.Task.SEGMENTATION, classes=CLASSES), summaries={"ml-aoi:split": ["train"]},
        ),
        dataset.datasets_collection(FOOTPRINT),
        model.models_collection(FOOTPRINT),
        run.runs_collection(FOOTPRINT),
        prediction.predictions_collection(id="flood-predictions", classes=CLASSES, **texts),
    ]  # fmt: skip


@pytest.mark.parametrize("document", [*every_kind(), *every_collection()], ids=lambda d: f"{d['type']}-{d['id']}")
def test_documents_are_valid_by_every_schema_they_declare(document: dict, schemas: SchemaStore) -> None:
    assert schemas.missing(document) == []
    assert [str(problem) for problem in schemas.problems(document)] == []


def test_every_kind_is_covered() -> None:
    assert {item["properties"]["lab:kind"] for item in every_kind()} == set(Kind)


@pytest.mark.parametrize("change", ["run_type", "metrics", "unknown"])
def test_the_lab_schema_refuses_what_the_profile_forbids(change: str) -> None:
    item = every_kind()[5]
    wrong = {"run_type": "guess", "metrics": {"test.miou": 0.5}, "unknown": 1}[change]
    item["properties"][f"lab:{change}"] = wrong
    problems = SchemaStore().problems(item)
    assert problems
    assert "lab:" in problems[0].where + problems[0].message


def test_pystac_reads_the_extension() -> None:
    item = pystac.Item.from_dict(every_kind()[4])
    assert LabExtension.ext(item).kind is Kind.MODEL
    assert LabExtension.ext(item).metrics == {"test_miou": 0.5}


def test_a_model_reads_back_its_input_and_classes() -> None:
    item = every_kind()[4]
    assert model.read_model_input(item).mean == [1.0, 2.0]
    assert [entry.name for entry in model.read_model_classes(item)] == ["land", "water"]
    assert [entry.color for entry in classes_of_stac(classes_to_stac(CLASSES))] == ["AABBCC", "0000FF"]


def test_an_item_reads_back_its_grid_and_footprint() -> None:
    scene = every_kind()[0]
    assert Grid.of_properties(scene["properties"]) == GRID
    found = Footprint.of_item(scene)
    assert found.geometry.equals_exact(FOOTPRINT.geometry, 1e-9)
    assert (found.start, found.end) == (WHEN, WHEN)


@given(st.text(min_size=1, max_size=300))
def test_a_slug_is_a_valid_id_or_an_error(text: str) -> None:
    try:
        made = slug(text)
    except ValueError:
        return
    assert is_valid_id(made), made


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_derived_ids_depend_on_content_not_on_order(parameters: dict) -> None:
    backwards = dict(reversed(parameters.items()))
    assert derived_id("tune", {"a": "x"}, parameters) == derived_id("tune", {"a": "x"}, backwards)
    assert derived_id("tune", {"a": "x"}, parameters) != derived_id("tune", {"a": "y"}, parameters)
    assert is_valid_id(derived_id("tune", {}, parameters))


@given(st.binary(max_size=100), st.sampled_from(["sha256", "md5"]))
def test_multihashes_split_into_what_they_were_made_of(content: bytes, algorithm: str) -> None:
    import hashlib

    expected = hashlib.new(algorithm, content).hexdigest()
    assert split_multihash(multihash_of_bytes(content, algorithm)) == (algorithm, expected)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("B2", "B02"),
        ("b02", "B02"),
        ("B8A", "B8A"),
        ("b8a", "B8A"),
        ("BLUE", "B02"),
        ("swir16", "B11"),
        ("VV", "VV"),
        ("x", "x"),
    ],
)
def test_band_names_people_write_mean_one_band(written: str, name: str) -> None:
    assert canonical_band_name(written) == name


def test_a_footprint_across_180_degrees_is_two_polygons() -> None:
    fiji = Grid("EPSG:32760", (10, 0, 8e5, 0, -10, 8.1e6), (5000, 5000)).footprint(WHEN)
    assert fiji.geometry.geom_type == "MultiPolygon"
    west, south, east, north = fiji.bbox
    assert west > 179 > 0 > -179 > east
    assert -18 < south < north < -17
    assert sum(part.area for part in fiji.geometry.geoms) < 0.3  # square degrees; not once around the world


def test_a_degree_grid_beyond_180_is_the_same_ground() -> None:
    beyond = Grid("EPSG:4326", (0.01, 0, 179.5, 0, -0.01, 10), (100, 100)).footprint(WHEN)
    assert beyond.geometry.geom_type == "MultiPolygon"
    assert beyond.bbox == [179.5, 9.0, -179.5, 10.0]
