"""Splitting a dataset's chips into train, validate and test, or into folds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.inbox import resolve
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.datasets.splitting.chip_place import SCENE, ChipPlace, scene_refs
from terralab.datasets.splitting.given import read_given_file
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.recipe import Split, SplitMethod
from terralab.datasets.splitting.report import split_report
from terralab.datasets.splitting.report_tables import distance_rows, fold_rows, split_rows
from terralab.datasets.splitting.split_chips import split_chips
from terralab.extensions.chips import SPLITS
from terralab.extensions.ids import code_version, derived_id
from terralab.extensions.item import Footprint, asset
from terralab.extensions.lab import (
    DATASET_VERSION_PROP,
    DVC_REV_PROP,
    DVC_TREE_PROP,
    FOLD_PROP,
    LEAKS_PROP,
    SPLIT_GROUP_PROP,
    SPLIT_PROP,
    SPLIT_REPORT_PROP,
    RunType,
)
from terralab.extensions.raster import Grid
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, finished_run, recorded_run
from terralab.flows.split_request import SplitRequest

__all__ = ["SPLIT_REPORT", "SplitRequest", "dataset_chips_collection", "split", "split_dataset"]

SPLIT_REPORT = SPLIT_REPORT_PROP
_FROZEN = ("version", DATASET_VERSION_PROP, DVC_REV_PROP, DVC_TREE_PROP)
_ASSIGNED = (SPLIT_PROP, SPLIT_GROUP_PROP, FOLD_PROP)
_SCENES_AT_ONCE = 500


@flow(name="split", description="Assign a dataset's chips to train, validate and test, and report whether that leaks.")
def split(
    name: str,
    method: Literal["block", "random", "group", "distance", "year", "stratified", "given"] = "block",
    train_share: float = 0.6,
    validate_share: float = 0.2,
    test_share: float = 0.2,
    seed: int = 0,
    block_size: int | None = None,
    buffer: float = 0.0,
    group_by: str | None = None,
    folds: int | None = None,
    train_years: list[int] | None = None,
    validate_years: list[int] | None = None,
    test_years: list[int] | None = None,
    given: dict[str, str] | str | None = None,
    given_by: str = "split",
) -> State[Any]:
    """Split a dataset in the lab that the environment names.

    Args:
        name: Name of the dataset.
        method: Blocks of chips, single chips, whole scenes or places, parts that lie apart, years, equal classes, or as
            given.
        train_share: Share of the chips to train on.
        validate_share: Share to validate with.
        test_share: Share to test with.
        seed: Seed of all random choices.
        block_size: Chips along a block's side; empty to choose.
        buffer: Metres that the splits are kept apart, by leaving chips out.
        group_by: Property of the chips to group by; empty for scenes.
        folds: Number of folds of a cross validation; empty for one split.
        train_years: Years to train on, for the method `year`; empty to assign years in their order.
        validate_years: Years to validate with.
        test_years: Years to test with.
        given: Chip id → split, for the method `given`; or a JSON or CSV file of that in the inbox.
        given_by: Property with the split that chips came with, for the method `given` without an assignment.
    """
    return in_lab(
        split_dataset,
        SplitRequest,
        name=name,
        method=method,
        train_share=train_share,
        validate_share=validate_share,
        test_share=test_share,
        seed=seed,
        block_size=block_size,
        buffer=buffer,
        group_by=group_by,
        folds=folds,
        train_years=train_years,
        validate_years=validate_years,
        test_years=test_years,
        given=given,
        given_by=given_by,
    )


def split_dataset(workspace: Workspace, request: SplitRequest, progress: Progress) -> Outcome:
    """Assign the chips of `<name>-v1`, and write the split on the chips and its report on the collection.

    Raises:
        UnknownName: there is no such dataset.
        TooFewChips: a split would be empty.
        InvalidInput: a given assignment is wrong, or the method lacks what it needs.
    """
    collection = dataset_chips_collection(workspace, request.name)
    chips = sorted(workspace.catalog.search(collections=[collection["id"]]), key=lambda chip: str(chip["id"]))
    if not chips:
        raise InvalidInput("the dataset has no chips; onboard it again")
    given = _read_given(workspace.settings, request.given) if isinstance(request.given, str) else request.given
    recipe = request.recipe(given)
    places = _places(workspace, chips, request)
    parameters = request.model_dump(mode="json")
    inputs = {"chips": _facts(chips, places), **({"given": given} if given else {})}
    run_id = derived_id(f"split-{request.name}", inputs, parameters)
    current = collection.get(SPLIT_REPORT, {}).get("run")
    if current == run_id and (done := finished_run(workspace, run_id)):
        return _with_collection(done, collection)
    with recorded_run(
        workspace,
        RunType.SPLIT,
        run_id,
        footprint=Footprint.union(Footprint.of_item(chip) for chip in chips),
        params=parameters,
        software={"terralab": code_version()},
        seed=request.seed,
    ) as run:
        progress.step("split")
        plan = GroundPlan(places)
        found = split_chips(plan, recipe)
        progress.advance(1, 2)
        report = split_report(plan, found, recipe)
        if request.group_by:
            report["group_by"] = request.group_by
        progress.advance(2, 2)
        run.record.assets = _assets(workspace.store, plan, found, report, str(collection.get("title") or request.name))
        _show(progress, report, run.record.assets)
        outcome = run.succeed(
            collections=[_described(collection, {**report, "run": run_id})],
            items=[_assigned(chip, found, place) for place, chip in enumerate(chips)],
            produced=[],
            metrics=_metrics(report),
            details={
                "dataset": request.name,
                "collection": collection["id"],
                "report": report,
                "warnings": report["warnings"],
            },
        )
    return _with_collection(outcome, collection)


def dataset_chips_collection(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return the chips collection `<name>-v1` of a dataset; `name` may also be that id.

    Raises:
        UnknownName: there is no such dataset.
    """
    for id in (f"{name}-v1", name):
        found = workspace.catalog.find_collection(id)
        if found is not None and found.get("lab:kind") == "chips":
            return found
    known = [str(other["id"]) for other in workspace.catalog.collections() if other.get("lab:kind") == "chips"]
    raise UnknownName.of("dataset", name, [id.removesuffix("-v1") for id in known])


