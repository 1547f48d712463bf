"""Dataset versions: the manifest of a chips collection, DVC's hash of it, and the proof from the catalog alone.

DVC names a folder by the MD5 of a JSON list of its files' MD5s and paths. Every chip's `file:checksum` is the MD5 of
its bytes, so the catalog's rows give the same list, and anyone can check that a version holds exactly the catalogued
chips.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.datasets.statistics import BandSums, pooled_bands, total_counts
from terralab.extensions.checksum import split_multihash
from terralab.extensions.chips import IMAGE_ASSET, MASK_ASSET, SPLITS
from terralab.extensions.dataset import MEMBERS_REL
from terralab.extensions.lab import CLASS_COUNTS_PROP, DVC_TREE_PROP, SPLIT_GROUP_PROP, SPLIT_PROP

_TAG = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_FOLDERS = {IMAGE_ASSET: "images", MASK_ASSET: "masks"}

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


@dataclass(frozen=True)
class Proof:
    """Whether the catalog's chips are those of a version.

    Attributes:
        expected: `lab:dvc_tree` of the version's item.
        found: the same hash, computed from the catalog's checksums.
        files: how many files the hash covers.
    """

    expected: str
    found: str
    files: int

    @property
    def holds(self) -> bool:
        """Say whether both are equal."""
        return self.expected == self.found


def prove(workspace: Workspace, dataset_item: Mapping[str, Any]) -> Proof:
    """Compute the tree hash of a dataset version from the checksums of the catalog's chip items alone.

    Args:
        workspace: the lab.
        dataset_item: an item of the collection `datasets`.
    """
    members = next(link["href"] for link in dataset_item["links"] if link["rel"] == MEMBERS_REL)
    collection = str(members).rstrip("/").split("/")[-2]
    files = chip_files(workspace.catalog.search(collections=[collection]))
    return Proof(dataset_item["properties"][DVC_TREE_PROP], tree_hash(files), len(files))


def tree_hash(files: Iterable[Mapping[str, Any]]) -> str:
    """Return DVC's hash of a folder, `<md5>.dir`, from `relpath` and `md5` of its files."""
    entries = [{"md5": file["md5"], "relpath": file["relpath"]} for file in files]
    text = json.dumps(sorted(entries, key=lambda entry: str(entry["relpath"])), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def chip_files(chips: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return relpath, md5 and size of every chip's image and mask, by relpath."""
    files = [
        {
            "relpath": _relpath(chip, key),
            "md5": split_multihash(chip["assets"][key]["file:checksum"])[1],
            "size": chip["assets"][key]["file:size"],
        }
        for chip in chips
        for key in _FOLDERS
    ]
    return sorted(files, key=lambda file: str(file["relpath"]))


def make_manifest(dataset: str, version: Version, chips: Chips) -> dict[str, Any]:
    """Return the manifest of a version: its files, chips, bands with statistics of the train chips, and classes.

    Args:
        dataset: name of the dataset.
        version: which one.
        chips: the chip items, with their splits.

    Raises:
        InvalidInput: the chips have no split yet.
    """
    if not any(chip["properties"].get(SPLIT_PROP) for chip in chips):
        raise InvalidInput(f"{dataset} has no split yet; run `terralab datasets split {dataset}` first")
    first = chips[0]["assets"]
    classes = [entry for entry in first[MASK_ASSET]["classification:classes"] if not entry.get("nodata")]
    return {
        "dataset": dataset,
        "version": str(version),
        "collection": chips[0]["collection"],
        "files": chip_files(chips),
        "chips": [_chip_entry(chip) for chip in sorted(chips, key=lambda chip: str(chip["id"]))],
        "bands": _train_bands(chips),
        "nodata": first[IMAGE_ASSET]["bands"][0].get("nodata"),
        "classes": classes,
        "chip_size": int(chips[0]["properties"]["proj:shape"][0]),
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """Write a manifest as JSON, equal manifests as equal bytes."""
    return (json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def split_table(manifest: Mapping[str, Any]) -> bytes:
    """Return the splits as CSV: id, split, group."""
    rows = [f"{chip['id']},{chip['split'] or ''},{chip['group']}" for chip in manifest["chips"]]
    return ("\n".join(["id,split,group", *rows]) + "\n").encode()


def split_counts(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of chips of each split."""
    return {name: sum(chip["split"] == name for chip in manifest["chips"]) for name in SPLITS}


def class_counts(chips: Chips) -> dict[str, int]:
    """Return labelled pixels by class name over all chips."""
    return total_counts(chip["properties"][CLASS_COUNTS_PROP] for chip in chips)


def _relpath(chip: Mapping[str, Any], key: str) -> str:
    return f"{_FOLDERS[key]}/{chip['id']}.tif"


def _chip_entry(chip: Mapping[str, Any]) -> dict[str, Any]:
    properties = chip["properties"]
    return {
        "id": chip["id"],
        "split": properties.get(SPLIT_PROP),
        "group": properties.get(SPLIT_GROUP_PROP, chip["id"]),
        "image": _relpath(chip, IMAGE_ASSET),
        "mask": _relpath(chip, MASK_ASSET),
    }


def _train_bands(chips: Chips) -> list[dict[str, Any]]:
    """Return the bands with statistics pooled over the train chips, in an order that does not depend on the query's."""
    ordered = sorted(chips, key=lambda chip: str(chip["id"]))
    train = [chip for chip in ordered if chip["properties"].get(SPLIT_PROP) == SPLITS[0]] or ordered
    sums = pooled_bands([_sums(chip) for chip in train])
    bands = []
    for band, pooled in zip(ordered[0]["assets"][IMAGE_ASSET]["bands"], sums, strict=True):
        described = {key: value for key, value in band.items() if key != "statistics"}
        statistics = pooled.statistics()
        bands.append({**described, **({"statistics": statistics.to_stac()} if statistics else {})})
    return bands


def _sums(chip: Mapping[str, Any]) -> list[BandSums]:
    rows, columns = chip["properties"]["proj:shape"]
    return [BandSums.of_stac(band.get("statistics"), rows * columns) for band in chip["assets"][IMAGE_ASSET]["bands"]]
