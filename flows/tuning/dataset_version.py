"""A frozen dataset version as tuning reads it: what its manifest says of bands and classes, and the proof of its bytes.

Nothing here needs torch, so that a repeated command finds its earlier run without importing it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terralab.catalog.errors import AssetCorrupt, InvalidInput, TooFewChips, UnknownName
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import MD5_PREFIX, multihash_of_file
from terralab.extensions.chips import SPLITS
from terralab.extensions.dataset import DATASETS_COLLECTION
from terralab.extensions.lab import DATASET_PROP, DVC_TREE_PROP
from terralab.extensions.raster import ClassDefinition, classes_of_stac
from terralab.flows.progress import Progress

MANIFEST_ASSET = "manifest"
_SMALLEST_TRAIN_SPLIT = 2  # batch normalisation has no variance over a single chip
_SHOWN = 5


@dataclass(frozen=True)
class DatasetVersion:
    """One version.

    Attributes:
        item: of the `datasets` collection.
        manifest: its `manifest` asset, parsed; see `docs/datasets.md`.
    """

    item: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the item's id, such as `floods-v1-0-0`."""
        return str(self.item["id"])

    @property
    def checksum(self) -> str:
        """Return the multihash of the manifest, which stands for all bytes of the version."""
        return str(self.item["assets"][MANIFEST_ASSET]["file:checksum"])

    @property
    def bands(self) -> list[str]:
        """Return band names in channel order."""
        return [str(band["name"]) for band in self.manifest["bands"]]

    @property
    def mean(self) -> list[float]:
        """Return each band's mean over the valid pixels of the train split."""
        return [float(band["statistics"]["mean"]) for band in self.manifest["bands"]]

    @property
    def stddev(self) -> list[float]:
        """Return each band's standard deviation; 1 for a band that is constant, so that it becomes 0."""
        return [float(band["statistics"]["stddev"]) or 1.0 for band in self.manifest["bands"]]

    @property
    def nodata(self) -> float | None:
        """Return the value of pixels without data, NaN included; None where there is none."""
        value = self.manifest.get("nodata")
        return None if value is None else float(value)

    @property
    def classes(self) -> list[ClassDefinition]:
        """Return the classes in the order of the network's output channels."""
        return sorted(classes_of_stac(self.manifest["classes"]), key=lambda entry: entry.value)

    @property
    def chip_size(self) -> int:
        """Return rows and columns of a chip."""
        return int(self.manifest["chip_size"])

    def split_counts(self) -> dict[str, int]:
        """Return the number of chips by split."""
        splits = [chip["split"] for chip in self.manifest["chips"]]
        return {name: splits.count(name) for name in SPLITS}


def load_version(workspace: Workspace, dataset: str, version: str | None) -> DatasetVersion:
    """Find a version in the catalog and read its manifest.

    Args:
        workspace: the lab.
        dataset: name of the dataset, or the id of one version's item.
        version: such as `1.0.0` or `v1.0.0`; None for the latest.

    Raises:
        UnknownName: there is no such dataset or version.
        AssetCorrupt: the manifest is damaged, or its list of files differs from the version's tree hash.
    """
    item = _find_item(workspace, dataset, version)
    path = workspace.store.verify(item["assets"][MANIFEST_ASSET]["href"])
    found = DatasetVersion(item, json.loads(path.read_bytes()))
    tree = tree_hash(found.manifest["files"])
    if tree != item["properties"][DVC_TREE_PROP]:
        raise AssetCorrupt(
            f"{DATASETS_COLLECTION}/{found.id}: the manifest's files give the tree hash {tree}, the item says "
            f"{item['properties'][DVC_TREE_PROP]}; make the version anew"
        )
    return found


def tree_hash(files: Sequence[dict[str, Any]]) -> str:
    """Return DVC's hash of a directory, `<md5>.dir`, from `relpath` and `md5` of its files."""
    listed = [{"md5": entry["md5"], "relpath": entry["relpath"]} for entry in files]
    text = json.dumps(sorted(listed, key=lambda entry: str(entry["relpath"])), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def check_enough_chips(version: DatasetVersion) -> None:
    """Check that each split has chips to work with.

    Raises:
        TooFewChips: a split is empty, or the train split has a single chip.
        InvalidInput: the version has fewer than two classes, or bands without statistics.
    """
    counts = version.split_counts()
    needed = {"train": _SMALLEST_TRAIN_SPLIT, "validate": 1, "test": 1}
    lacking = [f"{counts[name]} in {name} (at least {least})" for name, least in needed.items() if counts[name] < least]
    if lacking:
        name = version.item["properties"][DATASET_PROP]
        raise TooFewChips(
            f"{version.id} has too few chips: {', '.join(lacking)}; onboard more scenes or smaller chips, or repeat "
            f"`terralab datasets split {name}` with other shares, then make a new version"
        )
    if len(version.classes) < 2:
        raise InvalidInput(f"{version.id} has {len(version.classes)} class; a segmentation needs at least two")
    blank = [str(band["name"]) for band in version.manifest["bands"] if "statistics" not in band]
    if blank:
        raise InvalidInput(f"{version.id}: no statistics of band {', '.join(blank)}; make the version anew")


def verify_chips(version: DatasetVersion, store: Store, progress: Progress) -> None:
    """Compare the bytes of every chip and mask with the manifest.

    Raises:
        AssetCorrupt: files are missing or differ; the message names the first of them.
    """
    problems = []
    files = version.manifest["files"]
    for done, entry in enumerate(files, start=1):
        try:
            path = store.open_name(MD5_PREFIX + entry["md5"])
        except AssetCorrupt:
            problems.append(f"{entry['relpath']} is missing")
        else:
            if multihash_of_file(path, "md5") != MD5_PREFIX + entry["md5"]:
                problems.append(f"{entry['relpath']} differs from its checksum {entry['md5']}")
        progress.advance(done, len(files))
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise AssetCorrupt(
            f"{version.id}: {'; '.join(problems[:_SHOWN])}{more}; restore the files in {store.place}, "
            "for instance with `dvc pull`, and repeat the command"
        )


def _find_item(workspace: Workspace, dataset: str, version: str | None) -> dict[str, Any]:
    some = workspace.catalog.find_collection(DATASETS_COLLECTION) is not None
    versions = list(workspace.catalog.search(collections=[DATASETS_COLLECTION])) if some else []
    wanted = version.removeprefix("v") if version else None
    by_id = [item for item in versions if item["id"] == dataset]
    named = by_id or [item for item in versions if item["properties"][DATASET_PROP] == dataset]
    if not named and workspace.catalog.find_collection(f"{dataset}-v1") is not None:
        raise InvalidInput(
            f"dataset {dataset!r} has no version yet; make one with `terralab datasets version {dataset} --tag v1.0.0`"
        )
    if not named:
        names = sorted({str(item["properties"][DATASET_PROP]) for item in versions})
        raise UnknownName.of("dataset", dataset, names)
    fitting = [item for item in named if wanted in (None, item["properties"]["version"])]
    if not fitting:
        raise UnknownName.of(f"version of {dataset}", str(wanted), [i["properties"]["version"] for i in named])
    return max(fitting, key=lambda item: version_numbers(item["properties"]["version"]))


def version_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a semantic version, for comparing."""
    return tuple(int(part) for part in text.split("-")[0].split("+")[0].split("."))
