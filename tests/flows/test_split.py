"""The split flow: written on the chips and the collection, repeatable, and honest about leaks."""

import json
from pathlib import Path
from typing import Any

import pytest

from terralab.catalog.errors import InvalidInput, TooFewChips, UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.simulate import write_scenes
from terralab.flows.in_lab import checked_request
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome
from terralab.flows.split import SplitRequest, split_dataset
from terralab.flows.version import VersionRequest, version_dataset


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


def test_a_file_or_a_property_gives_the_split(dataset: Workspace, tmp_path: Path) -> None:
    ids = sorted(assignment(dataset))
    listed = {id: "train" if place % 2 else "test" for place, id in enumerate(ids[:-1])}
    (tmp_path / "split.csv").write_text("id,split\n" + "".join(f"{id},{name}\n" for id, name in listed.items()))
    outcome = split(dataset, method="given", given=stage(dataset.settings, [tmp_path / "split.csv"]))
    assert assignment(dataset) == {**listed, ids[-1]: None}
    assert outcome.details["report"]["left_out_by"] == {"no split given": 1}
    split(dataset, method="given")
    assert assignment(dataset) == {**listed, ids[-1]: None}
    with pytest.raises(InvalidInput, match="outside"):
        split(dataset, method="given", given="/etc/hostname")


def test_folds_are_on_every_chip_and_go_with_the_next_split(dataset: Workspace) -> None:
    report = split(dataset, folds=3, block_size=1).details["report"]
    chips = list(dataset.catalog.search(collections=["sim-v1"]))
    folds = [chip["properties"]["lab:fold"] for chip in chips]
    assert [folds.count(fold) for fold in range(3)] == [own["chips"]["test"] for own in report["folds"]]
    by_fold = {chip["properties"]["lab:fold"]: chip["properties"]["ml-aoi:split"] for chip in chips}
    assert by_fold == {0: "test", 1: "validate", 2: "train"}
    assert dataset.catalog.collection("sim-v1")["summaries"]["lab:fold"] == [0, 1, 2]
    split(dataset)
    assert not any("lab:fold" in chip["properties"] for chip in dataset.catalog.search(collections=["sim-v1"]))
    assert "lab:fold" not in dataset.catalog.collection("sim-v1")["summaries"]


def test_a_leak_is_marked_on_the_collection_and_found_on_the_version(dataset: Workspace) -> None:
    split(dataset)
    version_dataset(dataset, VersionRequest(name="sim", tag="v1.0.0"), LogProgress())
    assert dataset.catalog.collection("sim-v1")["lab:leaks"] is False
    first, second = sorted(assignment(dataset))[:2]
    chip = dataset.catalog.item("sim-v1", second)
    chip["properties"]["lab:qa"] = {"near_duplicate_of": first}
    publish(dataset, items=[chip])
    given = dict.fromkeys(assignment(dataset), "train")
    outcome = split(dataset, method="given", given={**given, second: "test"})
    assert outcome.details["report"]["duplicate_pairs"]["train_test"] == 1
    assert dataset.catalog.collection("sim-v1")["lab:leaks"] is True
    version_dataset(dataset, VersionRequest(name="sim", tag="v1.1.0"), LogProgress())
    leaking = {"op": "=", "args": [{"property": "lab:leaks"}, True]}
    found = dataset.catalog.search(collections=["datasets"], filter=leaking)
    assert [item["id"] for item in found] == ["sim-v1-1-0"]


def test_the_run_keeps_the_report_and_a_map(dataset: Workspace) -> None:
    outcome = split(dataset, method="stratified")
    assets = dataset.catalog.item("runs", outcome.run)["assets"]
    assert dataset.store.open_path(assets["map"]["href"]).read_bytes().startswith(b"\x89PNG")
    assert json.loads(dataset.store.open_path(assets["report"]["href"]).read_text())["method"] == "stratified"


def test_chips_are_grouped_by_a_property(dataset: Workspace) -> None:
    chips = list(dataset.catalog.search(collections=["sim-v1"]))
    for chip in chips:
        chip["properties"]["place"] = f"row {chip['properties']['lab:params']['row'] // 16}"
    publish(dataset, items=chips)
    split(dataset, method="group", group_by="place")
    of_place: dict[str, set[str]] = {}
    for chip in dataset.catalog.search(collections=["sim-v1"]):
        of_place.setdefault(chip["properties"]["place"], set()).add(chip["properties"]["ml-aoi:split"])
    assert len(of_place) == 5
    assert all(len(splits) == 1 for splits in of_place.values())


def test_bad_requests_say_what_to_do(dataset: Workspace) -> None:
    with pytest.raises(TooFewChips, match="use smaller chips"):
        split(dataset, method="group")
    with pytest.raises(InvalidInput, match="add up to 1"):
        split(dataset, train_share=0.9)
    with pytest.raises(InvalidInput, match="method"):
        split(dataset, method="guess")
    with pytest.raises(UnknownName, match="did you mean sim"):
        split_dataset(dataset, SplitRequest(name="sin"), LogProgress())
    for wrong, match in (
        ({"method": "distance"}, "needs `buffer`"),
        ({"folds": 3, "train_share": 0.8, "validate_share": 0.1, "test_share": 0.1}, "equal size"),
        ({"folds": 1}, "folds"),
        ({"buffer": float("nan")}, "buffer"),
        ({"train_years": [2020]}, "only the method `year`"),
        ({"method": "year", "train_years": [2020], "test_years": [2020]}, "2020 is given to train and to test"),
        ({"group_by": "place"}, "group_by"),
        ({"method": "group", "group_by": "nothing"}, "no chip has the property"),
    ):
        with pytest.raises(InvalidInput, match=match):
            split(dataset, **wrong)
    assert set(assignment(dataset).values()) == {None}
