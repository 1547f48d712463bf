import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from terralab.catalog.errors import GridMismatch, InvalidInput, UnknownName
from terralab.catalog.publish import publish
from terralab.extensions.dataset import dataset_item, datasets_collection
from terralab.extensions.item import derived_from, item_href
from terralab.extensions.raster import ClassDefinition, Grid
from terralab.flows.in_lab import checked_request
from terralab.flows.validate import ValidateRequest, validate_model

UTM = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (150, 220))
WHEN = datetime(2020, 5, 1, 10, tzinfo=UTC)


def check(lab, labels, model: str = "flood-tiny"):
    request = checked_request(ValidateRequest, model=model, labels=labels)
    return validate_model(lab.workspace, request, lab.progress, lab.load)


def truth_of(lab, flipped: int = 0) -> np.ndarray:
    """Return labels that agree with the network but for `flipped` pixels of land that are labelled water."""
    values = lab.expected(lab.pixels(UTM, "abc"))
    values[:20, :30] = 0  # labelled, though the imagery has no data
    values[100:110] = 255
    land = np.flatnonzero((values == 0) & (lab.expected(lab.pixels(UTM, "abc")) == 0))
    values.ravel()[land[:flipped]] = 2
    return values


def add_dataset(lab, sources: list[dict[str, Any]], chips: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    store = lab.workspace.store
    manifest = {"collection": "floods-v1", "chips": chips or []}
    item = dataset_item(
        id="floods-v1-0-0",
        dataset="floods",
        chips_collection="floods-v1",
        version="1.0.0",
        footprint=UTM.footprint(WHEN),
        dvc_rev="0" * 40,
        dvc_tree="0" * 32 + ".dir",
        manifest=store.put_bytes(json.dumps(manifest).encode(), "manifest.json"),
        dvc_file=store.put_bytes(b"outs: []\n", "floods.dvc"),
        class_counts={},
        split_counts={},
        split_report={},
        sources=[derived_from(source) for source in sources],
    )
    publish(lab.workspace, [datasets_collection(UTM.footprint(WHEN))], [item])
    return derived_from(item)


def test_measures_are_exact_and_everything_is_linked(lab) -> None:
    scene = lab.add_scene()
    label = lab.add_label(scene, truth_of(lab, flipped=500))
    model = lab.add_model(links=[add_dataset(lab, [lab.add_scene(id="elsewhere", pixels=lab.pixels(UTM, "abc", 9))])])
    outcome = check(lab, ["floods-labels/scene-1"])
    truth, predicted = truth_of(lab, 500), lab.expected(lab.pixels(UTM, "abc"))
    both = (truth != 255) & (predicted != 255)
    water = (truth[both] == 2) & (predicted[both] == 2)
    union = (truth[both] == 2) | (predicted[both] == 2)
    assert outcome.metrics["accuracy"] == pytest.approx((truth == predicted)[both].mean(), abs=1e-6)
    assert outcome.metrics["iou_water"] == pytest.approx(water.sum() / union.sum(), abs=1e-6)
    assert outcome.metrics["miou"] == pytest.approx(
        (outcome.metrics["iou_water"] + outcome.metrics["iou_land"]) / 2, abs=1e-6
    )
    assert 0 < outcome.metrics["mf1"] < 1
    assert outcome.details["pixels"] == both.sum()
    assert outcome.details["unpredicted_pixels"] == 600
    assert outcome.details["seen_in_training"] is False
    run = lab.workspace.catalog.item("runs", outcome.run)
    assert run["properties"]["lab:run_type"] == "validate"
    assert run["properties"]["lab:metrics"] == outcome.metrics
    (prediction,) = lab.workspace.catalog.search(collections=["flood-tiny-predictions"])
    assert [link["href"] for link in run["links"] if link["rel"] == "derived_from"] == [
        item_href("models", model["id"]),
        item_href("flood-tiny-predictions", prediction["id"]),
        item_href("floods-labels", label["id"]),
    ]
    report = json.loads(lab.workspace.store.verify(run["assets"]["report"]["href"]).read_bytes())
    assert np.sum(report["confusion"]) == both.sum()
    assert lab.workspace.store.verify(run["assets"]["confusion"]["href"]).read_bytes().startswith(b"\x89PNG")


def test_rerun_and_prediction_made_before_are_reused(lab) -> None:
    lab.add_label(lab.add_scene(), truth_of(lab))
    lab.add_model()
    lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], probability=False)
    first = check(lab, "floods-labels")
    again = check(lab, ["floods-labels/scene-1"], model="models/flood-tiny-1")
    assert lab.loaded == 1
    assert again.reused
    assert (again.run, again.metrics, again.details) == (first.run, first.metrics, first.details)
    assert first.metrics["miou"] == 1.0


