"""Datasets of every task, of two dates: measured as far as they can be, and what is not judged is said."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import encode_chip
from terralab.datasets.statistics import BandSums
from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.item import Footprint
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid
from terralab.flows.progress import LogProgress
from terralab.flows.quality import QualityRequest, judge_dataset

CLASSES = [
    ClassDefinition(value=0, name="field", color="112233"),
    ClassDefinition(value=1, name="town", color="993322"),
]
BANDS = [f"{name}_t{date}" for date in (0, 1) for name in ("B03", "B04", "B11")]
TIMES = ("2020-05-01T00:00:00Z", "2020-06-01T00:00:00Z")


def target(workspace: Workspace, task: Task, grid: Grid, number: int) -> Target:
    random = np.random.default_rng(number)
    if task is Task.REGRESSION:
        values = random.normal(size=(1, *grid.shape)).astype("float32")
        content = encode_chip(values, grid, float("nan"), ["biomass"])
        stored = workspace.store.put_bytes(content, "target.tif", "md5")
        return Target(task, stored, band=BandRecord("biomass", "float32", float("nan")))
    if task is Task.DETECTION:
        text = json.dumps({"type": "FeatureCollection", "features": []})
        stored = workspace.store.put_bytes(text.encode(), "boxes.geojson", "md5")
        return Target(task, stored, CLASSES, {"field": number % 2, "town": 1})
    name = CLASSES[number % 2].name
    return Target(task, None, CLASSES, {entry.name: int(entry.name == name) for entry in CLASSES}, [name])


@pytest.mark.parametrize("task", [task for task in Task if task is not Task.SEGMENTATION])
def test_dataset_of_a_task_and_two_dates_is_measured(workspace: Workspace, task: Task) -> None:
    chips = []
    for number in range(24):
        grid = Grid("EPSG:32733", (10, 0, 500000 + 640 * number, 0, -10, 8000000), (32, 32))
        image = np.random.default_rng(number).integers(1, 3000, (6, 32, 32)).astype("uint16")
        image[3:, :8] = 0  # the second date lacks a quarter
        stored = workspace.store.put_bytes(encode_chip(image, grid, 0, BANDS), "image.tif", "md5")
        bands = [
            BandRecord(name, "uint16", 0, BandSums.of_pixels(values, values > 0).statistics())
            for name, values in zip(BANDS, image, strict=True)
        ]
        feature, label = Feature("image", stored, bands, None, TIMES), target(workspace, task, grid, number)
        chips.append(
            chip_item(
                id=f"chip-{number:02d}",
                collection_id="other-v1",
                dataset="other",
                footprint=grid.footprint(datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC)),
                grid=grid,
                features=[feature],
                target=label,
                valid_share=0.75,
                scenes=[{"collection": "other-scenes", "id": f"s{number % 6}"}],
                label={"collection": "other-labels", "id": "labels"},
                split="train" if number % 6 < 4 else "test",
                split_group=f"g{number % 6}",
            )
        )
    collection = chips_collection(
        id="other-v1",
        dataset="other",
        description="Other",
        footprint=Footprint.union(Footprint.of_item(chip) for chip in chips),
        features=[feature],
        target=label,
        summaries={},
        fields={"lab:dataset": "other", "license": "MIT"},
    )
    publish(workspace, [collection], chips)
    outcome = judge_dataset(workspace, QualityRequest(name="other"), LogProgress())
    assert outcome.details["level"] == "Q2"
    report = json.loads(workspace.store.open_path(outcome.details["report"]).read_text())
    assert [entry["band"] for entry in report["bands"]] == ["B03", "B04", "B11"]
    assert any(text.startswith("label errors") for text in report["not_judged"])
    chip = next(workspace.catalog.search(collections=["other-v1"]))
    assert chip["properties"]["lab:qa"]["nodata"] == 0.25
    assert chip["properties"]["datetime"] is None
