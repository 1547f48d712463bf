"""Bad input, as a user of a real lab meets it: one clear line, an exit code, and nothing half-made left behind.

One lab serves all tests of this module. It holds one good dataset, `good`, which no test may change.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import AlreadyExists, InvalidInput, OutOfSpace, UnknownName
from terralab.catalog.settings import Settings
from terralab.infra.cli.exit_codes import EXIT_CODES
from terralab.infra.flow_client import run_flow
from tests.integration.lab import Lab
from tests.small_disk import small_disk

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

WRONG, UNKNOWN, TAKEN, FULL = (EXIT_CODES[kind] for kind in (InvalidInput, UnknownName, AlreadyExists, OutOfSpace))
SIZE = 64
PLACE = {"crs": "EPSG:32630", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 4_200_000)}
DAY = ("--datetime", "2024-06-01", "--chip-size", "16")
SEARCHED = {"limit": 500, "fields": {"include": ["id", "collection"]}}


class Silent:
    """Watches a run without a word."""

    def state(self, name: str) -> None:
        pass

    def step(self, name: str, percent: float) -> None:
        pass

    def log(self, level: int, message: str) -> None:
        pass


def image(path: Path, size: int = SIZE, names: tuple[str, ...] = ("B02", "B03"), **profile: Any) -> Path:
    """Write an image of two bands whose pixels depend on its name."""
    random = np.random.default_rng(list(os.fsencode(path.name)))
    pixels = random.integers(1, 9000, (2, size, size)).astype("uint16")
    return written(path, pixels, names, **profile)


def label(path: Path, size: int = SIZE, **profile: Any) -> Path:
    """Write a label with the classes 0 (left) and 1 (right)."""
    pixels = np.zeros((1, size, size), "uint8")
    pixels[:, :, size // 2 :] = 1
    return written(path, pixels, (), **profile)


def written(path: Path, pixels: np.ndarray, names: tuple[str, ...], **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    known = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, **PLACE}
    with rasterio.open(path, "w", driver="GTiff", **{**known, **profile}) as dataset:
        if names:
            dataset.descriptions = names
        dataset.write(pixels)
    return path


def honest(folder: Path, name: str = "scene.tif", size: int = SIZE) -> Path:
    """Write an image and its label, of which nothing is wrong."""
    image(folder / "images" / name, size)
    label(folder / "labels" / name, size)
    return folder


def files(folder: Path) -> tuple[str, ...]:
    """Return the options that name the files in a folder's `images` and `labels`."""
    return ("--images", f"{folder}/images/*", "--labels", f"{folder}/labels/*")


def state_of(lab: Lab) -> tuple[set[str], set[str]]:
    """Return the collections and items that the catalog shows, without run items, and the files of the store."""
    collections = httpx.get(f"{lab.web}/stac/collections", params={"limit": 500}).raise_for_status().json()
    shown = {entry["id"] for entry in collections["collections"]} - {"runs"}
    found = httpx.post(f"{lab.web}/stac/search", json=SEARCHED).raise_for_status().json()["features"]
    shown |= {f"{item['collection']}/{item['id']}" for item in found if item["collection"] != "runs"}
    return shown, {str(path) for path in (lab.home / "store" / "files").rglob("*") if path.is_file()}


def runs(lab: Lab) -> dict[str, dict[str, Any]]:
    found = httpx.post(f"{lab.web}/stac/search", json={"collections": ["runs"], "limit": 500})
    return {item["id"]: item["properties"] for item in found.raise_for_status().json().get("features", [])}


def left_in_scratch(lab: Lab) -> list[Path]:
    return sorted((lab.home / "store" / "tmp").glob("*"))


