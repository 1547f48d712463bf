"""`stac terralab …`, run as its users do: a whole static catalog from files, valid by the official schemas."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import yaml
from affine import Affine
from click.testing import CliRunner, Result

from terralab.datasets.stactools_plugin import terralab
from terralab.datasets.static_items import ItemFile
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.record import ItemRef
from terralab.extensions.records import read_record
from tests.conftest import official_schemas

ROOT = Path(__file__).parents[2]
CLASSES = [
    {"value": 0, "name": "land", "color": "c9b28f"},
    {"value": 1, "name": "water", "title": "Open water", "color": "2f6db3"},
]
TEXTS = ("--title", "Title", "--license", "CC-BY-4.0")


@pytest.fixture(scope="session")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plug-in where a wheel would put it; stactools cannot list editable installs."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "stactools").mkdir()
    (folder / "stactools" / "terralab").symlink_to(ROOT / "datasets" / "stactools_namespace")
    return folder


@pytest.fixture
def stac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return `stac terralab` without the second that starting a process takes."""
    schemas = official_schemas()
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "home"))
    if schemas:
        monkeypatch.setenv("TERRALAB_SCHEMAS", str(schemas))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(terralab, arguments)
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.fixture
def files(tmp_path: Path, write_raster: Callable[..., Path]) -> Path:
    """Write a scene, its label, a chip of both, a map, and the files of a model and a dataset version."""
    image = np.arange(3 * 64 * 64, dtype="uint16").reshape(3, 64, 64)
    image[:, :8] = 0
    label = (np.indices((64, 64)).sum(axis=0) % 2).astype("uint8")[None]
    label[0, 0, 0] = 255
    names = ["B2", "B3", "B4"]
    write_raster(tmp_path / "data/Scene_20200501.tif", image, names=names, nodata=0)
    write_raster(tmp_path / "data/label.tif", label, nodata=255)
    chip_transform = (10, 0, 500_160, 0, -10, 4_199_840)
    placed = {"transform": Affine(*chip_transform)}
    write_raster(tmp_path / "data/chip.tif", image[:, 16:48, 16:48], names=names, nodata=0, **placed)
    write_raster(tmp_path / "data/chip_mask.tif", label[:, 16:48, 16:48], nodata=255, **placed)
    write_raster(tmp_path / "data/map.tif", label, nodata=255)
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(CLASSES))
    for name in ("model.safetensors", "config.json", "manifest.json", "chips.dvc"):
        (tmp_path / "data" / name).write_text("{}")
    return tmp_path


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_a_static_catalog_of_every_kind(files: Path, stac: Callable[..., Any]) -> None:
    scene, label = "scenes/scene/scene.json", "labels/label/label.json"
    stac(
        "create-item",
        "imagery",
        "data/Scene_20200501.tif",
        scene,
        "--collection",
        "scenes",
        "--platform",
        "sentinel-2a",
    )
    stac(
        "create-item",
        "labels",
        "data/label.tif",
        label,
        "--collection",
        "labels",
        "--scene",
        scene,
        "--classes",
        "classes.yaml",
    )
    stac(
        "create-item", "chips", "data/chip.tif", "data/chip_mask.tif", "chips/chip/chip.json",
        "--collection", "flood-v1", "--scene", scene, "--label", label, "--dataset", "flood",
        "--classes", "classes.yaml", "--split", "train",
    )  # fmt: skip
    dataset = {
        "id": "flood-v1-0-0", "dataset": "flood", "version": "1.0.0", "chips_collection": "flood-v1",
        "dvc_rev": "a" * 40,
        "dvc_tree": "b" * 32 + ".dir", "manifest": "data/manifest.json", "dvc_file": "data/chips.dvc",
        "sources": [scene, label], "split_counts": {"train": 1},
    }  # fmt: skip
    (files / "dataset.yaml").write_text(yaml.safe_dump(dataset))
    stac("create-item", "dataset", "dataset.yaml", "datasets/v1/v1.json")
    model = {
        "id": "flood-net-1", "name": "flood-net", "version": "1.0.0", "architecture": "UNet",
        "framework_version": "2.10.0", "parameters": 10, "memory_size": 40,
        "weights": "data/model.safetensors", "config": "data/config.json",
        "input": {"bands": ["B02", "B03", "B04"], "mean": [1, 2, 3], "stddev": [1, 1, 1], "size": 32},
        "classes": CLASSES,        "dataset": "flood", "dataset_version": "1.0.0", "metrics": {"test_miou": 0.8},
        "sources": ["datasets/v1/v1.json"],
    }  # fmt: skip
    (files / "model.yaml").write_text(yaml.safe_dump(model))
    stac("create-item", "model", "model.yaml", "models/net/net.json")
    stac(
        "create-item", "prediction", "data/map.tif", "maps/map/map.json", "--collection", "maps",
        "--model", "models/net/net.json", "--source", scene,
    )  # fmt: skip
    run = {
        "id": "predict-1", "run_type": "predict", "status": "succeeded", "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:01:00Z", "sources": ["models/net/net.json", scene], "produced": ["maps/map"],
    }  # fmt: skip
    (files / "run.json").write_text(json.dumps(run))
    stac("create-item", "run", "run.json", "runs/predict/predict.json")
    for kind, folder, id, item in (
        ("imagery", "scenes", "scenes", scene), ("labels", "labels", "labels", label),
        ("chips", "chips", "flood-v1", "chips/chip/chip.json"),
        ("dataset", "datasets", "datasets", "datasets/v1/v1.json"),
        ("model", "models", "models", "models/net/net.json"), ("prediction", "maps", "maps", "maps/map/map.json"),
        ("run", "runs", "runs", "runs/predict/predict.json"),
    ):  # fmt: skip
        stac("create-collection", kind, f"{folder}/collection.json", item, "--id", id, *TEXTS)

    written = sorted(
        path
        for folder in ("scenes", "labels", "chips", "datasets", "models", "maps", "runs")
        for path in (files / folder).rglob("*.json")
    )
    done = stac("validate", *[str(path.relative_to(files)) for path in written], "--json")
    assert json.loads(done.stdout) == {"valid": True, "checked": 14, "problems": []}
    for path in written:
        document = read(path)
        if document["type"] == "Feature":
            read_record(ItemFile.read(path).resolved())
            item = pystac.Item.from_file(str(path))
            for asset in item.assets.values():
                target = Path(str(asset.get_absolute_href()))
                assert asset.extra_fields["file:checksum"] == multihash_of_file(target)
            for link in item.links:
                if link.rel in ("derived_from", "source", "collection"):
                    assert Path(str(link.get_absolute_href())).is_file(), link
        else:
            assert [item.id for item in pystac.Collection.from_file(str(path)).get_items()]
    chip = read_record(ItemFile.read(files / "chips/chip/chip.json").resolved())
    assert (chip.window, chip.split, chip.class_counts) == ((16, 16), "train", {"land": 512, "water": 512})
    assert [band.name for band in chip.bands] == ["B02", "B03", "B04"]
    assert (chip.scene, chip.label) == (
        ItemRef("scenes", "scene_20200501", "feature"),
        ItemRef("labels", "label", "label"),
    )
    made = read_record(read(files / scene))
    assert made.bands["image"][0].statistics.valid_percent == 87.5
    assert made.footprint.start.isoformat() == "2020-05-01T00:00:00+00:00"


