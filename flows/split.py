"""Splitting a dataset's chips into train, validate and test."""

from dataclasses import replace
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field, model_validator

from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.datasets.chip_places import ChipPlace, GroundPlan, scene_of
from terralab.datasets.split_report import distance_rows, split_report, split_rows
from terralab.datasets.splits import Split, SplitMethod, SplitRecipe, split_chips
from terralab.extensions.chips import IMAGE_ASSET, MASK_ASSET, SPLITS
from terralab.extensions.ids import code_version, derived_id
from terralab.extensions.item import Footprint
from terralab.extensions.lab import (
    DATASET_VERSION_PROP,
    DVC_REV_PROP,
    DVC_TREE_PROP,
    SPLIT_GROUP_PROP,
    SPLIT_PROP,
    RunType,
)
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, finished_run, recorded_run

SPLIT_REPORT = "lab:split_report"
_FROZEN = ("version", DATASET_VERSION_PROP, DVC_REV_PROP, DVC_TREE_PROP)
_SUM_TOLERANCE = 1e-6


class SplitRequest(BaseModel):
    """Which dataset to split, and how."""

    name: str = Field(min_length=1, description="Name of the dataset.")
    method: SplitMethod = Field(default=SplitMethod.BLOCK, description="How chips are assigned.")
    train_share: float = Field(default=0.6, ge=0, le=1, description="Share of the chips to train on.")
    validate_share: float = Field(default=0.2, ge=0, le=1, description="Share to validate with.")
    test_share: float = Field(default=0.2, ge=0, le=1, description="Share to test with.")
    seed: int = Field(default=0, ge=0, description="Seed of all random choices.")
    block_size: int | None = Field(default=None, ge=1, le=1000, description="Chips along a block's side.")
    buffer: float = Field(default=0.0, ge=0, description="Train chips nearer than this to others are left out, metres.")
    given: dict[str, str] | None = Field(default=None, description="Chip id → split, for the method `given`.")

    @model_validator(mode="after")
    def _fits(self) -> "SplitRequest":
        total = self.train_share + self.validate_share + self.test_share
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"train_share, validate_share and test_share must add up to 1, not {total:g}")
        if (self.method is SplitMethod.GIVEN) != bool(self.given):
            raise ValueError("the method `given` needs the assignment `given` (chip id → split), and only that method")
        return self

    @property
    def recipe(self) -> SplitRecipe:
        """Return how to split."""
        proportions = (self.train_share, self.validate_share, self.test_share)
        return SplitRecipe(self.method, self.seed, proportions, self.block_size, self.buffer, self.given)


