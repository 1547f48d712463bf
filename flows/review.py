"""Decisions on labels: a person accepts, fixes or drops chips, and the next version freezes what was decided."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field, model_validator

from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.inbox import resolve
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import delete_items
from terralab.datasets.cog import encode_chip
from terralab.datasets.quality.chips_collection import find_chips_collection
from terralab.datasets.raster_file import open_raster
from terralab.datasets.review.decided_chip import accepted, changed_collection, pixels_by_class, with_mask
from terralab.datasets.review.mask_file import read_mask
from terralab.extensions.chips import MASK_ASSET, ChipRecord, Task
from terralab.extensions.ids import code_version, derived_id, digest
from terralab.extensions.item import Footprint, asset, derived_from, item_link
from terralab.extensions.lab import CLASS_COUNTS_PROP, RunType
from terralab.extensions.labels import label_item
from terralab.extensions.raster import MASK_NODATA
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run

DROPPED_ASSET = "dropped"
_PREDECESSOR = "predecessor-version"


class Decision(StrEnum):
    """What is to become of a chip."""

    ACCEPT = "accept"
    FIX = "fix"
    DROP = "drop"


class ReviewRequest(BaseModel):
    """Which chips were decided on, and how."""

    name: str = Field(min_length=1, description="Name of the dataset.")
    decision: Decision = Field(description="Accept the label, fix it, or drop the chip.")
    chips: list[str] = Field(min_length=1, max_length=1000, description="Ids of the chips.")
    label: str | None = Field(default=None, description="Pattern of the corrected label: GeoTIFF or GeoJSON.")
    note: str | None = Field(default=None, max_length=1000, description="Why.")

    @model_validator(mode="after")
    def _fits(self) -> "ReviewRequest":
        if (self.decision is Decision.FIX) != bool(self.label):
            raise ValueError("`fix` needs the corrected `label`, and only it does")
        if self.decision is Decision.FIX and len(self.chips) > 1:
            raise ValueError("a corrected label is for one chip; fix the chips one by one")
        if len(set(self.chips)) < len(self.chips):
            raise ValueError("a chip is named twice")
        return self


@flow(name="review", description="Accept, fix or drop chips whose labels a person has looked at.")
def review(
    name: str,
    decision: Literal["accept", "fix", "drop"],
    chips: list[str],
    label: str | None = None,
    note: str | None = None,
) -> State[Any]:
    """Carry out a decision in the lab that the environment names.

    Args:
        name: Name of the dataset.
        decision: Accept the label, fix it, or drop the chip.
        chips: Ids of the chips.
        label: Pattern of the corrected label, relative to the inbox or in a source folder: GeoTIFF or GeoJSON.
        note: Why.
    """
    return in_lab(review_labels, ReviewRequest, name=name, decision=decision, chips=chips, label=label, note=note)


def review_labels(workspace: Workspace, request: ReviewRequest, progress: Progress) -> Outcome:
    """Carry out a decision, and record it as a run.

    Raises:
        UnknownName: there is no such dataset or chip.
        InvalidInput: the corrected label does not fit, or the dataset has no masks.
    """
    collection = find_chips_collection(workspace, request.name)
    chips = [_chip(workspace, collection, id) for id in request.chips]
    label = _only(resolve(workspace.settings, request.label)) if request.label else None
    parameters = {
        "dataset": request.name,
        "collection": str(collection["id"]),
        "decision": request.decision.value,
        "chips": list(request.chips),
        "note": request.note,
    }
    files = [[key, entry["file:checksum"]] for chip in chips for key, entry in sorted(chip["assets"].items())]
    inputs = {"files": files, "label": digest(label.read_bytes().hex()) if label else None}
    run_id = derived_id(f"review-{request.name}", inputs, parameters)
    if done := finished_run(workspace, run_id):
        if request.decision is Decision.DROP:  # an earlier run may have ended just before
            _delete(workspace, chips)
        return done
    with recorded_run(
        workspace,
        RunType.REVIEW,
        run_id,
        footprint=Footprint.union(Footprint.of_item(chip) for chip in chips),
        params={name: value for name, value in parameters.items() if value is not None},
        inputs=[derived_from(chip) for chip in chips] if request.decision is not Decision.DROP else (),
        software={"terralab": code_version()},
    ) as run:
        progress.step(request.decision.value)
        if request.decision is Decision.ACCEPT:
            return run.succeed(items=[accepted(chip) for chip in chips], produced=[], metrics={"chips": len(chips)})
        if request.decision is Decision.DROP:
            return _drop(workspace, run, collection, chips)
        assert label is not None  # `ReviewRequest` has seen to it
        return _fix(workspace, run, collection, chips[0], label)


def _chip(workspace: Workspace, collection: dict[str, Any], id: str) -> dict[str, Any]:
    found = workspace.catalog.find_item(str(collection["id"]), id)
    if found is None:
        raise UnknownName(f"{collection['id']} has no chip {id!r}; it may have been dropped before")
    return found


def _only(files: Sequence[Any]) -> Any:
    if len(files) != 1:
        raise InvalidInput(f"{len(files)} files match the corrected label; give one")
    return files[0]


def _drop(
    workspace: Workspace, run: RecordedRun, collection: dict[str, Any], chips: Sequence[dict[str, Any]]
) -> Outcome:
    """Take chips out of the dataset; the run keeps their items, by which they can be brought back."""
    kept = workspace.store.put_bytes(json.dumps(list(chips), indent=1).encode(), "dropped.json")
    run.record.assets = {DROPPED_ASSET: asset(kept, "application/json", ["metadata"], "The dropped items")}
    less = [chip["properties"].get(CLASS_COUNTS_PROP) or {} for chip in chips]
    outcome = run.succeed(
        collections=[changed_collection(collection, less, [])], produced=[], metrics={"dropped": len(chips)}
    )
    _delete(workspace, chips)
    return outcome


def _delete(workspace: Workspace, chips: Sequence[dict[str, Any]]) -> None:
    with workspace.catalog.connection() as connection:
        delete_items(connection, [(str(chip["collection"]), str(chip["id"])) for chip in chips])


def _fix(
    workspace: Workspace, run: RecordedRun, collection: dict[str, Any], chip: dict[str, Any], label: Any
) -> Outcome:
    """Replace a chip's mask, and publish the label item that it now comes from."""
    record = ChipRecord.of_item(chip)
    mask_file = record.target.file
    if record.target.task is not Task.SEGMENTATION or mask_file is None:
        raise InvalidInput(f"{chip['id']} has no mask (its task is {record.target.task}); accept or drop it")
    with open_raster(workspace.store.verify(mask_file.href)) as dataset:
        before = dataset.read(1)
    mask = read_mask(label, before, record.grid, record.classes)
    counts = pixels_by_class(mask, record.classes)
    name = f"{chip['id']}_{MASK_ASSET}.tif"
    content = encode_chip(mask[None], record.grid, MASK_NODATA, [MASK_ASSET])
    stored = workspace.store.put_bytes(content, name, "md5")
    item = label_item(
        id=f"{str(chip['id'])[:100]}-{stored.checksum[-12:]}",
        collection_id=record.label.collection,
        footprint=record.footprint,
        grid=record.grid,
        raster=stored,
        classes=record.classes,
        class_counts=counts,
        scene={"collection": record.scene.collection, "id": record.scene.id},
        scene_asset=record.features[0].key,
        description=f"Label of the chip {chip['id']}, corrected by a person",
        links=[item_link(_PREDECESSOR, record.label.collection, record.label.id), run.link],
    )
    new_label = derived_from(item, **{"ml-aoi:role": "label"})
    changed = with_mask(chip, stored, counts, new_label, run.link)
    moved = int((mask != before).sum())
    return run.succeed(
        collections=[changed_collection(collection, [record.class_counts], [counts])],
        items=[item, changed],
        produced=[(str(item["collection"]), str(item["id"]))],
        metrics={"changed_pixels": moved},
        details={"chip": chip["id"], "class_counts": counts},
    )
