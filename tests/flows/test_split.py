"""The split flow: written on the chips and the collection, repeatable, and honest about leaks."""

from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.errors import InvalidInput, TooFewChips, UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.workspace import Workspace
from terralab.datasets.simulate import write_scenes
from terralab.flows.in_lab import checked_request
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome
from terralab.flows.split import SplitRequest, split_dataset


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Workspace:
    """Return a lab with the dataset `sim`: two scenes of 5 × 5 chips of 16 pixels."""
    pairs = write_scenes(tmp_path / "in", seed=5, count=2, size=80)
    request = OnboardRequest(
        name="sim",
        images=stage(workspace.settings, [image for image, _ in pairs]),
        labels=stage(workspace.settings, [label for _, label in pairs]),
        chip_size=16,
    )
    onboard_dataset(workspace, request, LogProgress())
    return workspace


def split(workspace: Workspace, **values: Any) -> Outcome:
    return split_dataset(workspace, checked_request(SplitRequest, name="sim", **values), LogProgress())


def assignment(workspace: Workspace) -> dict[str, str | None]:
    chips = workspace.catalog.search(collections=["sim-v1"])
    return {chip["id"]: chip["properties"].get("ml-aoi:split") for chip in chips}


def test_split_is_written_on_chips_and_collection(dataset: Workspace) -> None:
    outcome = split(dataset)
    found = assignment(dataset)
    assert set(found.values()) == {"train", "validate", "test"}
    share = sum(value == "train" for value in found.values()) / len(found)
    assert 0.5 <= share <= 0.7
    collection = dataset.catalog.collection("sim-v1")
    assert collection["summaries"]["ml-aoi:split"] == ["train", "validate", "test"]
    report = collection["lab:split_report"]
    assert report["leaks"] is False
    assert report["run"] == outcome.run
    assert outcome.produced == [("sim-v1", "")]
    assert outcome.metrics["overlapping_pairs"] == 0
    groups = {
        chip["id"]: chip["properties"]["lab:split_group"] for chip in dataset.catalog.search(collections=["sim-v1"])
    }
    by_group: dict[str, set[str | None]] = {}
    for id, group in groups.items():
        by_group.setdefault(group, set()).add(found[id])
    assert all(len(splits) == 1 for splits in by_group.values())
    run = dataset.catalog.item("runs", outcome.run)
    assert run["properties"]["lab:run_type"] == "split"


def test_same_split_again_is_reused_and_going_back_restores_it(dataset: Workspace) -> None:
    first = split(dataset, seed=1)
    one = assignment(dataset)
    assert split(dataset, seed=1).reused
    split(dataset, seed=2, method="random")
    assert assignment(dataset) != one
    again = split(dataset, seed=1)
    assert not again.reused
    assert again.run == first.run
    assert assignment(dataset) == one
    assert dataset.catalog.collection("sim-v1")["lab:split_report"]["run"] == first.run


def test_buffer_leaves_train_chips_out(dataset: Workspace) -> None:
    outcome = split(dataset, buffer=100.0, block_size=2)
    report = outcome.details["report"]
    assert report["left_out"] > 0
    assert report["minimum_distance_m"]["train_test"] >= 100
    assert report["touching_pairs"]["train_test"] == 0
    assert sum(value is None for value in assignment(dataset).values()) == report["left_out"]


def test_given_split_is_taken(dataset: Workspace) -> None:
    ids = sorted(assignment(dataset))
    given = {id: ("train", "validate", "test")[place % 3] for place, id in enumerate(ids)}
    split(dataset, method="given", given=given)
    assert assignment(dataset) == given
    with pytest.raises(InvalidInput, match="such as 'nobody'"):
        split(dataset, method="given", given={"nobody": "train"})


def test_bad_requests_say_what_to_do(dataset: Workspace) -> None:
    with pytest.raises(TooFewChips, match="use smaller chips"):
        split(dataset, method="group")
    with pytest.raises(InvalidInput, match="add up to 1"):
        split(dataset, train_share=0.9)
    with pytest.raises(InvalidInput, match="method"):
        split(dataset, method="guess")
    with pytest.raises(UnknownName, match="did you mean sim"):
        split_dataset(dataset, SplitRequest(name="sin"), LogProgress())
    assert set(assignment(dataset).values()) == {None}
