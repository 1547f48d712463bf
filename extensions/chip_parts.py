"""What a chip consists of: features, which a network looks at, and a target, which it is to find.

A feature is one modality, such as Sentinel-2 or a terrain model, in one GeoTIFF on the chip's grid; of several dates it
has all bands of the first date, then all of the second. The target follows from the task: a mask of classes, a raster
of numbers, names of classes for the chip as a whole, or boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from terralab.extensions.item import COG_TYPE, GEOJSON_TYPE, StoredFile, asset, known
from terralab.extensions.lab import CLASS_COUNTS_PROP, LABELS_PROP, MODALITY_FIELD, TASK_PROP, TIMES_FIELD
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition, classes_to_stac
from terralab.extensions.record import InvalidRecord, ItemReader

IMAGE_ASSET = "image"
MASK_ASSET = "mask"
TARGET_ASSET = "target"
BOXES_ASSET = "boxes"
TARGET_ASSETS = (MASK_ASSET, TARGET_ASSET, BOXES_ASSET)
_ROLE = "ml-aoi:role"
_REFERENCE = "ml-aoi:reference-grid"
_REFERENCE = "ml-aoi:reference-grid"
_CLASSES = "classification:classes"
_LABEL_ROLES = ["labels", "labels-raster"]


class Task(StrEnum):
    """What a dataset teaches."""

    SEGMENTATION = "segmentation"
    REGRESSION = "regression"
    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    DETECTION = "detection"


@dataclass(frozen=True)
class Feature:
    """One modality of a chip.

    Attributes:
        key: of the asset: `image` where it is the only one, else the modality's name in lower case.
        file: GeoTIFF on the chip's grid, or None in a collection, which only describes it.
        bands: in file order; of several dates, `B02_t0`, `B03_t0`, …, `B02_t1`, ….
        modality: name for people, such as `S2L2A`; None where there is only one.
        times: RFC 3339 times of the dates; empty for one date.
    """

    key: str
    file: StoredFile | None
    bands: Sequence[BandRecord]
    modality: str | None = None
    times: Sequence[str] = ()

    def to_asset(self, reference: bool) -> dict[str, Any]:
        """Return the asset; `reference` where its grid is the one that the others were brought to."""
        fields = {
            **known({MODALITY_FIELD: self.modality, TIMES_FIELD: list(self.times) or None}),
            "bands": [band.to_stac() for band in self.bands],
            "raster:sampling": "area",
            _ROLE: "feature",
        }
        if self.file is None:
            return {"type": COG_TYPE, "roles": ["data"], **fields}
        title = f"{self.modality or 'Image'} chip"
        extra = {**fields, _REFERENCE: True} if reference else fields
        return asset(self.file, COG_TYPE, ["data"], title, **extra)

    @classmethod
    def all_of(cls, reader: ItemReader) -> tuple["Feature", ...]:
        """Read the features of an item: the reference, then the others in the order of its assets.

        The catalog keeps the members of an object by length and name, so the order of the assets says nothing.
        """
        found = []
        assets = (reader.item.get("assets") or {}).items()
        for key, entry in sorted(assets, key=lambda pair: not pair[1].get(_REFERENCE)):
            if entry.get(_ROLE) == "feature":
                times = tuple(str(time) for time in entry.get(TIMES_FIELD) or ())
                found.append(cls(key, reader.file(key), reader.bands(key), entry.get(MODALITY_FIELD), times))
        if not found:
            raise InvalidRecord(f"{reader.name} has no asset with {_ROLE} `feature`")
        return tuple(found)


@dataclass(frozen=True)
class Target:
    """What is to be found in a chip.

    Attributes:
        task: what kind of target it is.
        file: mask, raster of numbers, or GeoJSON of boxes; None for labels of the chip as a whole, and in a collection.
        classes: what pixels, labels or boxes may be; empty for numbers.
        counts: pixels, labels or boxes by class name.
        labels: names of the chip's classes: one for classification, any number for multilabel.
        band: of the raster of numbers.
    """

    task: Task
    file: StoredFile | None = None
    classes: Sequence[ClassDefinition] = ()
    counts: Mapping[str, int] | None = None
    labels: Sequence[str] | None = None
    band: BandRecord | None = None

    @classmethod
    def mask(cls, file: StoredFile, classes: Sequence[ClassDefinition], counts: Mapping[str, int]) -> "Target":
        """Return a mask, uint8 with 255 where there is no label, with the pixels of each class."""
        return cls(Task.SEGMENTATION, file, tuple(classes), dict(counts))

    @property
    def key(self) -> str | None:
        """Return the key of its asset, None where the task has none."""
        return _KEYS[self.task]

    def properties(self) -> dict[str, Any]:
        """Return the item's properties that say it."""
        names = None if self.labels is None else list(self.labels)
        whole = self.key is None
        return known(
            {
                TASK_PROP: None if self.task is Task.SEGMENTATION else self.task.value,
                CLASS_COUNTS_PROP: None if self.counts is None else dict(self.counts),
                LABELS_PROP: names,
                _CLASSES: classes_to_stac(self.classes, None) if whole else None,
            }
        )

    def to_assets(self) -> dict[str, dict[str, Any]]:
        """Return the asset by its key, where there is one."""
        if self.key is None:
            return {}
        media, roles, title, fields = self._described()
        if self.file is None:
            return {self.key: {"type": media, "roles": roles, **{k: v for k, v in fields.items() if k != "bands"}}}
        return {self.key: asset(self.file, media, roles, title, **fields)}

    def described(self) -> "Target":
        """Return what a collection says of it."""
        return replace(self, file=None, counts=None, labels=None)

    def _described(self) -> tuple[str, list[str], str, dict[str, Any]]:
        role = {_ROLE: "label"}
        if self.task is Task.SEGMENTATION:
            bands = [{"name": "mask", "data_type": "uint8", "nodata": MASK_NODATA}]
            return COG_TYPE, _LABEL_ROLES, "Mask", {"bands": bands, **role, _CLASSES: classes_to_stac(self.classes)}
        if self.task is Task.REGRESSION:
            bands = [self.band.to_stac()] if self.band else []
            return COG_TYPE, ["labels", "labels-raster"], "Target", {"bands": bands, **role}
        entries = {**role, _CLASSES: classes_to_stac(self.classes, None)}
        return GEOJSON_TYPE, ["labels", "labels-vector"], "Boxes", entries

    @classmethod
    def of_item(cls, reader: ItemReader) -> "Target":
        """Read the target of an item."""
        try:
            task = Task(reader.optional(TASK_PROP, str) or Task.SEGMENTATION)
        except ValueError as error:
            raise InvalidRecord(f"{reader.name}: {error}") from error
        key = _KEYS[task]
        classes: Sequence[ClassDefinition] = reader.classes(key) if key else reader.classes_of_properties()
        bands = reader.bands(key) if key and task is Task.REGRESSION else ()
        return cls(
            task,
            reader.file(key) if key else None,
            tuple(classes),
            reader.optional(CLASS_COUNTS_PROP, dict),
            reader.optional(LABELS_PROP, list),
            bands[0] if bands else None,
        )


_KEYS: dict[Task, str | None] = {
    Task.SEGMENTATION: MASK_ASSET,
    Task.REGRESSION: TARGET_ASSET,
    Task.CLASSIFICATION: None,
    Task.MULTILABEL: None,
    Task.DETECTION: BOXES_ASSET,
}
