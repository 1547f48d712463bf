"""Decisions on labels: what becomes of chips, labels, the collection and the next version."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from shapely.geometry import box, mapping

from terralab.catalog.errors import InvalidInput, LabError, UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.workspace import Workspace
from terralab.datasets.review.queue import open_suspects
from terralab.extensions.chips import ChipRecord
from terralab.extensions.labels import LabelRecord
from terralab.flows.checked_request import checked_request
from terralab.flows.progress import LogProgress
from terralab.flows.quality import QualityRequest, judge_dataset
from terralab.flows.recorded_run import Outcome
from terralab.flows.review import ReviewRequest, review_labels
from terralab.flows.version import VersionRequest, version_dataset
from tests.datasets.quality.planted import chips_of, onboard_clean, pixels_of, plant


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Workspace:
    """Return a lab with a small dataset."""
    onboard_clean(workspace, tmp_path / "in", scenes=5, size=128)
    return workspace


def decide(workspace: Workspace, decision: str, chips: list[str], label: Path | None = None) -> Outcome:
    pattern = stage(workspace.settings, [label]) if label else None
    request = checked_request(ReviewRequest, name="sim", decision=decision, chips=chips, label=pattern)
    return review_labels(workspace, request, LogProgress())


def write_mask(path: Path, chip: dict[str, Any], mask: np.ndarray, **profile: Any) -> Path:
    grid = ChipRecord.of_item(chip).grid
    known = {"crs": grid.crs, "transform": rasterio.Affine(*grid.transform), "dtype": mask.dtype, "count": 1}
    shape = {"height": mask.shape[0], "width": mask.shape[1]}
    with rasterio.open(path, "w", driver="GTiff", **{**known, **shape, **profile}) as file:
        file.write(mask, 1)
    return path


def write_polygons(path: Path, features: list[tuple[Any, Any]]) -> Path:
    entries = [
        {"type": "Feature", "geometry": mapping(geometry), "properties": {"class": name}} for geometry, name in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": entries}))
    return path


def test_fix_by_raster_makes_a_new_label_and_the_next_version_freezes_it(dataset: Workspace, tmp_path: Path) -> None:
    version_dataset(dataset, VersionRequest(name="sim", tag="v1.0.0"), LogProgress())
    chip = chips_of(dataset)[2]
    before = ChipRecord.of_item(chip)
    mask = np.full((64, 64), 1, np.uint8)
    mask[:, :10] = 255
    outcome = decide(dataset, "fix", [chip["id"]], write_mask(tmp_path / "new.tif", chip, mask, nodata=255))

    changed = dataset.catalog.item("sim-v1", chip["id"])
    after = ChipRecord.of_item(changed)
    assert (pixels_of(dataset, changed)[1] == mask).all()
    assert after.class_counts == {"class_0": 0, "class_1": 54 * 64, "class_2": 0, "class_3": 0}
    assert after.version is None
    assert after.qa["reviewed"] is True
    label = dataset.catalog.item(*outcome.produced[0])
    assert (after.label.collection, after.label.id) == (label["collection"], label["id"])
    links = {link["rel"]: link["href"] for link in label["links"]}
    assert links["predecessor-version"] == before.label.href
    assert links["processing-execution"].endswith(outcome.run)
    assert LabelRecord.of_item(label).class_counts == after.class_counts
    counts = dataset.catalog.collection("sim-v1")["lab:class_counts"]
    total: dict[str, int] = {}
    for other in chips_of(dataset):
        for name, count in other["properties"]["lab:class_counts"].items():
            total[name] = total.get(name, 0) + count
    assert counts == total
    assert decide(dataset, "accept", [chip["id"]]).metrics == {"chips": 1}

    version_dataset(dataset, VersionRequest(name="sim", tag="v1.1.0"), LogProgress())
    manifests = [
        json.loads(dataset.store.open_path(item["assets"]["manifest"]["href"]).read_bytes())
        for item in (dataset.catalog.item("datasets", f"sim-v1-{minor}-0") for minor in (0, 1))
    ]
    first, second = ({file["relpath"]: file["md5"] for file in manifest["files"]} for manifest in manifests)
    assert {name for name in first if first[name] != second[name]} == {f"masks/{chip['id']}.tif"}


def test_fix_by_polygons_changes_what_they_cover_to_the_pixel(dataset: Workspace, tmp_path: Path) -> None:
    from pyproj import Transformer
    from shapely import transform

    chip = chips_of(dataset)[0]
    grid = ChipRecord.of_item(chip).grid
    _, before = pixels_of(dataset, chip)
    left, top = grid.transform[2], grid.transform[5]
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)

    def lonlat(rows: slice, columns: slice) -> Any:
        native = box(left + 10 * columns.start, top - 10 * rows.stop, left + 10 * columns.stop, top - 10 * rows.start)
        return transform(native, lambda points: np.stack(to_lonlat.transform(*points.T), axis=1))

    one, other = (slice(5, 20), slice(8, 30)), (slice(40, 50), slice(0, 64))
    path = write_polygons(tmp_path / "fix.geojson", [(lonlat(*one), "class_3"), (lonlat(*other), None)])
    expected = before.copy()
    expected[one], expected[other] = 3, 255
    outcome = decide(dataset, "fix", [chip["id"]], path)
    assert (pixels_of(dataset, dataset.catalog.item("sim-v1", chip["id"]))[1] == expected).all()
    assert outcome.metrics["changed_pixels"] == (expected != before).sum()


def test_drop_takes_chips_out_and_the_run_keeps_them(dataset: Workspace) -> None:
    ids = [chip["id"] for chip in chips_of(dataset)]
    items = {chip["id"]: chip for chip in chips_of(dataset)}
    outcome = decide(dataset, "drop", ids[:2])
    assert [chip["id"] for chip in chips_of(dataset)] == ids[2:]
    run = dataset.catalog.item("runs", outcome.run)
    kept = json.loads(dataset.store.open_path(run["assets"]["dropped"]["href"]).read_text())
    assert kept == [items[id] for id in ids[:2]]
    with pytest.raises(UnknownName, match="dropped"):
        decide(dataset, "drop", ids[:1])


def test_queue_has_the_wrong_label_until_somebody_decides(workspace: Workspace, tmp_path: Path) -> None:
    onboard_clean(workspace, tmp_path / "in", scenes=8)
    plain = [chip for chip in chips_of(workspace) if min(chip["properties"]["lab:class_counts"].values()) > 100]
    wrong = plain[0]["id"]
    plant(workspace, {"wrong": [wrong]})
    collection = workspace.catalog.collection("sim-v1")
    with pytest.raises(InvalidInput, match="datasets qa sim"):
        open_suspects(workspace, collection)
    judge_dataset(workspace, QualityRequest(name="sim"), LogProgress())
    waiting = open_suspects(workspace, workspace.catalog.collection("sim-v1"))
    assert waiting[0]["chip"] == wrong
    assert waiting[0]["reasons"]
    decide(workspace, "accept", [wrong])
    left = open_suspects(workspace, workspace.catalog.collection("sim-v1"))
    assert wrong not in [entry["chip"] for entry in left]
    again = judge_dataset(workspace, QualityRequest(name="sim"), LogProgress())
    assert not again.reused  # the level depends on what was reviewed
    assert workspace.catalog.item("sim-v1", wrong)["properties"]["lab:qa"]["reviewed"] is True


FAR = box(100, 10, 100.01, 10.01)
BOW_TIE = {"type": "Polygon", "coordinates": [[[-3, 37.9], [-2.99, 37.91], [-2.99, 37.9], [-3, 37.91], [-3, 37.9]]]}


BAD_POLYGONS: list[tuple[Any, str]] = [
    ("nothing", "JSON"),
    ({"type": "Topology"}, "GeoJSON"),
    ({"type": "FeatureCollection", "features": []}, "no features"),
    ({"type": "FeatureCollection", "features": [{"geometry": None}]}, "geometry"),
    ({"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}}, "give polygons"),
    ({"type": "Feature", "geometry": mapping(FAR), "properties": {"class": "class_1"}}, "outside the chip"),
    ({"type": "Feature", "geometry": BOW_TIE, "properties": {"class": "class_1"}}, "Self-intersection"),
    ({"type": "Feature", "geometry": mapping(FAR), "crs": {"properties": {"name": "EPSG:3857"}}}, "RFC 7946"),
]


def test_bad_polygons_are_refused(dataset: Workspace, tmp_path: Path) -> None:
    chip = chips_of(dataset)[0]
    inside = box(*ChipRecord.of_item(chip).footprint.geometry.bounds)
    unknown = {"type": "Feature", "geometry": mapping(inside), "properties": {"class": "lava"}}
    parts = [{**unknown, "properties": {"class": name}} for name in ("class_0", "class_1")]
    more = [(unknown, "is no class"), ({"type": "FeatureCollection", "features": parts}, "overlap")]
    for number, (content, message) in enumerate([*BAD_POLYGONS, *more]):
        path = tmp_path / f"bad-{number}.geojson"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(InvalidInput, match=message):
            decide(dataset, "fix", [chip["id"]], path)


def test_bad_rasters_and_requests_are_refused(dataset: Workspace, tmp_path: Path) -> None:
    chip = chips_of(dataset)[0]
    good = np.zeros((64, 64), np.uint8)
    for name, mask, profile, message in (
        ("value", np.full((64, 64), 9, np.uint8), {}, "9 is no class"),
        ("shape", np.zeros((32, 32), np.uint8), {}, "not on the chip's grid"),
        ("place", good, {"crs": "EPSG:32645"}, "not on the chip's grid"),
    ):
        with pytest.raises(InvalidInput, match=message):
            decide(dataset, "fix", [chip["id"]], write_mask(tmp_path / f"{name}.tif", chip, mask, **profile))
    path = write_mask(tmp_path / "good.tif", chip, good)
    with pytest.raises(LabError, match="one chip"):
        decide(dataset, "fix", ["a", "b"], path)
    with pytest.raises(LabError, match="needs the corrected"):
        decide(dataset, "fix", [chip["id"]])
    assert dataset.catalog.item("sim-v1", chip["id"]) == chip
