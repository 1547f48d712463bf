"""Dataset versions: one item is one frozen version of a chips collection, with the proof of its content.

The version's manifest (an asset) lists every chip's files with MD5 and size; `lab:dvc_tree` is the hash that DVC gives
that list, so the version can be checked against the catalog without DVC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.item import Footprint, ItemFrame, StoredFile, asset, collection, known
from terralab.extensions.lab import (
    CLASS_COUNTS_PROP,
    DATASET_PROP,
    DVC_REV_PROP,
    DVC_TREE_PROP,
    KIND_PROP,
    LEAKS_PROP,
    METRICS_PROP,
    QUALITY_PROP,
    SCHEMA_URI,
    SPLIT_REPORT_PROP,
    Kind,
    Quality,
)
from terralab.extensions.record import InvalidRecord, ItemReader, ItemRecord

DATASETS_COLLECTION = "datasets"
MANIFEST_ASSET = "manifest"
DVC_ASSET = "dvc"
ITEMS_ASSET = "items"
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
    items: StoredFile | None = None,
    quality: Quality | None = None,
    access: Mapping[str, Any] | None = None,
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
        split_report: minimum distances and touching pairs between the splits; its `leaks` becomes `lab:leaks`.
        sources: `derived_from` links to the scenes and labels of the chips.
        items: zip of the chip items as they were frozen.
        quality: the version's quality level, where it was computed.
        access: owner, visibility and project of the chips, where they have any.
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
        METRICS_PROP: {f"{name}_chips": count for name, count in split_counts.items()},
        SPLIT_REPORT_PROP: split_report,
        **({LEAKS_PROP: bool(split_report["leaks"])} if "leaks" in split_report else {}),
        **known({QUALITY_PROP: quality.to_stac() if quality else None}),
        **(access or {}),
    }
    frame.assets = {
        MANIFEST_ASSET: asset(manifest, "application/json", ["metadata", "collection-mirror"], "Chips and checksums"),
        DVC_ASSET: asset(dvc_file, "text/yaml", ["metadata"], "DVC file"),
    }
    if items is not None:
        frame.assets[ITEMS_ASSET] = asset(items, "application/zip", ["metadata"], "Chip items as they were frozen")
    frame.links = [
        {"rel": MEMBERS_REL, "href": f"collections/{chips_collection}/items", "type": "application/geo+json"},
        *sources,
        *links,
    ]
    return frame.to_dict()


@dataclass(frozen=True)
class DatasetRecord(ItemRecord):
    """A frozen version of a dataset, read from its item.

    Attributes:
        dataset: name of the dataset.
        version: semantic version.
        chips_collection: the collection whose chips it froze.
        manifest: JSON list of the chips with their files.
        dvc_file: the `.dvc` file.
        items: zip of the chip items as they were frozen; None in versions of the first releases.
        dvc_rev: git commit that holds it.
        dvc_tree: DVC's hash of the tree.
        class_counts: labelled pixels by class name.
        split_counts: chips by split.
        split_report: distances and touching pairs between the splits.
        quality: its quality level, where it was computed.
    """

    dataset: str
    version: str
    chips_collection: str
    manifest: StoredFile
    dvc_file: StoredFile
    items: StoredFile | None
    dvc_rev: str
    dvc_tree: str
    class_counts: Mapping[str, int]
    split_counts: Mapping[str, int]
    split_report: Mapping[str, Any]
    quality: Quality | None

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "DatasetRecord":
        """Read the item of a dataset version.

        Raises:
            InvalidRecord: it is of another kind, or lacks a field.
        """
        reader = ItemReader(item, Kind.DATASET)
        metrics = reader.optional(METRICS_PROP, dict) or {}
        quality = reader.optional(QUALITY_PROP, dict)
        return cls(
            **reader.common(),
            dataset=reader.field(DATASET_PROP, str),
            version=reader.field("version", str),
            chips_collection=_chips_collection(reader),
            manifest=reader.file(MANIFEST_ASSET),
            dvc_file=reader.file(DVC_ASSET),
            items=reader.file(ITEMS_ASSET) if ITEMS_ASSET in (item.get("assets") or {}) else None,
            dvc_rev=reader.field(DVC_REV_PROP, str),
            dvc_tree=reader.field(DVC_TREE_PROP, str),
            class_counts=reader.field(CLASS_COUNTS_PROP, dict),
            split_counts={key.removesuffix("_chips"): int(n) for key, n in metrics.items() if key.endswith("_chips")},
            split_report=reader.optional(SPLIT_REPORT_PROP, dict) or {},
            quality=Quality.of_stac(quality) if quality else None,
        )


def _chips_collection(reader: ItemReader) -> str:
    hrefs = [str(link.get("href")) for link in reader.links(MEMBERS_REL)]
    parts = hrefs[0].rstrip("/").split("/") if hrefs else []
    if len(parts) < 3 or parts[-1] != "items":  # collections/<id>/items
        raise InvalidRecord(f"{reader.name} has no `{MEMBERS_REL}` link to the items of a collection")
    return parts[-2]


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
