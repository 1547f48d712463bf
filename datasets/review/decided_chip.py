"""What becomes of a chip when a person has decided on its label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.review.queue import REVIEWED
from terralab.extensions.item import StoredFile
from terralab.extensions.lab import (
    CLASS_COUNTS_PROP,
    DATASET_VERSION_PROP,
    DVC_REV_PROP,
    DVC_TREE_PROP,
    QA_PROP,
    QUALITY_PROP,
)
from terralab.extensions.raster import ClassDefinition

FROZEN = ("version", DATASET_VERSION_PROP, DVC_REV_PROP, DVC_TREE_PROP)
"""What a chip or its collection says of a version; it no longer holds once a chip is changed."""

_OF_THE_LABEL = ("label", "unlabeled", "labeled", "unknown_class", "edge_", "problems")
_LABEL_ROLE = "label"
_ROLE = "ml-aoi:role"


def accepted(chip: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chip as one whose label a person found right."""
    qa = {**(chip["properties"].get(QA_PROP) or {}), REVIEWED: True}
    return {**chip, "properties": {**chip["properties"], QA_PROP: qa}}


def with_mask(
    chip: Mapping[str, Any], mask: StoredFile, counts: Mapping[str, int], label: dict[str, Any], run: dict[str, Any]
) -> dict[str, Any]:
    """Return the chip with a new mask.

    Args:
        chip: as it is.
        mask: the stored mask.
        counts: its pixels by class name.
        label: link to the label item that the mask comes from.
        run: link to the run that made it.
    """
    properties = {name: value for name, value in chip["properties"].items() if name not in FROZEN}
    before = properties.get(QA_PROP) or {}
    kept = {name: value for name, value in before.items() if not name.startswith(_OF_THE_LABEL)}
    properties |= {CLASS_COUNTS_PROP: dict(counts), QA_PROP: {**kept, REVIEWED: True}}
    stored = {"href": mask.href, "file:size": mask.size, "file:checksum": mask.checksum}
    links = [link for link in chip["links"] if link.get(_ROLE) != _LABEL_ROLE]
    return {
        **chip,
        "properties": properties,
        "assets": {**chip["assets"], "mask": {**chip["assets"]["mask"], **stored}},
        "links": [*links, label, run],
    }


def changed_collection(
    collection: Mapping[str, Any], less: Sequence[Mapping[str, int]], more: Sequence[Mapping[str, int]]
) -> dict[str, Any]:
    """Return the chips collection after its chips were changed: other counts, no version, no quality.

    Args:
        collection: as it is.
        less: class counts of the chips as they were.
        more: class counts of the chips as they are now; none for those that were dropped.
    """
    kept = {name: value for name, value in collection.items() if name not in (*FROZEN, QUALITY_PROP)}
    counts = dict(kept.get(CLASS_COUNTS_PROP) or {})
    for sign, parts in ((-1, less), (1, more)):
        for part in parts:
            for name, count in part.items():
                counts[name] = max(0, counts.get(name, 0) + sign * int(count))
    return {**kept, CLASS_COUNTS_PROP: counts} if counts else kept


def pixels_by_class(mask: NDArray[np.uint8], classes: Sequence[ClassDefinition]) -> dict[str, int]:
    """Return the pixels of each class by its name."""
    counted = np.bincount(mask.ravel(), minlength=256)
    return {entry.name: int(counted[entry.value]) for entry in classes}
