"""What an export is of: a frozen version, read once for all forms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from terralab.catalog.workspace import Workspace
from terralab.datasets.versioning.frozen_version import FrozenVersion, find_version, paths_of
from terralab.extensions.chip_parts import BOXES_ASSET, IMAGE_ASSET, MASK_ASSET, TARGET_ASSET, Task
from terralab.extensions.chips import SPLITS
from terralab.extensions.lab import CLASS_COUNTS_PROP
from terralab.extensions.raster import ClassDefinition, classes_of_stac

TARGET_KEYS = {Task.SEGMENTATION: MASK_ASSET, Task.REGRESSION: TARGET_ASSET, Task.DETECTION: BOXES_ASSET}


@dataclass(frozen=True)
class Modality:
    """What a network looks at.

    Attributes:
        key: of the asset.
        name: for people, such as `S2L2A`.
        bands: STAC bands with the statistics of the train chips; of several dates, all bands of the first, then of the
            second.
        dates: how many.
        nodata: value of pixels without data, as the manifest has it.
    """

    key: str
    name: str
    bands: Sequence[Mapping[str, Any]]
    dates: int
    nodata: Any

    @property
    def band_names(self) -> list[str]:
        """Return the names of the file's bands, in order."""
        return [str(band["name"]) for band in self.bands]


@dataclass(frozen=True)
class Chip:
    """One chip of the version.

    Attributes:
        id: of its item.
        split: `train`, `validate`, `test`, or None where the split left it out.
        group: what no split divides.
        fold: of a cross validation.
        datetime: of the first picture.
        labels: names of its classes, for chips that are labelled as a whole.
        counts: pixels, labels or boxes by class name; empty where nobody counted.
        files: relpaths by asset key.
    """

    id: str
    split: str | None
    group: str
    fold: int | None
    datetime: str | None
    labels: Sequence[str]
    counts: Mapping[str, int]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Subject:
    """A version, and the collection of its chips as it is now.

    Attributes:
        version: the frozen version.
        collection: its chips collection; empty where it is gone.
        page: address of the version's page in the lab.
    """

    version: FrozenVersion
    collection: Mapping[str, Any]
    page: str

    @classmethod
    def find(cls, workspace: Workspace, reference: str) -> "Subject":
        """Find a version by `NAME@v1.0.0`, or the latest by `NAME`.

        Raises:
            UnknownName: there is none.
            AssetCorrupt: its manifest is lost or damaged.
        """
        version = find_version(workspace, reference)
        collection = workspace.catalog.find_collection(version.record.chips_collection) or {}
        page = f"{workspace.settings.web.url}/items/{version.item['collection']}/{version.item['id']}"
        return cls(version, collection, page)

    @property
    def dataset(self) -> str:
        """Return the dataset's name."""
        return self.version.record.dataset

    @property
    def number(self) -> str:
        """Return the version, such as `1.0.0`."""
        return self.version.record.version

    @property
    def description(self) -> str:
        """Return what the collection says of itself."""
        return str(self.collection.get("description") or f"The dataset {self.dataset}.")

    @property
    def license(self) -> str:
        """Return the SPDX identifier, or `other`."""
        return str(self.collection.get("license") or "other")

    @property
    def task(self) -> Task:
        """Return what the chips teach."""
        return Task(self.version.manifest.get("task") or Task.SEGMENTATION)

    @property
    def target_key(self) -> str | None:
        """Return the asset key of what is to be found; None for labels of a chip as a whole."""
        return TARGET_KEYS.get(self.task)

    @property
    def chip_size(self) -> int:
        """Return rows and columns of a chip."""
        return int(self.version.manifest["chip_size"])

    @cached_property
    def modalities(self) -> Sequence[Modality]:
        """Return the modalities, in order."""
        manifest = self.version.manifest
        first = {"key": IMAGE_ASSET, "bands": manifest["bands"], "nodata": manifest.get("nodata")}
        return [
            Modality(
                str(entry["key"]),
                str(entry.get("modality") or entry["key"]),
                entry["bands"],
                len(entry.get("times") or ()) or 1,
                entry.get("nodata"),
            )
            for entry in manifest.get("modalities") or [first]
        ]

    @cached_property
    def classes(self) -> Sequence[ClassDefinition]:
        """Return the classes by their values."""
        return sorted(classes_of_stac(self.version.manifest.get("classes") or []), key=lambda entry: entry.value)

    @cached_property
    def chips(self) -> Sequence[Chip]:
        """Return the chips by their ids."""
        entries = sorted(self.version.manifest["chips"], key=lambda entry: str(entry["id"]))
        return [_chip(entry, self.items.get(str(entry["id"]))) for entry in entries]

    @cached_property
    def items(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the chip items as they were frozen, by id; empty for versions of the first releases."""
        return {str(item["id"]): item for item in self.version.items()}

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Return the size of every file by its relpath."""
        return {str(file["relpath"]): int(file["size"]) for file in self.version.files}

    def of_split(self, split: str) -> Iterator[Chip]:
        """Yield the chips of a split."""
        return (chip for chip in self.chips if chip.split == split)

    def split_counts(self) -> dict[str, int]:
        """Return the number of chips by split."""
        return {name: sum(1 for _ in self.of_split(name)) for name in SPLITS}


def _chip(entry: Mapping[str, Any], item: Mapping[str, Any] | None) -> Chip:
    counts = entry.get("counts") or (item or {}).get("properties", {}).get(CLASS_COUNTS_PROP) or {}
    return Chip(
        id=str(entry["id"]),
        split=entry.get("split"),
        group=str(entry.get("group") or entry["id"]),
        fold=entry.get("fold"),
        datetime=entry.get("datetime"),
        labels=tuple(str(label) for label in entry.get("labels") or ()),
        counts={str(name): int(count) for name, count in counts.items()},
        files=paths_of(entry),
    )