def _read_given(settings: Settings, pattern: str) -> dict[str, str]:
    files = resolve(settings, pattern)
    if len(files) != 1:
        raise InvalidInput(f"given: {pattern!r} names {len(files)} files; name one")
    return read_given_file(files[0])


def _places(workspace: Workspace, chips: Sequence[Mapping[str, Any]], request: SplitRequest) -> list[ChipPlace]:
    """Return what splitting has to know of the chips."""
    grids = _scene_grids(workspace, chips)
    group_by = request.group_by or (SCENE if request.method is SplitMethod.GROUP else None)
    own = request.method is SplitMethod.GIVEN and not request.given
    return [ChipPlace.of_item(chip, grids, group_by, request.given_by if own else None) for chip in chips]


def _scene_grids(workspace: Workspace, chips: Sequence[Mapping[str, Any]]) -> dict[str, Grid]:
    """Return the grids of the scenes that the chips' first features were cut from."""
    wanted: dict[str, set[str]] = {}
    for chip in chips:
        for ref in scene_refs(chip)[:1]:
            wanted.setdefault(ref.collection, set()).add(ref.id)
    grids = {}
    for collection, ids in wanted.items():
        ordered = sorted(ids)
        for start in range(0, len(ordered), _SCENES_AT_ONCE):
            part = ordered[start : start + _SCENES_AT_ONCE]
            for item in workspace.catalog.search(collections=[collection], ids=part):
                if item["properties"].get("proj:transform"):
                    grids[str(item["id"])] = Grid.of_properties(item["properties"])
    return grids


def _facts(chips: Sequence[Mapping[str, Any]], places: Sequence[ChipPlace]) -> list[list[str]]:
    """Return all that a split depends on: the chips' files, and what is known of each chip."""
    return [
        [repr(place), *(str(entry.get("file:checksum")) for _, entry in sorted(chip["assets"].items()))]
        for chip, place in zip(chips, places, strict=True)
    ]


def _assets(store: Store, plan: GroundPlan, found: Split, report: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Store the map and the report; return the run's assets."""
    from terralab.datasets.splitting.split_map import split_map

    text = json.dumps(report, indent=1, sort_keys=True).encode()
    stored = store.put_bytes(text, "split.json")
    made = {"report": asset(stored, "application/json", ["metadata"], "Report of the split")}
    picture = split_map(plan, found, f"{title}, {report['method']}{' (leaks)' if report['leaks'] else ''}")
    if picture is not None:
        made["map"] = asset(store.put_bytes(picture, "split.png"), "image/png", ["overview"], "Map of the splits")
    return made


def _show(progress: Progress, report: dict[str, Any], assets: Mapping[str, Any]) -> None:
    progress.table("splits", "Chips and classes of the splits", split_rows(report))
    progress.table("distances", "Between the splits", distance_rows(report))
    if rows := fold_rows(report):
        progress.table("folds", "Rounds of the cross validation", rows)
    if "map" in assets:
        progress.image("map", "Map of the splits", assets["map"]["href"])
    for warning in report["warnings"]:
        progress.message(warning)


def _assigned(chip: dict[str, Any], found: Split, place: int) -> dict[str, Any]:
    """Return the chip with its split; what it said of a frozen version no longer holds."""
    properties = {key: value for key, value in chip["properties"].items() if key not in (*_FROZEN, *_ASSIGNED)}
    said = {SPLIT_PROP: found.name_of(place), SPLIT_GROUP_PROP: found.groups[place], FOLD_PROP: found.fold_of(place)}
    properties.update({key: value for key, value in said.items() if value not in (None, "")})
    return {**chip, "properties": properties}


def _described(collection: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    present = [name for name in SPLITS if report["chips"][name]]
    summaries = {**collection.get("summaries", {}), SPLIT_PROP: present}
    if "folds" in report:
        summaries[FOLD_PROP] = [own["fold"] for own in report["folds"]]
    else:
        summaries.pop(FOLD_PROP, None)
    return {**collection, "summaries": summaries, SPLIT_REPORT: report, LEAKS_PROP: report["leaks"]}


def _metrics(report: dict[str, Any]) -> dict[str, float]:
    known: dict[str, float] = {f"{name}_chips": report["chips"][name] for name in SPLITS}
    known["left_out"] = report["left_out"]
    for key in ("touching_pairs", "overlapping_pairs", "duplicate_pairs"):
        known[key] = sum(report[key].values())
    distance = report["minimum_distance_m"]["train_test"]
    return known if distance is None else {**known, "train_test_distance_m": distance}


def _with_collection(outcome: Outcome, collection: dict[str, Any]) -> Outcome:
    return replace(outcome, produced=[(str(collection["id"]), "")])