def test_what_is_wrong_is_named_and_nothing_is_written(files: Path, stac: Callable[..., Any]) -> None:
    def refused(*arguments: str) -> str:
        return stac("create-item", *arguments, code=1).stderr

    target = ("out.json", "--collection", "scenes")
    assert "give --datetime" in refused("imagery", "data/map.tif", *target, "--bands", "a")
    assert "give their names" in refused("imagery", "data/Scene_20200501.tif", *target, "--bands", "a,b")
    assert "how about 'my-scenes'" in refused(
        "imagery", "data/Scene_20200501.tif", "out.json", "--collection", "My Scenes"
    )
    assert "not a GeoTIFF" in refused("imagery", "classes.yaml", *target)
    (files / "model.yaml").write_text("id: x\nweight: y\n")
    message = refused("model", "model.yaml", "out.json")
    assert "weight: Extra inputs" in message
    assert "name: Field required" in message
    assert not (files / "out.json").exists()


def test_validation_names_the_problem_and_exits_with_3(files: Path, stac: Callable[..., Any]) -> None:
    stac("create-item", "imagery", "data/Scene_20200501.tif", "scene.json", "--collection", "scenes")
    item = read(files / "scene.json")
    item["bbox"] = [0, 0, 1, 1]
    (files / "scene.json").write_text(json.dumps(item))
    done = stac("validate", "scene.json", code=3)
    assert done.stdout.startswith("scene.json: bbox: the bbox is [0, 0, 1, 1]")


def test_collections_refuse_items_that_differ(files: Path, stac: Callable[..., Any]) -> None:
    for name, bands in (("a", "B02,B03,B04"), ("b", "B02,B03,B08")):
        stac(
            "create-item",
            "imagery",
            "data/Scene_20200501.tif",
            f"{name}.json",
            "--id",
            name,
            "--bands",
            bands,
            "--collection",
            "scenes",
        )
    arguments = ("create-collection", "imagery", "collection.json", "a.json", "b.json", "--id")
    assert "differ in the names" in stac(*arguments, "scenes", code=1).stderr
    assert "not 'other'" in stac(*arguments, "other", code=1).stderr


def test_stactools_finds_the_command(namespace: Path, files: Path) -> None:
    command = [str(Path(sys.executable).parent / "stac"), "terralab", "create-item", "imagery"]
    arguments = ["data/Scene_20200501.tif", "scene.json", "--collection", "scenes"]
    environment = {**os.environ, "PYTHONPATH": str(namespace)}
    subprocess.run([*command, *arguments], cwd=files, env=environment, check=True, timeout=120)
    assert read(files / "scene.json")["properties"]["lab:kind"] == "imagery"


def test_the_module_is_the_same_command() -> None:
    command = [sys.executable, "-m", "terralab.datasets.stactools_plugin", "create-item", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for kind in ("imagery", "labels", "chips", "model", "run", "prediction", "dataset"):
        assert kind in done.stdout
