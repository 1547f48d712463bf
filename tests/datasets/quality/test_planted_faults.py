"""Faults planted into a simulated dataset are found, by chip; the clean dataset gives no alarm."""

import json
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.workspace import Workspace
from terralab.flows.progress import LogProgress
from terralab.flows.quality import QualityRequest, judge_dataset
from terralab.flows.recorded_run import Outcome
from tests.datasets.quality.planted import chips_of, onboard_clean, plant

REAL_CLOUDS = "much_cloud"
"""The simulated scenes have real clouds of their own."""
EXPECTED = {
    "swapped": "bands_exchanged",
    "cloudy": "much_cloud",
    "nodata": "much_nodata",
    "wrong": "suspected_labels",
    "blurred": "blurred",
    "clipped": "much_saturated",
    "shifted": "chip_labels_shifted",
    "exact": "exact_duplicates",
    "near": "near_duplicates",
    "leak": "leak_exact",
}


@pytest.fixture
def clean(workspace: Workspace, tmp_path: Path) -> tuple[Workspace, Outcome]:
    """Return a lab with the clean dataset, and its quality run."""
    onboard_clean(workspace, tmp_path / "in", scenes=8)
    return workspace, judge(workspace)


def judge(workspace: Workspace) -> Outcome:
    return judge_dataset(workspace, QualityRequest(name="sim"), LogProgress())


def report_of(workspace: Workspace, outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workspace.store.open_path(outcome.details["report"]).read_text())
    return found


def found_chips(report: dict[str, Any]) -> dict[str, set[str]]:
    return {entry["id"]: set(entry["chips"]) for entry in report["findings"]}


def chosen(workspace: Workspace) -> dict[str, list[str]]:
    """Choose chips with edges, without clouds and gaps; the pairs of copies come from different scenes."""
    chips = chips_of(workspace)
    qa = {chip["id"]: chip["properties"]["lab:qa"] for chip in chips}
    split = {chip["id"]: chip["properties"]["ml-aoi:split"] for chip in chips}
    plain = [
        id
        for id, known in qa.items()
        if known["nodata"] == 0 and known["cloud"] < 0.01 and known.get("edge_agreement", 0) > 0.6
    ]
    train = [id for id in plain if split[id] == "train"]
    test = [id for id in plain if split[id] == "test"]
    pairs = {"exact": [train[0], train[-1]], "near": [train[1], train[-2]], "leak": [train[2], test[0]]}
    rest = iter([id for id in plain if all(id not in pair for pair in pairs.values())])
    sizes = {"shifted": 5, "swapped": 3, "cloudy": 3, "wrong": 3, "blurred": 2, "clipped": 2, "nodata": 3}
    return {**{kind: [next(rest) for _ in range(size)] for kind, size in sizes.items()}, **pairs}


def test_planted_faults_are_found_and_the_clean_dataset_gives_no_alarm(clean: tuple[Workspace, Outcome]) -> None:
    workspace, outcome = clean
    before = report_of(workspace, outcome)
    assert before["level"] == "Q2"
    assert [entry["id"] for entry in before["findings"] if entry["weight"] != "note"] in ([], [REAL_CLOUDS])
    assert before["review_queue"] == []
    cloudy_before = found_chips(before).get(REAL_CLOUDS, set())

    planted = chosen(workspace)
    plant(workspace, planted)
    after = report_of(workspace, judge(workspace))
    found = found_chips(after)

    assert after["level"] == "Q1"
    for kind, finding in EXPECTED.items():
        assert set(planted[kind]) <= found.get(finding, set()), (kind, finding)
    # And nothing else is blamed for it.
    assert found["bands_exchanged"] == set(planted["swapped"])
    assert found["much_nodata"] == set(planted["nodata"])
    assert found["much_cloud"] - cloudy_before == set(planted["cloudy"])
    assert found["chip_labels_shifted"] == set(planted["shifted"])
    assert found["exact_duplicates"] == {*planted["exact"], *planted["leak"]}
    assert found["near_duplicates"] == set(planted["near"])
    assert found["leak_exact"] == set(planted["leak"])
    # The labels of a chip with exchanged bands do not fit it either.
    assert found["suspected_labels"] <= {*planted["wrong"], *planted["shifted"], *planted["swapped"]}
    assert after["review_queue"][0]["chip"] in planted["wrong"]
    qa = {chip["id"]: chip["properties"]["lab:qa"] for chip in chips_of(workspace)}
    for id in planted["shifted"]:
        assert (qa[id]["edge_shift_rows"], qa[id]["edge_shift_columns"]) == (-4, -3)
    assert all(qa[id]["duplicate"] and qa[qa[id]["duplicate_of"]]["duplicate"] for id in planted["exact"])
    assert all(qa[qa[id]["near_duplicate_of"]]["near_duplicate"] for id in planted["near"])
    assert all(qa[id]["bands_exchanged"] for id in planted["swapped"])
