"""Dataset versions: the manifest of a chips collection, and DVC's hash of it.

DVC names a folder by the MD5 of a JSON list of its files' MD5s and paths. Every chip's `file:checksum` is the MD5 of
its bytes, so the catalog's rows give the same list, and anyone can check that a version holds exactly the catalogued
chips (`versioning.proof`).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from terralab.catalog.errors import InvalidInput
from terralab.datasets.statistics import total_counts
from terralab.datasets.versioning.chip_features import classes_of, feature_keys, modalities_of, target_of, task_of
from terralab.datasets.versioning.tree_layout import TreeLayout, versioned_keys
from terralab.extensions.checksum import split_multihash
from terralab.extensions.chip_parts import IMAGE_ASSET, MASK_ASSET
from terralab.extensions.chips import SPLITS
from terralab.extensions.lab import (
    CLASS_COUNTS_PROP,
    FOLD_PROP,
    LABELS_PROP,
    SPLIT_GROUP_PROP,
    SPLIT_PROP,
    TIMES_FIELD,
)

_TAG = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")

Chips = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, order=True)
class Version:
    """A semantic version."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, tag: str) -> "Version":
        """Read `v1.2.3` or `1.2.3`.

        Raises:
            InvalidInput: it is neither.
        """
        match = _TAG.fullmatch(tag.strip())
        if not match:
            raise InvalidInput(f"{tag!r} is not a version; give three numbers, such as v1.0.0")
        return cls(*(int(number) for number in match.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def item_id(self, dataset: str) -> str:
        """Return the id of the dataset item of this version."""
        return f"{dataset}-v{self.major}-{self.minor}-{self.patch}"


def tree_hash(files: Iterable[Mapping[str, Any]]) -> str:
    """Return DVC's hash of a folder, `<md5>.dir`, from `relpath` and `md5` of its files."""
    return hashlib.md5(tree_bytes(files), usedforsecurity=False).hexdigest() + ".dir"


def tree_bytes(files: Iterable[Mapping[str, Any]]) -> bytes:
    """Return what DVC writes for a folder: the list of its files."""
    entries = [{"md5": file["md5"], "relpath": file["relpath"]} for file in files]
    return json.dumps(sorted(entries, key=lambda entry: str(entry["relpath"])), sort_keys=True).encode()


def chip_files(chips: Chips) -> list[dict[str, Any]]:
    """Return relpath, md5 and size of every file of the chips (their features and targets), by relpath.

    Raises:
        InvalidInput: a chip has none.
    """
    layout = TreeLayout.of_chips(chips)
    files = [
        {
            "relpath": layout.relpath(chip, key),
            "md5": split_multihash(chip["assets"][key]["file:checksum"])[1],
            "size": chip["assets"][key]["file:size"],
        }
        for chip in chips
        for key in versioned_keys(chip)
    ]
    return sorted(files, key=lambda file: str(file["relpath"]))


def make_manifest(dataset: str, version: Version, chips: Chips) -> dict[str, Any]:
    """Return the manifest of a version: its files, chips, modalities with statistics of the train chips, and classes.

    Args:
        dataset: name of the dataset.
        version: which one.
        chips: the chip items, with their splits.

    Raises:
        InvalidInput: the chips have no split yet, or differ in what they teach, or in their bands or classes.
    """
    if not any(chip["properties"].get(SPLIT_PROP) for chip in chips):
        raise InvalidInput(f"{dataset} has no split yet; run `terralab datasets split {dataset}` first")
    ordered, layout = sorted(chips, key=lambda chip: str(chip["id"])), TreeLayout.of_chips(chips)
    task, modalities = task_of(ordered), modalities_of(ordered)
    target = target_of(ordered, task)
    return {
        "dataset": dataset,
        "version": str(version),
        "collection": ordered[0]["collection"],
        "task": str(task),
        "files": chip_files(ordered),
        "chips": [_chip_entry(chip, layout) for chip in ordered],
        "modalities": modalities,
        "bands": modalities[0]["bands"],
        "nodata": modalities[0]["nodata"],
        "classes": classes_of(ordered, task),
        "chip_size": int(ordered[0]["properties"]["proj:shape"][0]),
        **({"target": target} if target else {}),
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """Write a manifest as JSON, equal manifests as equal bytes."""
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def split_table(manifest: Mapping[str, Any]) -> bytes:
    """Return the splits as CSV: id, split, group."""
    rows = [f"{chip['id']},{chip['split'] or ''},{chip['group']}" for chip in manifest["chips"]]
    return ("\n".join(["id,split,group", *rows]) + "\n").encode()


def split_counts(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of chips of each split."""
    return {name: sum(chip["split"] == name for chip in manifest["chips"]) for name in SPLITS}


def class_counts(chips: Chips) -> dict[str, int]:
    """Return labelled pixels, labels or boxes by class name over all chips; empty where there are no classes."""
    return total_counts(chip["properties"].get(CLASS_COUNTS_PROP) or {} for chip in chips)


def _chip_entry(chip: Mapping[str, Any], layout: TreeLayout) -> dict[str, Any]:
    properties, assets = chip["properties"], chip["assets"]
    files = {key: layout.relpath(chip, key) for key in versioned_keys(chip)}
    times = {key: assets[key][TIMES_FIELD] for key in feature_keys(chip) if assets[key].get(TIMES_FIELD)}
    return {
        "id": chip["id"],
        "split": properties.get(SPLIT_PROP),
        "group": properties.get(SPLIT_GROUP_PROP, chip["id"]),
        "datetime": properties.get("datetime") or properties.get("start_datetime"),
        "files": files,
        **{key: files[key] for key in (IMAGE_ASSET, MASK_ASSET) if key in files},
        **({"fold": properties[FOLD_PROP]} if properties.get(FOLD_PROP) is not None else {}),
        **({"labels": properties[LABELS_PROP]} if LABELS_PROP in properties else {}),
        **({"counts": properties[CLASS_COUNTS_PROP]} if properties.get(CLASS_COUNTS_PROP) else {}),
        **({"times": times} if times else {}),
    }
