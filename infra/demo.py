"""The main job from data to map, as `terralab demo` runs it: every step a flow of the running lab.

Without a folder the demo makes simulated Sentinel-2 scenes and holds one back: the model never sees it before it is
mapped. With a folder in the layout of Sen1Floods11 it uses the real scene.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.inbox import stage
from terralab.catalog.settings import Settings
from terralab.datasets.sen1floods11 import CLASSES, find_event
from terralab.datasets.simulate import CLASSES as SIMULATED_CLASSES
from terralab.datasets.simulate import write_scenes
from terralab.infra.flow_client import FlowResult

SIMULATED_SCENES = 4
SEED = 7
MAP_PIXELS = 1024
RunFlow = Callable[[str, dict[str, Any]], FlowResult]
"""Runs a deployed flow by name with parameters and returns its result."""


@dataclass(frozen=True)
class DemoInput:
    """What a demo works on: the dataset's flow parameters, and what the model is to map."""

    name: str
    onboard: dict[str, Any]
    tune: dict[str, Any]
    predict: dict[str, Any]


@dataclass
class DemoReport:
    """What a demo made. `seconds` are by step; metrics are of the untouched test split."""

    dataset: str = ""
    version: str = ""
    model: str = ""
    prediction: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    map_png: str = ""


def run_demo(settings: Settings, folder: Path | None, run_flow: RunFlow) -> DemoReport:
    """Do the whole main job and write a map through the tile API.

    Args:
        settings: of the running lab.
        folder: real files in the layout of Sen1Floods11; None for simulated scenes.
        run_flow: how flows are run.

    Raises:
        LabError: a step failed; what the steps before it made stays.
    """
    report = DemoReport()
    given = _timed(report, "scenes", lambda: _real(settings, folder) if folder else _simulated(settings))
    _timed(report, "onboard", lambda: run_flow("onboard", given.onboard))
    _timed(report, "split", lambda: run_flow("split", {"name": given.name}))
    version = _timed(report, "version", lambda: run_flow("version", {"name": given.name, "tag": "v1.0.0"}))
    tuned = _timed(report, "tune", lambda: run_flow("tune", given.tune))
    report.dataset = f"{given.name}-v1"
    report.version = _made(version, "datasets/")
    report.model = _made(tuned, "models/")
    predicted = _timed(report, "predict", lambda: run_flow("predict", {"model": report.model, **given.predict}))
    report.prediction = next(made for made in predicted.produced if "-predictions/" in made)
    report.metrics = _metrics(settings, report.model)
    report.urls = _urls(settings, report.prediction)
    report.map_png = str(_timed(report, "map", lambda: _save_map(settings, given.name, report.prediction)))
    return report


def _simulated(settings: Settings) -> DemoInput:
    folder = settings.lab.home / "demo" / "scenes"
    scenes = write_scenes(folder, seed=SEED, count=SIMULATED_SCENES)
    training, (unseen, _) = scenes[:-1], scenes[-1]
    name = "demo-landcover"
    onboard = {
        "name": name,
        "images": stage(settings, [image for image, _ in training]),
        "labels": stage(settings, [label for _, label in training]),
        "classes": [entry.model_dump() for entry in SIMULATED_CLASSES],
        "chip_size": 128,
    }
    return DemoInput(name, onboard, {"dataset": name}, {"file": stage(settings, [unseen])})


def _real(settings: Settings, folder: Path) -> DemoInput:
    event = find_event(folder)
    name = f"sen1floods11-{event.event.lower()}"
    onboard = {
        "name": name,
        "images": stage(settings, event.images),
        "labels": stage(settings, event.labels),
        "classes": [entry.model_dump() for entry in CLASSES],
        "datetime": event.date,
        "chip_size": 64,
    }
    items = [f"{name}-scenes/{path.stem.lower()}" for path in event.images]
    return DemoInput(name, onboard, {"dataset": name}, {"items": items})


def _timed(report: DemoReport, step: str, work: Callable[[], Any]) -> Any:
    started = time.monotonic()
    result = work()
    report.seconds[step] = round(time.monotonic() - started, 1)
    return result


def _made(result: FlowResult, prefix: str) -> str:
    return next(made for made in result.produced if made.startswith(prefix))


def _metrics(settings: Settings, model: str) -> dict[str, float]:
    collection, item = model.split("/")
    properties = _get(f"{settings.web.url}/stac/collections/{collection}/items/{item}").json()["properties"]
    found = {key: properties["lab:metrics"][key] for key in ("test_miou", "test_accuracy", "test_mf1")}
    return {**found, "baseline_miou": properties["lab:baseline"]["test_miou"]}


def _urls(settings: Settings, prediction: str) -> dict[str, str]:
    collection, item = prediction.split("/")
    asset = f"{settings.web.url}/tiles/collections/{collection}/items/{item}/assets/prediction"
    return {
        "home": settings.web.url,
        "stac": f"{settings.web.url}/stac",
        "tiles": f"{asset}/tilejson.json",
        "map": f"{asset}/map",
        "prefect": settings.prefect.url,
    }


def _save_map(settings: Settings, name: str, prediction: str) -> Path:
    """Render the prediction in its class colours through the tile API."""
    collection, item = prediction.split("/")
    asset = f"{settings.web.url}/tiles/collections/{collection}/items/{item}/assets/prediction"
    target = settings.lab.home / "demo" / f"{name}-map.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_get(f"{asset}/preview.png?max_size={MAP_PIXELS}").content)
    return target


def _get(url: str) -> httpx.Response:
    try:
        answer = httpx.get(url, timeout=60)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"{url} does not answer ({error}); see `terralab status`") from error
    return answer
