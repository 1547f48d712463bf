"""What the catalog knows of a dataset beside its chips' pixels, as far as its quality level depends on it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from terralab.catalog.workspace import Workspace
from terralab.datasets.quality.levels import SUSPECTS_REVIEWED, LevelFacts
from terralab.datasets.quality.review_queue import review_queue
from terralab.datasets.quality.survey import Survey
from terralab.extensions.dataset import DATASETS_COLLECTION
from terralab.extensions.lab import (
    BASELINE_PROP,
    CLASS_COUNTS_PROP,
    DATASET_PROP,
    DATASET_VERSION_PROP,
    DVC_TREE_PROP,
    PARAMS_PROP,
    RUN_TYPE_PROP,
    STATUS_PROP,
    RunStatus,
    RunType,
)
from terralab.extensions.model import MODELS_COLLECTION
from terralab.extensions.run import RUNS_COLLECTION

_NO_LICENSES = ("", "other", "proprietary", "various")


@dataclass(frozen=True)
class Standing:
    """What was done with a dataset.

    Attributes:
        frozen: version that holds exactly its chips, None where there is none.
        version_item: id of that version's item.
        reviewed: ids of the chips that a person has decided on.
        baseline: whether a model of that version has the score of a baseline.
        licensed: whether the collection names a license.
        described: whether it has a description.
    """

    frozen: str | None
    version_item: str | None
    reviewed: tuple[str, ...]
    baseline: bool
    licensed: bool
    described: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as the identity of a run needs it."""
        return asdict(self)


def standing(workspace: Workspace, collection: Mapping[str, Any]) -> Standing:
    """Look up what was done with a dataset."""
    version = _frozen(workspace, collection)
    number = str(version["properties"]["version"]) if version else None
    return Standing(
        number,
        str(version["id"]) if version else None,
        tuple(sorted(_reviewed(workspace, str(collection["id"])))),
        bool(version and _has_baseline(workspace, collection, str(number))),
        str(collection.get("license", "")) not in _NO_LICENSES,
        bool(str(collection.get("description", "")).strip()),
    )


def level_facts(found: Survey, known: Standing, collection: Mapping[str, Any], workspace: Workspace) -> LevelFacts:
    """Return the facts that the rules ask for."""
    chips = found.chips
    ids = [finding.id for finding in found.findings]
    queue = [entry["chip"] for entry in review_queue(found.facts)[:SUSPECTS_REVIEWED]]
    labelled = sum(
        bool(chips.class_counts[number].any()) or bool(place.labels) for number, place in enumerate(chips.places)
    )
    without_classes = not chips.classes  # a target of numbers, which is there or the chip could not be read
    return LevelFacts(
        chips=len(chips),
        described=known.described,
        licensed=known.licensed,
        georeferenced="georeference" not in ids,
        checked="unusable_files" not in ids,
        labelled=1.0 if without_classes else labelled / max(len(chips), 1),
        split=bool(chips.numbers_of("train")) and bool(chips.numbers_of("test")),
        faults=found.faults,
        frozen=known.frozen,
        reviewed=len(known.reviewed),
        open_suspects=len(set(queue) - set(known.reviewed)),
        baseline=known.baseline,
    )


def _frozen(workspace: Workspace, collection: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the item of the version that holds exactly the collection's chips."""
    tree, number = collection.get(DVC_TREE_PROP), collection.get("version")
    if not tree or not number:
        return None
    counts: dict[str, int] = {}
    for chip in workspace.catalog.search(collections=[str(collection["id"])]):
        properties = chip["properties"]
        if (properties.get(DATASET_VERSION_PROP), properties.get(DVC_TREE_PROP)) != (number, tree):
            return None
        for name, count in (properties.get(CLASS_COUNTS_PROP) or {}).items():
            counts[name] = counts.get(name, 0) + int(count)
    for item in _items(workspace, DATASETS_COLLECTION, {DATASET_PROP: str(collection.get(DATASET_PROP))}):
        if item["properties"]["version"] == number:
            # A chip that was dropped since is missing in the counts.
            return item if item["properties"].get(CLASS_COUNTS_PROP) == counts else None
    return None


def _reviewed(workspace: Workspace, collection: str) -> set[str]:
    """Return the chips of all decisions on a collection that were carried out."""
    runs = _items(
        workspace, RUNS_COLLECTION, {RUN_TYPE_PROP: RunType.REVIEW.value, STATUS_PROP: RunStatus.SUCCEEDED.value}
    )
    found = (run["properties"].get(PARAMS_PROP) or {} for run in runs)
    return {str(chip) for params in found if params.get("collection") == collection for chip in params["chips"]}


def _has_baseline(workspace: Workspace, collection: Mapping[str, Any], version: str) -> bool:
    names = {str(collection.get(DATASET_PROP)), str(collection["id"])}
    models = _items(workspace, MODELS_COLLECTION, {DATASET_VERSION_PROP: version})
    return any(
        item["properties"].get(DATASET_PROP) in names and bool(item["properties"].get(BASELINE_PROP)) for item in models
    )


def _items(workspace: Workspace, collection: str, equal: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the items of a collection, which need not be there, with these values of properties."""
    if workspace.catalog.find_collection(collection) is None:
        return []
    parts = [{"op": "=", "args": [{"property": name}, value]} for name, value in equal.items()]
    wanted = parts[0] if len(parts) == 1 else {"op": "and", "args": parts}
    return list(workspace.catalog.search(collections=[collection], filter=wanted))
