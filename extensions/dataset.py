"""Dataset versions: one item is one frozen version of a chips collection, with the proof of its content.

The version's manifest (an asset) lists every chip's files with MD5 and size; `lab:dvc_tree` is the hash that DVC gives
that list, so the version can be checked against the catalog without DVC.
"""

from collections.abc import Sequence
from typing import Any

from terralab.extensions.item import Footprint, ItemFrame, StoredFile, asset, collection
from terralab.extensions.lab import (
    CLASS_COUNTS_PROP,
    DATASET_PROP,
    DVC_REV_PROP,
    DVC_TREE_PROP,
    KIND_PROP,
    SCHEMA_URI,
    Kind,
)

DATASETS_COLLECTION = "datasets"
MEMBERS_REL = "lab:members"


def dataset_item(
    *,
    id: str,
    dataset: str,
    chips_collection: str,
    version: str,
    footprint: Footprint,
    dvc_rev: str,
    dvc_tree: str,
    manifest: StoredFile,
    dvc_file: StoredFile,
    class_counts: dict[str, int],
    split_counts: dict[str, int],
    split_report: dict[str, Any],
    sources: Sequence[dict[str, Any]],
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the item of one dataset version.

    Args:
        id: `<dataset>-v<version with dashes>`.
        dataset: name of the dataset.
        chips_collection: the collection whose chips the version froze.
        version: semantic version, such as `1.0.0`.
        footprint: union of the chips.
        dvc_rev: git commit (40 hex digits) that holds the `.dvc` file.
        dvc_tree: DVC's hash of the tree, `<md5>.dir`.
        manifest: JSON list of the chips: id, split, and path, MD5 and size of each file.
        dvc_file: the `.dvc` file.
        class_counts: labelled pixels by class name over all chips.
        split_counts: chips by split.
        split_report: minimum distances and touching pairs between the splits.
        sources: `derived_from` links to the scenes and labels of the chips.
        links: further links, such as `predecessor-version`.
    """
    frame = ItemFrame(id, DATASETS_COLLECTION, footprint, ["version", "file", SCHEMA_URI])
    frame.properties = {
        KIND_PROP: Kind.DATASET,
        "title": f"{dataset} {version}",
        DATASET_PROP: dataset,
        "version": version,
        DVC_REV_PROP: dvc_rev,
        DVC_TREE_PROP: dvc_tree,
        CLASS_COUNTS_PROP: class_counts,
        "lab:metrics": {f"{name}_chips": count for name, count in split_counts.items()},
        "lab:split_report": split_report,
    }
    frame.assets = {
        "manifest": asset(manifest, "application/json", ["metadata", "collection-mirror"], "Chips and checksums"),
        "dvc": asset(dvc_file, "text/yaml", ["metadata"], "DVC file"),
    }
    frame.links = [
        {"rel": MEMBERS_REL, "href": f"collections/{chips_collection}/items", "type": "application/geo+json"},
        *sources,
        *links,
    ]
    return frame.to_dict()


def datasets_collection(footprint: Footprint) -> dict[str, Any]:
    """Return the collection of all dataset versions."""
    return collection(
        DATASETS_COLLECTION,
        "Datasets",
        "Frozen versions of datasets, each with its manifest and its DVC revision.",
        footprint,
        kind=Kind.DATASET,
        extensions=[SCHEMA_URI],
        item_assets={"manifest": {"type": "application/json", "roles": ["metadata", "collection-mirror"]}},
    )
