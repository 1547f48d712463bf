"""The map page as a browser shows it, offline and under its strict content security policy."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from PIL import Image

from terralab.catalog.addresses import Mounted
from terralab.catalog.publish import publish
from terralab.extensions.item import item_link
from terralab.extensions.prediction import prediction_item, predictions_collection
from terralab.extensions.raster import ClassDefinition, Grid
from terralab.tiler.app import create_tiler_app

CLASSES = [
    ClassDefinition(value=0, name="land", title="Land", color="D9C7A0"),
    ClassDefinition(value=1, name="water", title="Water", color="1D6FD1"),
]


def test_page_names_everything_and_loads_nothing_from_elsewhere(lab) -> None:
    response = lab.get(f"{lab.LABELS}/map", render="default")
    page = response.text
    assert "script-src 'self'" in response.headers["content-security-policy"]
    for word in ("label-1", "Land", "Water", "forest", "#1F6FB2", "Imagery scene-1", "/items/labels/label-1"):
        assert word in page
    assert not re.findall(r"<script(?![^>]*src=)|style=|onclick=|//(?!testserver)[a-z]+\.", page)
    for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert lab.get(name).status_code == 200
    assert lab.get(f"{lab.SCENE}/map", bidx=1).status_code == 200


CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900", "--no-first-run"]
CHROMIUM += ["--virtual-time-budget=20000", "--disable-background-networking"]
KEYS = """<b id="turn"></b><iframe src="PAGE" width="1200" height="800"></iframe><script>
const wait = (time) => new Promise((done) => setTimeout(done, time));
const say = (text) => document.body.append(Object.assign(document.createElement("p"), {textContent: text}));
onload = async () => {
  const page = document.querySelector("iframe").contentDocument, map = page.getElementById("map");
  const press = (key) => map.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  const text = (id) => page.getElementById(id).textContent;
  // A page that does not change gets no animation frames from headless Chromium, and the map draws in frames.
  const tick = (turn) => { document.getElementById("turn").textContent = turn; return wait(100); };
  const until = async (done) => { for (let turn = 0; turn < 150 && !done(); turn++) await tick(turn); };
  const zoom = () => text("place").split(" ").pop();
  let last = "", same = 0;  // the map first fits itself to the page; only then is a key's effect its own
  const still = () => {
    same = text("place") && text("place") === last ? same + 1 : 0;
    last = text("place");
    return same > 9;
  };
  await until(still);
  const before = zoom(); say(text("place"));
  press("+"); await until(() => zoom() !== before); say(text("place"));
  press("Enter"); await until(() => !text("answer").includes("Click")); say(text("answer"));
};</script>"""


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or pytest.skip("Chromium is not installed")


@pytest.fixture
def served(lab, data_folder: Path) -> Iterator[str]:
    """Publish the real flood scene with its hand label as a prediction, serve it, and yield the map's address."""
    folder = data_folder / "sen1floods11"
    when = datetime(2019, 9, 18, tzinfo=UTC)
    with rasterio.open(folder / "Spain_7370579_S2Hand.tif") as dataset:
        image, transform, crs = dataset.read(), tuple(dataset.transform)[:6], f"EPSG:{dataset.crs.to_epsg()}"
    with rasterio.open(folder / "Spain_7370579_LabelHand.tif") as dataset:
        label = np.where(dataset.read(1) < 0, 255, dataset.read(1)).astype("uint8")
    grid = Grid(crs, transform, label.shape)
    scene = lab.add_scene(image, grid, "flood-scene")
    common = {"collection_id": "flood-predictions", "footprint": grid.footprint(when), "grid": grid, "classes": CLASSES}
    raster = lab.store_cog(label[None], grid, 255, "prediction.tif")
    item = prediction_item(
        id="flood-map",
        raster=raster,
        class_counts={"water": int((label == 1).sum())},
        model={"collection": "models", "id": "flood", "properties": {"mlm:name": "flood"}},
        sources=[scene],
        params={},
        software={"terralab": "0"},
        processed=when,
        links=[item_link("processing-execution", "runs", "run-1")],
        **common,
    )
    collection = predictions_collection(
        id="flood-predictions", title="Flood maps", description="Test", footprint=grid.footprint(when), classes=CLASSES
    )
    publish(lab.workspace, [collection], [item])
    parent = FastAPI()
    tiler = create_tiler_app(lab.workspace.settings)
    parent.mount("/tiles", Mounted(tiler))
    parent.get("/keys", response_class=HTMLResponse)(lambda page: KEYS.replace("PAGE", page))
    parent.router.lifespan_context = lambda app: tiler.router.lifespan_context(tiler)
    server = uvicorn.Server(uvicorn.Config(parent, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/tiles/collections/flood-predictions/items/flood-map/assets/prediction/map"
    server.should_exit = True
    thread.join()


@pytest.mark.browser
def test_map_answers_to_keys(served: str, tmp_path: Path) -> None:
    host, path = served.split("/tiles", 1)
    command = [
        *CHROMIUM,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--run-all-compositor-stages-before-draw",
        "--dump-dom",
        f"{host}/keys?page=/tiles{path}",
    ]
    found = subprocess.run([chromium(), *command], check=True, timeout=120, capture_output=True, text=True).stdout
    before, after, answer = re.findall(r"<p>([^<]*)</p>", found)
    assert float(after.split()[-1]) == pytest.approx(float(before.split()[-1]) + 1)
    assert answer.startswith(("Land", "Water"))


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_map_shows_the_classes(served: str, tmp_path: Path, scheme: str) -> None:
    picture = Path(os.environ.get("TERRALAB_TEST_PICTURES", tmp_path)) / f"map-{scheme}.png"
    command = [chromium(), *CHROMIUM, "--blink-settings=preferredColorScheme=" + ("0" if scheme == "dark" else "1")]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", served]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    for entry in CLASSES:
        assert (pixels == list(bytes.fromhex(entry.color))).all(1).mean() > 0.02
    brightness = pixels.mean(0).mean()
    assert brightness < 150 if scheme == "dark" else brightness > 120