@flow(name="split", description="Assign a dataset's chips to train, validate and test, and report whether that leaks.")
def split(
    name: str,
    method: Literal["block", "random", "group", "given"] = "block",
    train_share: float = 0.6,
    validate_share: float = 0.2,
    test_share: float = 0.2,
    seed: int = 0,
    block_size: int | None = None,
    buffer: float = 0.0,
    given: dict[str, str] | None = None,
) -> State[Any]:
    """Split a dataset in the lab that the environment names.

    Args:
        name: Name of the dataset.
        method: Blocks of chips, single chips, whole scenes, or as given.
        train_share: Share of the chips to train on.
        validate_share: Share to validate with.
        test_share: Share to test with.
        seed: Seed of all random choices.
        block_size: Chips along a block's side; empty to choose.
        buffer: Train chips nearer than this to others are left out, metres.
        given: Chip id → split, for the method `given`.
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
        given=given,
    )


def split_dataset(workspace: Workspace, request: SplitRequest, progress: Progress) -> Outcome:
    """Assign the chips of `<name>-v1`, and write the split on the chips and its report on the collection.

    Raises:
        UnknownName: there is no such dataset.
        TooFewChips: a split would be empty.
        InvalidInput: a given assignment is wrong.
    """
    collection = dataset_chips_collection(workspace, request.name)
    chips = sorted(workspace.catalog.search(collections=[collection["id"]]), key=lambda chip: str(chip["id"]))
    parameters = request.model_dump(mode="json")
    run_id = derived_id(f"split-{request.name}", {"chips": _checksums(chips)}, parameters)
    current = collection.get(SPLIT_REPORT, {}).get("run")
    if current == run_id and (done := finished_run(workspace, run_id)):
        return _with_collection(done, collection)
    footprint = Footprint.union(Footprint.of_item(chip) for chip in chips)
    with recorded_run(
        workspace,
        RunType.SPLIT,
        run_id,
        footprint=footprint,
        params=parameters,
        software={"terralab": code_version()},
        seed=request.seed,
    ) as run:
        progress.step("split")
        plan = _ground_plan(workspace, chips)
        found = split_chips(plan, request.recipe)
        progress.advance(1, 2)
        report = split_report(plan, found, request.recipe)
        progress.advance(2, 2)
        progress.table("splits", "Chips and classes of the splits", split_rows(report))
        progress.table("distances", "Between the splits", distance_rows(report))
        for warning in report["warnings"]:
            progress.message(warning)
        outcome = run.succeed(
            collections=[_described(collection, {**report, "run": run_id})],
            items=[_assigned(chip, found, place) for place, chip in enumerate(chips)],
            produced=[],
            metrics=_metrics(report),
            details={"dataset": request.name, "collection": collection["id"], "report": report},
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


def _checksums(chips: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [chip["id"], *(chip["assets"][key]["file:checksum"] for key in (IMAGE_ASSET, MASK_ASSET))] for chip in chips
    ]


def _ground_plan(workspace: Workspace, chips: list[dict[str, Any]]) -> GroundPlan:
    """Return where the chips lie, with the shapes of their scenes."""
    if not chips:
        raise InvalidInput("the dataset has no chips; onboard it again")
    scenes = {(scene_collection(chip), scene_of(chip)) for chip in chips}
    shapes: dict[str, tuple[int, int]] = {}
    for collection, id in scenes:
        item = workspace.catalog.find_item(collection, id)
        if item is not None:
            rows, columns = item["properties"]["proj:shape"]
            shapes[id] = (int(rows), int(columns))
    return GroundPlan([ChipPlace.of_item(chip, shapes) for chip in chips])


def scene_collection(chip: dict[str, Any]) -> str:
    """Return the collection of the scene that a chip was cut from."""
    link = next(link for link in chip["links"] if link.get("ml-aoi:role") == "feature")
    return str(link["href"]).split("/")[-3]


def _assigned(chip: dict[str, Any], found: Split, place: int) -> dict[str, Any]:
    """Return the chip with its split; what it said of a frozen version no longer holds."""
    properties = {key: value for key, value in chip["properties"].items() if key not in (*_FROZEN, SPLIT_PROP)}
    properties[SPLIT_GROUP_PROP] = found.groups[place]
    name = found.name_of(place)
    if name is not None:
        properties[SPLIT_PROP] = name
    return {**chip, "properties": properties}


def _described(collection: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    present = [name for name in SPLITS if report["chips"][name]]
    summaries = {**collection.get("summaries", {}), SPLIT_PROP: present}
    return {**collection, "summaries": summaries, SPLIT_REPORT: report}


def _metrics(report: dict[str, Any]) -> dict[str, float]:
    touching, overlapping = (sum(report[key].values()) for key in ("touching_pairs", "overlapping_pairs"))
    known = {f"{name}_chips": report["chips"][name] for name in SPLITS}
    distance = report["minimum_distance_m"]["train_test"]
    known |= {"left_out": report["left_out"], "touching_pairs": touching, "overlapping_pairs": overlapping}
    return known if distance is None else {**known, "train_test_distance_m": distance}


def _with_collection(outcome: Outcome, collection: dict[str, Any]) -> Outcome:
    return replace(outcome, produced=[(str(collection["id"]), "")])
