"""Chips: one item is what a network sees of one place, with its label; one collection is one version line of a dataset.

What a chip consists of is in `terralab.extensions.chip_parts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.chip_parts import (
    BOXES_ASSET,
    IMAGE_ASSET,
    MASK_ASSET,
    TARGET_ASSET,
    TARGET_ASSETS,
    Feature,
    Target,
    Task,
)
from terralab.extensions.imagery import image_renders
from terralab.extensions.item import Footprint, ItemFrame, StoredFile, collection, derived_from, known
from terralab.extensions.lab import (
    DATASET_PROP,
    DATASET_VERSION_PROP,
    FOLD_PROP,
    KIND_PROP,
    PARAMS_PROP,
    QA_PROP,
    SCHEMA_URI,
    SPLIT_GROUP_PROP,
    SPLIT_PROP,
    TASK_PROP,
    VALID_SHARE_PROP,
    Kind,
)
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid
from terralab.extensions.record import DERIVED_REL, ItemReader, ItemRecord, ItemRef

__all__ = [
    "BOXES_ASSET", "IMAGE_ASSET", "MASK_ASSET", "SPLITS", "TARGET_ASSET", "TARGET_ASSETS", "ChipRecord", "Feature",
    "Target", "Task", "chip_item", "chips_collection",
]  # fmt: skip

SPLITS = ("train", "validate", "test")
_EXTENSIONS = ["ml-aoi", "proj", "classification", "file", "raster", "version", SCHEMA_URI]


def chip_item(
    *,
    id: str,
    collection_id: str,
    dataset: str,
    footprint: Footprint,
    grid: Grid,
    features: Sequence[Feature],
    target: Target,
    valid_share: float,
    scenes: Sequence[dict[str, Any]],
    label: dict[str, Any],
    window: tuple[int, int] | None = None,
    split: str | None = None,
    split_group: str | None = None,
    fold: int | None = None,
    qa: dict[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the item of one chip.

    Args:
        id: item id.
        collection_id: `<dataset>-v<major>`.
        dataset: the dataset's name.
        footprint: ground footprint and time of the scenes.
        grid: the chip's own grid, on which all features and the target lie.
        features: stored features with their bands and statistics over valid pixels, at least one; the first is the
            reference.
        target: the stored label.
        valid_share: share (0 … 1) of pixels with data in every band of every feature.
        scenes: items that the features were cut from.
        label: item that the target was cut from.
        window: row and column of the chip's upper left pixel in its scene, or in the grid of its `proj:code`.
        split: `train`, `validate` or `test`, where the chip is in one.
        split_group: block or group that no split divides.
        fold: of a cross validation, from 0.
        qa: flat measures of the chip's quality.
        params: further facts of how it was made.
        links: further links.
    """
    frame = ItemFrame(id, collection_id, footprint, list(_EXTENSIONS))
    place = {} if window is None else {"row": window[0], "column": window[1]}
    frame.properties = {
        KIND_PROP: Kind.CHIPS,
        DATASET_PROP: dataset,
        **grid.properties(),
        **target.properties(),
        VALID_SHARE_PROP: round(valid_share, 6),
        PARAMS_PROP: {**place, **(params or {})},
        **known({SPLIT_PROP: split, SPLIT_GROUP_PROP: split_group, FOLD_PROP: fold, QA_PROP: qa}),
    }
    frame.assets = {feature.key: feature.to_asset(number == 0) for number, feature in enumerate(features)}
    frame.assets.update(target.to_assets())
    frame.links = [
        *(derived_from(scene, **{"ml-aoi:role": "feature"}) for scene in scenes),
        derived_from(label, **{"ml-aoi:role": "label"}),
        *links,
    ]
    return frame.to_dict()


@dataclass(frozen=True)
class ChipRecord(ItemRecord):
    """A chip, read from its item.

    Attributes:
        dataset: name of the dataset.
        version: version that it belongs to, None where it was changed since or never frozen.
        grid: the chip's own grid.
        features: what a network looks at, the reference first.
        target: what it is to find.
        valid_share: share (0 … 1) of pixels with data in every band.
        split: `train`, `validate` or `test`; None before a split, and for chips that it left out.
        split_group: block or group that no split divides.
        fold: of a cross validation, from 0.
        window: row and column of its upper left pixel in the scene.
        scene: what the first feature was cut from.
        label: what the target was cut from.
        qa: flat measures of its quality.
    """

    dataset: str
    version: str | None
    grid: Grid
    features: tuple[Feature, ...]
    target: Target
    valid_share: float
    split: str | None
    split_group: str | None
    fold: int | None
    window: tuple[int, int] | None
    scene: ItemRef
    label: ItemRef
    qa: Mapping[str, Any]

    @property
    def image(self) -> StoredFile:
        """Return the file of the first feature."""
        file = self.features[0].file
        assert file is not None  # items have their files
        return file

    @property
    def bands(self) -> Sequence[BandRecord]:
        """Return the bands of the first feature."""
        return self.features[0].bands

    @property
    def classes(self) -> Sequence[ClassDefinition]:
        """Return the classes of the target."""
        return self.target.classes

    @property
    def class_counts(self) -> Mapping[str, int]:
        """Return pixels, labels or boxes by class name; empty where there are no classes."""
        return self.target.counts or {}

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "ChipRecord":
        """Read a chip item.

        Raises:
            InvalidRecord: it is of another kind, or lacks a field.
        """
        reader = ItemReader(item, Kind.CHIPS)
        place = reader.optional(PARAMS_PROP, dict) or {}
        return cls(
            **reader.common(),
            dataset=reader.field(DATASET_PROP, str),
            version=reader.optional(DATASET_VERSION_PROP, str),
            grid=reader.own_grid(),
            features=Feature.all_of(reader),
            target=Target.of_item(reader),
            valid_share=reader.field(VALID_SHARE_PROP, float),
            split=reader.optional(SPLIT_PROP, str),
            split_group=reader.optional(SPLIT_GROUP_PROP, str),
            fold=reader.optional(FOLD_PROP, int),
            window=(int(place["row"]), int(place["column"])) if {"row", "column"} <= place.keys() else None,
            scene=reader.ref(DERIVED_REL, "feature"),
            label=reader.ref(DERIVED_REL, "label"),
            qa=reader.optional(QA_PROP, dict) or {},
        )


def chips_collection(
    *,
    id: str,
    dataset: str,
    description: str,
    footprint: Footprint,
    features: Sequence[Feature],
    target: Target,
    summaries: dict[str, Any],
    fields: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the collection of a dataset's chips.

    Args:
        id: `<dataset>-v<major>`.
        dataset: the dataset's name, the title.
        description: Markdown for people.
        footprint: union of the chips.
        features: what all chips have, with statistics of the bands over all chips.
        target: the task and its classes.
        summaries: STAC summaries, such as the splits.
        fields: further top-level members (`version`, `lab:class_counts`, …).
    """
    described = target.described()
    own = {name: value for name, value in described.properties().items() if name == TASK_PROP}
    return collection(
        id,
        dataset,
        description,
        footprint,
        kind=Kind.CHIPS,
        extensions=["ml-aoi", "classification", "raster", "render", "version", SCHEMA_URI],
        item_assets={
            **{feature.key: Feature.to_asset(_undated(feature), False) for feature in features},
            **described.to_assets(),
        },
        summaries=summaries,
        renders=image_renders(features[0].bands, features[0].key),
        **own,
        **(fields or {}),
    )


def _undated(feature: Feature) -> Feature:
    """Return a feature without file and times, which differ between chips."""
    return Feature(feature.key, None, feature.bands, feature.modality)
