"""Onboarding from files to catalogue."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import AlreadyExists, GridMismatch, InvalidInput, InvalidLabels, InvalidRaster
from terralab.catalog.inbox import stage
from terralab.catalog.workspace import Workspace
from terralab.datasets.sen1floods11 import CLASSES, find_event
from terralab.datasets.simulate import write_scenes
from terralab.extensions.checksum import multihash_of_file
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome


def onboard(workspace: Workspace, images: list[Path], labels: list[Path], name: str = "sim", **more: Any) -> Outcome:
    """Stage files and onboard them."""
    request = OnboardRequest(
        name=name, images=stage(workspace.settings, images), labels=stage(workspace.settings, labels), **more
    )
    return onboard_dataset(workspace, request, LogProgress())


def simulated(folder: Path, count: int = 2, size: int = 96) -> tuple[list[Path], list[Path]]:
    pairs = write_scenes(folder, seed=3, count=count, size=size)
    return [image for image, _ in pairs], [label for _, label in pairs]


def stored_files(workspace: Workspace) -> set[Path]:
    files = workspace.settings.store_folder / "files"
    return {path for path in files.rglob("*") if path.is_file()}


def test_simulated_scenes_become_a_dataset(workspace: Workspace, tmp_path: Path) -> None:
    images, labels = simulated(tmp_path / "in")
    outcome = onboard(workspace, images, labels, chip_size=32, license="CC0-1.0", platform="sentinel-2a")
    assert outcome.details["chips"] + outcome.details["left_out"] == 2 * 9
    assert outcome.details["bands"][0] == "B02"
    assert {pair[0] for pair in outcome.produced} == {"sim-scenes", "sim-labels", "sim-v1"}
    collection = workspace.catalog.collection("sim-v1")
    assert collection["license"] == "CC0-1.0"
    chips = list(workspace.catalog.search(collections=["sim-v1"]))
    assert len(chips) == outcome.details["chips"]
    for chip in chips:
        for asset in chip["assets"].values():
            path = workspace.store.verify(asset["href"])
            assert asset["file:checksum"] == multihash_of_file(path, "md5")
    scene = workspace.catalog.item("sim-scenes", next(item for c, item in outcome.produced if c == "sim-scenes"))
    source = scene["properties"]["lab:params"]["source"]
    assert source["sha256"] == multihash_of_file(tmp_path / "in" / source["file"])[4:]
    assert scene["properties"]["platform"] == "sentinel-2a"
    assert set(scene["assets"]) == {"image", "thumbnail"}
    runs = [link["href"] for link in chips[0]["links"] if link["rel"] == "processing-execution"]
    assert runs == [f"collections/runs/items/{outcome.run}"]


def test_repeating_changes_nothing_and_is_reused(workspace: Workspace, tmp_path: Path) -> None:
    images, labels = simulated(tmp_path / "in", count=1)
    first = onboard(workspace, images, labels, chip_size=32)
    before = stored_files(workspace), list(workspace.catalog.search(collections=["sim-v1"]))
    again = onboard(workspace, images, labels, chip_size=32)
    assert again.reused
    assert again.run == first.run
    assert again.details == first.details
    assert before == (stored_files(workspace), list(workspace.catalog.search(collections=["sim-v1"])))


def test_another_lab_makes_the_same_items(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = simulated(tmp_path / "in", count=1)
    onboard(workspace, images, labels, chip_size=32)
    before = {path.relative_to(workspace.settings.store_folder) for path in stored_files(workspace)}
    items = list(workspace.catalog.search(collections=["sim-v1", "sim-scenes", "sim-labels"]))
    with workspace.catalog.connection() as connection:
        connection.execute("SELECT delete_collection(id) FROM collections")
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "other"))
    from terralab.catalog.settings import Settings

    other = Workspace(Settings())
    onboard(other, images, labels, chip_size=32)
    assert {path.relative_to(other.settings.store_folder) for path in stored_files(other)} == before
    assert list(other.catalog.search(collections=["sim-v1", "sim-scenes", "sim-labels"])) == items


def test_a_taken_name_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    images, labels = simulated(tmp_path / "in")
    onboard(workspace, images[:1], labels[:1], chip_size=32)
    with pytest.raises(AlreadyExists, match="'sim'"):
        onboard(workspace, images, labels, chip_size=32)
    with pytest.raises(AlreadyExists, match="other parameters"):
        onboard(workspace, images[:1], labels[:1], chip_size=48)
    assert len(list(workspace.catalog.search(collections=["sim-scenes"]))) == 1


def test_all_problems_are_told_at_once_and_nothing_is_left(workspace: Workspace, tmp_path: Path) -> None:
    images, labels = simulated(tmp_path / "in", count=3)
    damage = images[1].read_bytes()
    images[1].write_bytes(damage[: len(damage) // 2])
    with rasterio.open(labels[0], "r+") as dataset:
        dataset.write(np.full((1, 4, 4), 9, np.uint8), window=((30, 34), (30, 34)))
    with pytest.raises(InvalidInput) as caught:
        onboard(workspace, images, labels, classes=[{"value": v, "name": f"c{v}", "color": "112233"} for v in range(4)])
    assert images[1].name in str(caught.value)
    assert f"{labels[0].name}: values 9 (16 pixels)" in str(caught.value)
    assert workspace.catalog.collections() == []
    assert stored_files(workspace) == set()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        ("text", InvalidRaster, "not a GeoTIFF"),
        ("shifted", GridMismatch, "position by 0.5 pixels"),
        ("size", GridMismatch, "96 x 96 and 95 x 96"),
        ("crs", GridMismatch, "EPSG:32630 and EPSG:32631"),
        ("empty", InvalidRaster, "every pixel is nodata"),
        ("bands", InvalidInput, "2 band names are given"),
        ("date", InvalidInput, "give --datetime"),
        ("value", InvalidLabels, r"values 3 \(\d+ pixels\) are no class"),
    ],
)
def test_bad_input_is_one_clear_message(
    workspace: Workspace, tmp_path: Path, make: str, error: type[Exception], message: str
) -> None:
    images, labels = simulated(tmp_path / "in", count=1)
    more: dict[str, Any] = {}
    with rasterio.open(images[0]) as image, rasterio.open(labels[0]) as label:
        profile, pixels, mask_profile, mask = image.profile, image.read(), label.profile, label.read()
    if make == "text":
        images[0].write_text("hello")
    elif make == "empty":
        rewrite(images[0], 0 * pixels, profile)
    elif make == "shifted":
        rewrite(
            labels[0], mask, {**mask_profile, "transform": profile["transform"] @ rasterio.Affine.translation(0.5, 0)}
        )
    elif make == "size":
        rewrite(labels[0], mask[:, :, :95], {**mask_profile, "width": 95})
    elif make == "crs":
        rewrite(labels[0], mask, {**mask_profile, "crs": "EPSG:32631"})
    elif make == "bands":
        more["bands"] = ["B02", "B03"]
    elif make == "value":
        more["classes"] = [{"value": v, "name": f"c{v}", "color": "112233"} for v in range(3)]
    elif make == "date":
        images = [images[0].rename(images[0].with_name("place_image.tif"))]
        labels = [labels[0].rename(labels[0].with_name("place_label.tif"))]
    with pytest.raises(error, match=message) as caught:
        onboard(workspace, images, labels, **more)
    assert make == "bands" or images[0].name in str(caught.value) or labels[0].name in str(caught.value)
    assert workspace.catalog.collections() == []
    assert stored_files(workspace) == set()


def rewrite(path: Path, pixels: np.ndarray, profile: dict[str, Any]) -> None:
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.descriptions = [f"band {number}" for number in range(len(pixels))]
        dataset.write(pixels)


def test_real_flood_scene(workspace: Workspace, data_folder: Path) -> None:
    event = find_event(data_folder / "sen1floods11")
    outcome = onboard(
        workspace, event.images, event.labels, "flood", chip_size=64, classes=list(CLASSES), datetime=event.date
    )
    assert outcome.details["class_counts"] == {"land": 192010, "water": 70035}
    assert outcome.details["chips"] == 64
    assert outcome.details["bands"] == [
        "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
    ]  # fmt: skip
    with rasterio.open(event.images[0]) as source, rasterio.open(event.labels[0]) as label:
        image, truth, transform = source.read(), label.read(1), source.transform
    seen = np.zeros(truth.shape, int)
    for chip in workspace.catalog.search(collections=["flood-v1"]):
        row, column = (chip["properties"]["lab:params"][key] for key in ("row", "column"))
        window = (slice(row, row + 64), slice(column, column + 64))
        with rasterio.open(workspace.store.open_path(chip["assets"]["image"]["href"])) as dataset:
            assert dataset.transform.almost_equals(transform @ rasterio.Affine.translation(column, row), 1e-12)
            assert dataset.descriptions == tuple(outcome.details["bands"])
            assert dataset.nodata == 0
            np.testing.assert_array_equal(dataset.read(), image[:, *window])
        with rasterio.open(workspace.store.open_path(chip["assets"]["mask"]["href"])) as dataset:
            np.testing.assert_array_equal(dataset.read(1), np.where(truth[window] == -1, 255, truth[window]))
        seen[window] += 1
    assert (seen == 1).all()
    bands = workspace.catalog.collection("flood-v1")["item_assets"]["image"]["bands"]
    for band, pixels in zip(bands, image, strict=True):
        valid = pixels[pixels != 0].astype(np.float64)
        assert math.isclose(band["statistics"]["mean"], valid.mean(), rel_tol=1e-12)
        assert math.isclose(band["statistics"]["stddev"], valid.std(), rel_tol=1e-10)
    json.dumps(outcome.details)