def test_classes_are_matched_by_name_not_by_value(lab) -> None:
    scene = lab.add_scene()
    values = truth_of(lab)
    other = np.select([values == 0, values == 2], [7, 1], 255)
    swapped = [
        ClassDefinition(value=1, name="water", color="0000FF"),
        ClassDefinition(value=7, name="land", color="00FF00"),
    ]
    lab.add_label(scene, other, classes=swapped)
    lab.add_model()
    assert check(lab, ["floods-labels/scene-1"]).metrics["miou"] == 1.0


def test_other_class_names_are_refused_with_both_lists(lab) -> None:
    scene = lab.add_scene()
    lab.add_label(scene, truth_of(lab), classes=[ClassDefinition(value=0, name="soil", color="000000")])
    lab.add_model()
    with pytest.raises(InvalidInput, match=r"classes land, water, floods-labels/scene-1 has soil"):
        check(lab, ["floods-labels/scene-1"])
    assert lab.workspace.catalog.find_collection("runs") is None


@pytest.mark.parametrize("split", ["train", "validate", "test", None])
def test_labels_of_training_chips_are_told(lab, split) -> None:
    from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
    from terralab.extensions.raster import BandRecord

    scene, other = lab.add_scene(), lab.add_scene(id="other", pixels=lab.pixels(UTM, "abc", 5))
    label, other_label = (lab.add_label(one, truth_of(lab)) for one in (scene, other))
    bands = [BandRecord("B03", "uint16", 0)]
    grid = Grid(UTM.crs, UTM.transform, (64, 64))
    chips = []
    for one, mask in ((scene, label), (other, other_label)):
        stored = lab.workspace.store.put_bytes(one["id"].encode(), f"{one['id']}.tif", "md5")
        chips.append(
            chip_item(
                id=f"{one['id']}-r0",
                collection_id="floods-v1",
                dataset="floods",
                footprint=grid.footprint(WHEN),
                grid=grid,
                features=[Feature("image", stored, bands)],
                target=Target.mask(stored, [], {}),
                valid_share=1,
                scenes=[one],
                label=mask,
                window=(0, 0),
            )
        )
    group = chips_collection(
        id="floods-v1",
        dataset="floods",
        description="Test",
        footprint=grid.footprint(WHEN),
        features=[Feature("image", None, bands)],
        target=Target(Task.SEGMENTATION),
        summaries={"proj:code": ["EPSG:32630"]},
    )
    publish(lab.workspace, [group], chips)
    listed = [{"id": "scene-1-r0", "split": split}, {"id": "other-r0", "split": "train"}]
    lab.add_model(links=[add_dataset(lab, [scene, other, label, other_label], listed)])
    outcome = check(lab, ["floods-labels/scene-1"])
    seen = split in ("train", "validate")
    assert outcome.details["seen_in_training"] is seen
    assert outcome.details["seen_labels"] == (["floods-labels/scene-1"] if seen else [])
    assert bool(outcome.details["warnings"]) is seen


def test_the_same_image_under_another_name_counts_as_seen(lab) -> None:
    lab.add_label(lab.add_scene(id="copy"), truth_of(lab))
    lab.add_model(links=[add_dataset(lab, [lab.add_scene(id="original")])])
    assert check(lab, ["floods-labels/copy"]).details["seen_in_training"] is True


def test_unknown_training_data_is_said(lab) -> None:
    lab.add_label(lab.add_scene(), truth_of(lab))
    lab.add_model()
    outcome = check(lab, ["floods-labels/scene-1"])
    assert outcome.details["seen_in_training"] == "unknown"
    assert "does not know" in outcome.details["warnings"][0]
    assert check(lab, ["floods-labels/scene-1"]).details == outcome.details


def test_bad_labels(lab) -> None:
    scene = lab.add_scene()
    lab.add_model()
    with pytest.raises(UnknownName, match="no collection is called 'floods-labels'"):
        check(lab, ["floods-labels/scene-1"])
    with pytest.raises(InvalidInput, match="is no label"):
        check(lab, ["floods-scenes/scene-1"])
    small = Grid(UTM.crs, UTM.transform, (100, 220))
    lab.add_label(scene, truth_of(lab)[:100], grid=small)
    with pytest.raises(GridMismatch, match=r"differ in size: 220 x 150 and 220 x 100"):
        check(lab, ["floods-labels/scene-1"])
    lab.add_label(scene, np.full(UTM.shape, 255), collection="empty-labels")
    with pytest.raises(InvalidInput, match="no pixel has both"):
        check(lab, ["empty-labels"])
    with pytest.raises(InvalidInput, match="labels"):
        check(lab, [])