def check_refused(found: subprocess.CompletedProcess[str], code: int, *words: str) -> str:
    """Check that a command ended with one clear error line, and return that line."""
    errors = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, found.stderr
    for noise in ("Traceback", "CPLE_", "rasterio.", "psycopg", "pydantic", "errors.pydantic.dev"):
        assert noise not in found.stderr
    for word in words:
        assert word in errors[0]
    assert found.returncode == code, errors[0]
    assert found.stdout == ""
    return errors[0]


@contextmanager
def nothing_left(lab: Lab) -> Iterator[None]:
    """Check that what happens inside leaves catalog and store as they were, and no run open."""
    before = state_of(lab)
    yield
    assert state_of(lab) == before
    assert left_in_scratch(lab) == []
    assert {run["lab:status"] for run in runs(lab).values()} <= {"succeeded", "failed"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    good = tmp_path_factory.mktemp("good")
    honest(good)
    try:
        lab.run("up", "--detach")
        lab.run("datasets", "onboard", "good", *files(good), *DAY)
        lab.run("datasets", "split", "good")
        lab.run("datasets", "version", "good", "--tag", "v1.0.0")
        yield lab
    finally:
        lab.run("down", check=False)


def other_size(folder: Path) -> None:
    label(folder / "labels" / "scene.tif", size=48)


def other_crs(folder: Path) -> None:
    label(folder / "labels" / "scene.tif", crs="EPSG:32631")


def other_extent(folder: Path) -> None:
    label(folder / "labels" / "scene.tif", transform=PLACE["transform"] @ rasterio.Affine.translation(3, 0))


def half_a_pixel(folder: Path) -> None:
    label(folder / "labels" / "scene.tif", transform=PLACE["transform"] @ rasterio.Affine.translation(0.5, 0.5))


def strange_values(folder: Path) -> None:
    pixels = np.full((1, SIZE, SIZE), 7, "uint8")
    written(folder / "labels" / "scene.tif", pixels, ())
    (folder / "classes.yaml").write_text("[{value: 0, name: land}, {value: 1, name: water}]")


def nameless_bands(folder: Path) -> None:
    image(folder / "images" / "scene.tif", names=())


def truncated(folder: Path) -> None:
    path = image(folder / "images" / "scene.tif")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_in_the_header(folder: Path) -> None:
    path = folder / "images" / "scene.tif"
    path.write_bytes(path.read_bytes()[:20])


def empty_file(folder: Path) -> None:
    (folder / "images" / "scene.tif").write_bytes(b"")


def nothing_but_nodata(folder: Path) -> None:
    written(folder / "images" / "scene.tif", np.zeros((2, SIZE, SIZE), "uint16"), ("B02", "B03"), nodata=0)


def text_as_image(folder: Path) -> None:
    (folder / "images" / "scene.tif").write_text("no picture at all\n")


def label_alone(folder: Path) -> None:
    label(folder / "labels" / "lonely_77.tif")


def vrt_as_image(folder: Path) -> None:
    source = '<SourceFilename relativeToVRT="0">/etc/hostname</SourceFilename>'
    (folder / "images" / "scene.tif").write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource>{source}<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def overviews_elsewhere(folder: Path) -> None:
    with rasterio.open(folder / "images" / "scene.tif", "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/etc/hostname")


def no_place(folder: Path) -> None:
    image(folder / "images" / "scene.tif", crs=None)


def complex_pixels(folder: Path) -> None:
    written(folder / "images" / "scene.tif", np.ones((2, SIZE, SIZE), "complex64"), ("B02", "B03"))


def many_band_label(folder: Path) -> None:
    written(folder / "labels" / "scene.tif", np.ones((2, SIZE, SIZE), "uint8"), ())


def name_without_letters(folder: Path) -> None:
    for part, write in (("images", image), ("labels", label)):
        (folder / part / "scene.tif").unlink()
        write(folder / part / "Зерно.tif")


def name_in_no_utf8(folder: Path) -> None:
    (folder / "images" / "scene.tif").rename(os.fsdecode(os.fsencode(folder / "images") + b"/caf\xe9.tif"))


FILES: dict[Callable[[Path], None], tuple[str, ...]] = {
    other_size: ("scene.tif", "size", "64 x 64", "48 x 48"),
    other_crs: ("scene.tif", "coordinate system", "EPSG:32630", "EPSG:32631"),
    other_extent: ("scene.tif", "position by 3 pixels", "resample the label"),
    half_a_pixel: ("scene.tif", "position by 0.5 pixels", "resample the label"),
    strange_values: ("scene.tif", "7 (4096 pixels)", "the classes are 0, 1"),
    nameless_bands: ("scene.tif", "2 bands have no names", "--bands"),
    truncated: ("scene.tif", "truncated or damaged", "copy it again"),
    cut_in_the_header: ("scene.tif", "copy or export it again"),
    empty_file: ("scene.tif", "not a GeoTIFF"),
    nothing_but_nodata: ("scene.tif", "every pixel is nodata (0)", "leave the file out"),
    text_as_image: ("scene.tif", "not a GeoTIFF, whatever its name says"),
    label_alone: ("lonely_77.tif",),
    vrt_as_image: ("scene.tif", "not a GeoTIFF, whatever its name says"),
    overviews_elsewhere: ("scene.tif", "sends GDAL to other files", "gdal_translate"),
    no_place: ("scene.tif", "no coordinate system", "gdal_edit"),
    complex_pixels: ("scene.tif", "complex64", "real number type"),
    many_band_label: ("scene.tif", "has 2 bands"),
    name_without_letters: ("Зерно.tif", "no letter or digit"),
    name_in_no_utf8: ("caf\\xe9.tif", "rename it"),
}


OPTIONS: dict[tuple[str, ...], tuple[int, tuple[str, ...]]] = {
    ("good", *DAY): (TAKEN, ("'good' already", "choose another name")),
    ("Bad Name", *DAY): (WRONG, ("name", "a-z")),
    ("bad", *DAY, "--bands", "B02"): (WRONG, ("1 band names", "2 bands")),
    ("bad", "--datetime", "yesterday"): (WRONG, ("datetime", "yesterday")),
    ("bad", "--datetime", "2024-06-01", "--chip-size", "17"): (WRONG, ("chip_size", "multiple of 16")),
}
NAMES: dict[tuple[str, ...], tuple[int, tuple[str, ...]]] = {
    ("datasets", "split", "goof"): (UNKNOWN, ("no dataset", "'goof'", "did you mean good")),
    ("datasets", "split", "good", "--train-share", "0.9"): (WRONG, ("train_share", "add up to 1")),
    ("datasets", "version", "goof", "--tag", "v1.0.0"): (UNKNOWN, ("no dataset", "did you mean good")),
    ("datasets", "version", "good", "--tag", "newest"): (WRONG, ("newest", "v1.0.0")),
    ("datasets", "version", "good", "--tag", "v2.0.0"): (WRONG, ("v2.0.0", "v1.x.y")),
    ("datasets", "show", "goof"): (UNKNOWN, ("no collection", "'goof'")),
    ("models", "tune", "goof"): (UNKNOWN, ("no dataset", "'goof'")),
    ("models", "tune", "good", "--version", "1.9.0"): (UNKNOWN, ("1.9.0", "1.0.0")),
    ("models", "tune", "good", "--template", "Segmentatoin"): (UNKNOWN, ("did you mean Segmentation",)),
    ("models", "tune", "good", "--backbone", "timm_resnet81"): (UNKNOWN, ("'timm_resnet81'", "timm_resnet18")),
    ("models", "show", "nothing"): (UNKNOWN, ("no item", "'models/nothing'")),
    ("models", "validate", "nothing", "--labels", "good-labels"): (UNKNOWN, ("no model", "'nothing'")),
    ("predict", "nothing", "--items", "good-scenes/scene"): (UNKNOWN, ("no model", "'nothing'")),
    ("lineage", "good-scenes/scemes"): (UNKNOWN, ("'scemes'", "did you mean scene")),
    ("lineage", "goof-scenes/scene"): (UNKNOWN, ("no collection", "did you mean good-scenes")),
    ("lineage", "../../etc"): (UNKNOWN, ("no collection", "'..'")),
}


@pytest.fixture(scope="module")
def answers(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, subprocess.CompletedProcess[str]]:
    """Run all refused commands, a few at once, and check that together they leave nothing behind."""
    commands: dict[Any, tuple[str | Path, ...]] = {}
    for spoil in FILES:
        folder = honest(tmp_path_factory.mktemp("bad"))
        spoil(folder)
        classes = ("--classes", folder / "classes.yaml") if (folder / "classes.yaml").exists() else ()
        commands[spoil] = ("datasets", "onboard", f"bad-{len(commands)}", *files(folder), *DAY, *classes)
    fine = honest(tmp_path_factory.mktemp("fine"), "other.tif")
    commands |= {options: ("datasets", "onboard", *options, *files(fine)) for options in OPTIONS}
    commands |= {arguments: arguments for arguments in NAMES}
    with nothing_left(lab), ThreadPoolExecutor(3) as pool:
        return dict(zip(commands, pool.map(lambda words: lab.run(*words, check=False), commands.values()), strict=True))


Answers = dict[Any, subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("spoil", FILES, ids=lambda spoil: spoil.__name__)
def test_bad_files_are_refused(answers: Answers, spoil: Callable[[Path], None]) -> None:
    check_refused(answers[spoil], WRONG, *FILES[spoil])


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_bad_options_of_onboarding_are_refused(answers: Answers, options: tuple[str, ...]) -> None:
    code, words = OPTIONS[options]
    check_refused(answers[options], code, *words)


@pytest.mark.parametrize("arguments", NAMES, ids=" ".join)
def test_bad_names_are_refused(answers: Answers, arguments: tuple[str, ...]) -> None:
    code, words = NAMES[arguments]
    check_refused(answers[arguments], code, *words)


def test_odd_but_honest_names_work(lab: Lab, tmp_path: Path) -> None:
    honest(tmp_path, "Überflug [1] 100% é.tif")
    made = lab.json("datasets", "onboard", "odd", *files(tmp_path), *DAY)
    assert made["metrics"]["chips"] == 16
    scene = lab.json("lineage", next(name for name in made["produced"] if name.startswith("odd-scenes/")))
    assert "Überflug [1] 100% é.tif" in str(scene)


def test_too_few_chips_are_told_before_they_are_split(lab: Lab, tmp_path: Path) -> None:
    honest(tmp_path, size=32)
    lab.run("datasets", "onboard", "tiny", *files(tmp_path), "--datetime", "2024-06-01", "--chip-size", "32")
    with nothing_left(lab):
        check_refused(lab.run("datasets", "split", "tiny", check=False), WRONG, "1 chip", "use smaller chips")
        unsplit = lab.run("datasets", "version", "tiny", "--tag", "v1.0.0", check=False)
        check_refused(unsplit, WRONG, "split", "terralab datasets split tiny")
        check_refused(lab.run("models", "tune", "tiny", check=False), WRONG, "terralab datasets version tiny")
    chips = httpx.get(f"{lab.web}/stac/collections/tiny-v1/items").raise_for_status().json()["features"]
    assert [chip["properties"].get("ml-aoi:split") for chip in chips] == [None]


@pytest.mark.parametrize("pattern", ["../../etc/*", "/etc/*", "x/../../../etc/host*", "/etc/nothing-there", "a\0b"])
def test_a_pattern_that_escapes_is_refused_by_the_flow_itself(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    parameters = {"name": "bad", "images": pattern, "labels": pattern}
    with nothing_left(lab), pytest.raises(InvalidInput) as caught:
        run_flow(Settings(), "onboard", parameters, Silent())
    if "\0" not in pattern:
        assert "leads outside the folders that flows may read" in str(caught.value)
    assert "hostname" not in str(caught.value)


@pytest.mark.parametrize("room", [8, 200, 900], ids=lambda room: f"{room} KiB")
def test_a_full_disk_is_one_clear_error(lab: Lab, tmp_path: Path, room: int) -> None:
    """Wherever the disk fills up: in GDAL, when GDAL closes a file, or among the chips."""
    honest(tmp_path, "large.tif", size=400)
    before, _ = state_of(lab)
    with small_disk(lab.home / "store") as disk:
        disk.leave(room * 1024)
        found = lab.run("datasets", "onboard", "full", *files(tmp_path), *DAY, check=False)
        check_refused(found, FULL, "no space left on the disk", "store", "free some and repeat the command")
        assert left_in_scratch(lab) == []
        for path in (lab.home / "store" / "files").rglob("*"):
            algorithm = path.relative_to(lab.home / "store" / "files").parts[0]
            if path.is_file():
                assert hashlib.new(algorithm, path.read_bytes()).hexdigest() == path.parent.name + path.name
    assert state_of(lab)[0] == before
    run = next(run for id, run in runs(lab).items() if id.startswith("onboard-full"))
    assert (run["lab:status"], run["lab:error"]["code"]) == ("failed", OutOfSpace.code)


def test_after_space_is_freed_the_same_command_works(lab: Lab, tmp_path: Path) -> None:
    honest(tmp_path, "large.tif", size=400)
    made = lab.json("datasets", "onboard", "full", *files(tmp_path), *DAY)
    assert made["metrics"]["chips"] == 625
    run = next(run for id, run in runs(lab).items() if id.startswith("onboard-full"))
    assert run["lab:status"] == "succeeded"
    assert "lab:error" not in run


ODD = [
    *("%00", "a%00b", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "....//....//etc"),
    *(
        "a" * 5000,
        "%ff%fe",
        "%ed%a0%80",
        "%F0%9F%8C%8D",
        "'; DROP TABLE items;--",
        "{}",
        "%25s",
        "*",
        " ",
        "%0a",
        "$(id)",
    ),
]
PLACES = [
    *("/files/{}/a.tif", "/files/1220{}/a.tif", "/files/1220" + "00" * 32 + "/{}"),
    *("/stac/collections/{}", "/stac/collections/{}/items", "/stac/collections/good-v1/items/{}"),
    *("/stac/collections/{}/items/{}", "/stac/search?ids={}", "/stac/search?collections={}", "/stac/search?filter={}"),
    *("/stac/collections/good-v1/items?token={}", "/stac/collections/{}/queryables", "/stac/search?bbox={}"),
    *("/stac/search?datetime={}", "/stac/search?sortby={}", "/stac/search?limit={}", "/stac/search?fields={}"),
    *("/items/{}/{}", "/items/good-v1/{}", "/lineage/{}/{}", "/lineage/good-v1/{}", "/collections/{}", "/{}"),
    *("/tiles/collections/{}/items/{}/assets/image/tilejson.json", "/tiles/{}", "/static/{}"),
    *("/tiles/collections/good-scenes/items/{}/assets/image/tilejson.json",),
    *("/tiles/collections/good-scenes/items/scene/assets/{}/tilejson.json",),
    *("/tiles/collections/good-scenes/items/scene/assets/image/preview.png?render={}",),
]


@pytest.mark.parametrize("place", PLACES)
def test_odd_addresses_are_refused_and_never_an_error_of_the_lab(lab: Lab, place: str) -> None:
    with httpx.Client(base_url=lab.web, timeout=20) as client:
        for odd in ODD:
            answer = client.get(place.replace("{}", odd))
            assert answer.status_code < 500, (answer.request.url, answer.text[:300])
            assert "root:" not in answer.text
            assert "Traceback" not in answer.text
