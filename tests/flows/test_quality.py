"""The quality run: what it writes into the catalog, that it can be searched, and that the page needs nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from terralab.catalog.app import create_app
from terralab.catalog.errors import UnknownName
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.quality.recorded import current_run, recorded_quality
from terralab.flows.progress import LogProgress
from terralab.flows.quality import QualityRequest, judge_dataset
from terralab.flows.recorded_run import Outcome
from terralab.flows.version import VersionRequest, version_dataset
from tests.datasets.quality.planted import chips_of, onboard_clean, plant


@pytest.fixture
def judged(workspace: Workspace, tmp_path: Path) -> tuple[Workspace, Outcome]:
    """Return a lab with a small judged dataset."""
    onboard_clean(workspace, tmp_path / "in", scenes=6, size=128)
    plant(workspace, {"cloudy": [chips_of(workspace)[-1]["id"]]})  # so that there is something to show
    return workspace, judge(workspace)


def judge(workspace: Workspace) -> Outcome:
    return judge_dataset(workspace, QualityRequest(name="sim"), LogProgress())


def ids_found(client: TestClient, text: str) -> set[str]:
    wanted = {"collections": "sim-v1", "filter-lang": "cql2-text", "filter": text, "limit": 1000}
    answer = client.get("/stac/search", params=wanted)
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["features"]}


def test_measures_are_on_every_chip_and_can_be_searched(judged: tuple[Workspace, Outcome]) -> None:
    workspace, _ = judged
    qa = {chip["id"]: chip["properties"]["lab:qa"] for chip in chips_of(workspace)}
    assert all({"nodata", "cloud", "blur", "labeled", "usable"} <= known.keys() for known in qa.values())
    limit = sorted(known["cloud"] for known in qa.values())[len(qa) // 2]
    with TestClient(create_app(workspace.settings)) as client:
        few = {id for id, known in qa.items() if known["cloud"] < limit}
        assert ids_found(client, f"lab:qa.cloud < {limit}") == few
        full = {id for id, known in qa.items() if known["nodata"] == 0 and known["usable"]}
        assert ids_found(client, "lab:qa.nodata = 0 AND lab:qa.usable = true") == full
        assert full
        assert "lab:qa" in client.get("/stac/collections/sim-v1/queryables").json()["properties"]


def test_level_and_report_are_on_the_collection_and_the_next_version(judged: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = judged
    collection = workspace.catalog.collection("sim-v1")
    assert collection["lab:quality"]["level"] == outcome.details["level"]
    assert current_run(collection) == outcome.run
    run = workspace.catalog.item("runs", outcome.run)
    assert run["properties"]["lab:run_type"] == "quality"
    assert {asset["type"] for asset in run["assets"].values()} == {"text/html", "application/json"}
    found = recorded_quality(collection, chips_of(workspace))
    assert found is not None
    assert found.level == outcome.details["level"]
    version_dataset(workspace, VersionRequest(name="sim", tag="v1.0.0"), LogProgress())
    version = workspace.catalog.item("datasets", "sim-v1-0-0")
    assert version["properties"]["lab:quality"]["level"] == outcome.details["level"]


def test_repeated_it_is_reused_and_a_changed_chip_makes_it_run_again(judged: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = judged
    again = judge(workspace)
    assert (again.reused, again.run) == (True, outcome.run)
    chip = chips_of(workspace)[0]
    chip["properties"]["ml-aoi:split"] = "test" if chip["properties"]["ml-aoi:split"] == "train" else "train"
    publish(workspace, items=[chip])
    assert recorded_quality(workspace.catalog.collection("sim-v1"), chips_of(workspace)) is None
    changed = judge(workspace)
    assert (changed.reused, changed.run == outcome.run) == (False, False)


def test_freezing_does_not_change_what_was_measured(judged: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = judged
    version_dataset(workspace, VersionRequest(name="sim", tag="v1.0.0"), LogProgress())
    frozen = judge(workspace)
    assert frozen.run != outcome.run  # a version is part of what the level depends on
    rules = {rule["rule"]: rule["met"] for rule in frozen.details["rules"]}
    assert rules["A version holds exactly these chips."]
    assert all(chip["properties"]["lab:dataset_version"] == "1.0.0" for chip in chips_of(workspace))


def test_missing_bytes_are_named_and_keep_the_dataset_from_q1(judged: tuple[Workspace, Outcome]) -> None:
    workspace, _ = judged
    chip = chips_of(workspace)[3]
    path = workspace.store.open_path(chip["assets"]["image"]["href"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    chip["properties"].pop("ml-aoi:split")  # so that there is something new to judge
    publish(workspace, items=[chip])
    outcome = judge(workspace)
    assert outcome.details["level"] == "Q0"
    fault = next(entry for entry in outcome.details["findings"] if entry["id"] == "unusable_files")
    assert fault["chips"] == [chip["id"]]
    found = next(other for other in chips_of(workspace) if other["id"] == chip["id"])
    assert found["properties"]["lab:qa"] == {"usable": False, "problems": 1}


def test_unknown_dataset_is_refused(workspace: Workspace) -> None:
    with pytest.raises(UnknownName):
        judge_dataset(workspace, QualityRequest(name="nothing"), LogProgress())


def page_of(workspace: Workspace, outcome: Outcome) -> Path:
    return workspace.store.open_path(outcome.details["page"])


def test_page_loads_nothing_and_runs_nothing(judged: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = judged
    text = page_of(workspace, outcome).read_text(encoding="utf-8")
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", text)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in text
    report = json.loads(workspace.store.open_path(outcome.details["report"]).read_text(encoding="utf-8"))
    assert f"<b>{report['level']}</b>" in text
    assert all(f"{rule['rule']}" in text for rule in report["rules"])


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_shows_in_a_browser(judged: tuple[Workspace, Outcome], tmp_path: Path, scheme: str) -> None:
    program: Any = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium")
    page = tmp_path / "quality.html"
    shutil.copy(page_of(*judged), page)
    picture = tmp_path / f"{scheme}.png"
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1800"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", page.as_uri()]
    command.append("--blink-settings=preferredColorScheme=" + ("0" if scheme == "dark" else "1"))
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    pixels = np.asarray(Image.open(picture).convert("L"))
    brightness = float(pixels.mean())
    assert brightness < 90 if scheme == "dark" else brightness > 200
    assert len(np.unique(pixels)) > 100  # pictures and plots, not an empty page
