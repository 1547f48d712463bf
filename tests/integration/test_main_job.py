"""The main job in a real lab, from files to map: what `terralab demo` promises, and what other programs then find.

One lab serves all tests of this module; the demo runs twice, and the second time must change nothing.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from pystac_client import Client

from tests.conftest import ROOT
from tests.integration.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.torch, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        yield lab
    finally:
        lab.run("down", check=False)


@pytest.fixture(scope="module")
def report(lab: Lab, data_folder: Path) -> dict[str, Any]:
    return dict(lab.json("demo", "--from", str(data_folder / "sen1floods11")))


@pytest.fixture(scope="module")
def client(lab: Lab, report: dict[str, Any]) -> Client:
    return Client.open(report["urls"]["stac"])


def test_the_report_has_what_callers_read(report: dict[str, Any]) -> None:
    assert {"dataset", "version", "model", "prediction", "metrics", "seconds", "urls", "map_png"} <= set(report)
    assert {"test_miou", "test_accuracy", "test_mf1", "baseline_miou"} <= set(report["metrics"])
    assert {"stac", "tiles", "map", "prefect"} <= set(report["urls"])
    assert all(0 < value <= 1 for value in report["metrics"].values())


def test_the_model_has_learned_water(report: dict[str, Any]) -> None:
    assert report["metrics"]["test_miou"] > 0.7


def test_the_map_shows_both_classes_in_their_colours(report: dict[str, Any]) -> None:
    pixels = np.asarray(Image.open(report["map_png"]).convert("RGBA"))
    shown = pixels[pixels[..., 3] == 255][:, :3]
    colours, counts = np.unique(shown, axis=0, return_counts=True)
    assert {bytes(colour).hex() for colour in colours} == {"d8c9a3", "1f78b4"}
    assert 0.05 < counts[0] / counts.sum() < 0.6


def test_chips_are_found_by_place_and_split(client: Client, report: dict[str, Any]) -> None:
    everything = list(client.search(collections=[report["dataset"]]).items())
    west, south, east, north = everything[0].bbox
    middle = [(west + east) / 2, (south + north) / 2] * 2
    assert everything[0].id in {item.id for item in client.search(collections=[report["dataset"]], bbox=middle).items()}
    by_split = {
        split: client.search(collections=[report["dataset"]], filter=f"\"ml-aoi:split\" = '{split}'").matched()
        for split in ("train", "validate", "test")
    }
    assert sum(by_split.values()) == len(everything) == 64
    assert min(by_split.values()) >= 8


def test_the_model_is_found_by_mlm_field_and_metric(client: Client, report: dict[str, Any]) -> None:
    for condition in ("mlm:framework = 'PyTorch'", "lab:metrics.test_miou > 0.5"):
        found = client.search(collections=["models"], filter=condition)
        assert [f"models/{item.id}" for item in found.items()] == [report["model"]]


def test_the_prediction_is_found_by_time(client: Client, report: dict[str, Any]) -> None:
    collection, item = report["prediction"].split("/")
    assert [found.id for found in client.search(collections=[collection], datetime="2019-09-18").items()] == [item]
    assert not list(client.search(collections=[collection], datetime="2019-09-19/..").items())


def test_every_asset_opens_from_elsewhere_and_matches_its_checksum(client: Client, report: dict[str, Any]) -> None:
    opened = 0
    for item in client.search(limit=100).items():
        for asset in item.assets.values():
            content = httpx.get(asset.href).raise_for_status().content
            algorithm = "md5" if asset.extra_fields["file:checksum"].startswith("d50110") else "sha256"
            assert asset.extra_fields["file:checksum"].endswith(hashlib.new(algorithm, content).hexdigest())
            assert asset.extra_fields["file:size"] == len(content)
            if asset.media_type.startswith("image/tiff"):
                with rasterio.open(asset.href) as dataset:
                    assert dataset.crs is not None
                opened += 1
    assert opened > 2 * 64


def test_lineage_reaches_the_two_source_files(lab: Lab, report: dict[str, Any], data_folder: Path) -> None:
    text = "".join(lab.run("lineage", report["prediction"]).stdout.split())
    for name in ("Spain_7370579_S2Hand.tif", "Spain_7370579_LabelHand.tif"):
        path = data_folder / "sen1floods11" / name
        assert name in text
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    for made in ("model", "version", "dataset"):
        assert report[made] in text


def test_tiles_meet_without_seams(report: dict[str, Any]) -> None:
    """The four tiles of the next zoom level, side by side, are the tile drawn at twice the size."""
    tilejson = httpx.get(report["urls"]["tiles"]).raise_for_status().json()
    west, south, east, north = tilejson["bounds"]
    zoom = 14
    column = int((((west + east) / 2 + 180) / 360) * 2**zoom)
    latitude = np.radians((south + north) / 2)
    row = int((1 - np.arcsinh(np.tan(latitude)) / np.pi) / 2 * 2**zoom)

    def tile(z: int, x: int, y: int, scale: str = "") -> np.ndarray:
        address = tilejson["tiles"][0].format(z=z, x=x, y=f"{y}{scale}")
        content = httpx.get(address).raise_for_status().content
        return np.asarray(Image.open(BytesIO(content)).convert("RGBA"))

    quarters = [[tile(zoom + 1, 2 * column + dx, 2 * row + dy) for dx in (0, 1)] for dy in (0, 1)]
    whole = tile(zoom, column, row, "@2x")
    joined = np.concatenate([np.concatenate(line, axis=1) for line in quarters])
    assert np.array_equal(joined, whole)


def test_a_rerun_finds_everything_done(lab: Lab, report: dict[str, Any]) -> None:
    counts = lab.json("status")["counts"]
    begun = time.monotonic()
    again = lab.json("demo", "--from", str(report_folder(report)))
    assert time.monotonic() - begun < 300
    for made in ("dataset", "version", "model", "prediction", "metrics"):
        assert again[made] == report[made]
    assert lab.json("status")["counts"] == counts


def report_folder(report: dict[str, Any]) -> Path:
    """Return the folder of real data that the report was made from."""
    return Path(os.environ.get("TERRALAB_TEST_DATA", ROOT.parent / "shared" / "data")) / "sen1floods11"


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("models", "tune", "nothing"), "no dataset", 1),
        (("models", "tune", "sen1floods11-spain", "--template", "Segmentatoin"), "did you mean Segmentation", 1),
        (("models", "tune", "sen1floods11-spain", "--backbone", "timm_resnet81"), "timm_resnet18", 1),
        (("predict", "nothing", "--items", "a/b"), "no model", 1),
        (("datasets", "onboard", "x", "--images", "/nowhere/*.tif", "--labels", "/nowhere/*.tif"), "no file", 1),
    ],
)
def test_wrong_names_are_one_clear_line(
    lab: Lab, report: dict[str, Any], arguments: tuple[str, ...], message: str, code: int
) -> None:
    found = lab.run(*arguments, check=False)
    lines = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, found.stderr
    assert message in lines[0]
    assert "Traceback" not in found.stderr
    assert found.returncode >= code
