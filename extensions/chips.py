"""Chips: one item is an image chip with its mask; one collection is one version line of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.imagery import image_renders
from terralab.extensions.item import (
    COG_TYPE,
    Footprint,
    ItemFrame,
    StoredFile,
    asset,
    collection,
    derived_from,
    known,
)
from terralab.extensions.lab import (
    CLASS_COUNTS_PROP,
    DATASET_PROP,
    DATASET_VERSION_PROP,
    FOLD_PROP,
    KIND_PROP,
    PARAMS_PROP,
    QA_PROP,
    SCHEMA_URI,
    SPLIT_GROUP_PROP,
    SPLIT_PROP,
    VALID_SHARE_PROP,
    Kind,
)
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition, Grid, classes_to_stac
from terralab.extensions.record import DERIVED_REL, ItemReader, ItemRecord, ItemRef

IMAGE_ASSET = "image"
MASK_ASSET = "mask"
SPLITS = ("train", "validate", "test")
_EXTENSIONS = ["ml-aoi", "proj", "classification", "file", "raster", "version", SCHEMA_URI]


def chip_item(
    *,
    id: str,
    collection_id: str,
    dataset: str,
    footprint: Footprint,
    grid: Grid,
    image: StoredFile,
    bands: Sequence[BandRecord],
    mask: StoredFile,
    classes: Sequence[ClassDefinition],
    class_counts: dict[str, int],
    valid_share: float,
    scene: dict[str, Any],
    label: dict[str, Any],
    window: tuple[int, int],
    split: str | None = None,
    split_group: str | None = None,
    fold: int | None = None,
    qa: dict[str, Any] | None = None,
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the item of one chip.

    Args:
        id: item id.
        collection_id: `<dataset>-v<major>`.
        dataset: the dataset's name.
        footprint: ground footprint and time of the scene.
        grid: the chip's own grid.
        image: stored image chip, `len(bands)` bands.
        bands: per-band name, dtype, nodata and statistics over valid pixels.
        mask: stored mask, uint8, 255 where there is no label.
        classes: classes of the mask.
        class_counts: labelled pixels by class name.
        valid_share: share (0 … 1) of pixels with data in every band.
        scene: item that the image was cut from.
        label: item that the mask was cut from.
        window: row and column of the chip's upper left pixel in the scene.
        split: `train`, `validate` or `test`, where the chip is in one.
        split_group: block or group that no split divides.
        fold: of a cross validation, from 0.
        qa: flat measures of the chip's quality.
        links: further links.
    """
    frame = ItemFrame(id, collection_id, footprint, list(_EXTENSIONS))
    frame.properties = {
        KIND_PROP: Kind.CHIPS,
        DATASET_PROP: dataset,
        **grid.properties(),
        CLASS_COUNTS_PROP: class_counts,
        VALID_SHARE_PROP: round(valid_share, 6),
        PARAMS_PROP: {"row": window[0], "column": window[1]},
        **known({SPLIT_PROP: split, SPLIT_GROUP_PROP: split_group, FOLD_PROP: fold, QA_PROP: qa}),
    }
    frame.assets[IMAGE_ASSET] = asset(
        image,
        COG_TYPE,
        ["data"],
        "Image chip",
        bands=[band.to_stac() for band in bands],
        **{"raster:sampling": "area", "ml-aoi:role": "feature", "ml-aoi:reference-grid": True},
    )
    frame.assets[MASK_ASSET] = asset(
        mask,
        COG_TYPE,
        ["labels", "labels-raster"],
        "Mask",
        bands=[{"name": "mask", "data_type": "uint8", "nodata": MASK_NODATA}],
        **{"ml-aoi:role": "label", "classification:classes": classes_to_stac(classes)},
    )
    frame.links = [
        derived_from(scene, **{"ml-aoi:role": "feature"}),
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
        image: stored image chip.
        bands: its bands, in order.
        mask: stored mask.
        classes: classes of the mask.
        class_counts: labelled pixels by class name.
        valid_share: share (0 … 1) of pixels with data in every band.
        split: `train`, `validate` or `test`; None before a split, and for chips that it left out.
        split_group: block or group that no split divides.
        fold: of a cross validation, from 0.
        window: row and column of its upper left pixel in the scene.
        scene: what the image was cut from.
        label: what the mask was cut from.
        qa: flat measures of its quality.
    """

    dataset: str
    version: str | None
    grid: Grid
    image: StoredFile
    bands: tuple[BandRecord, ...]
    mask: StoredFile
    classes: tuple[ClassDefinition, ...]
    class_counts: Mapping[str, int]
    valid_share: float
    split: str | None
    split_group: str | None
    fold: int | None
    window: tuple[int, int] | None
    scene: ItemRef
    label: ItemRef
    qa: Mapping[str, Any]

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
            image=reader.file(IMAGE_ASSET),
            bands=reader.bands(IMAGE_ASSET),
            mask=reader.file(MASK_ASSET),
            classes=reader.classes(MASK_ASSET),
            class_counts=reader.field(CLASS_COUNTS_PROP, dict),
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
    bands: Sequence[BandRecord],
    classes: Sequence[ClassDefinition],
    summaries: dict[str, Any],
    fields: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the collection of a dataset's chips.

    Args:
        id: `<dataset>-v<major>`.
        dataset: the dataset's name, the title.
        description: Markdown for people.
        footprint: union of the chips.
        bands: bands with statistics over all chips.
        classes: classes of the masks.
        summaries: STAC summaries, such as the splits.
        fields: further top-level members (`version`, `lab:class_counts`, …).
    """
    return collection(
        id,
        dataset,
        description,
        footprint,
        kind=Kind.CHIPS,
        extensions=["ml-aoi", "classification", "raster", "render", "version", SCHEMA_URI],
        item_assets={
            IMAGE_ASSET: {
                "type": COG_TYPE,
                "roles": ["data"],
                "raster:sampling": "area",
                "ml-aoi:role": "feature",
                "bands": [band.to_stac() for band in bands],
            },
            MASK_ASSET: {
                "type": COG_TYPE,
                "roles": ["labels", "labels-raster"],
                "ml-aoi:role": "label",
                "classification:classes": classes_to_stac(classes),
            },
        },
        summaries=summaries,
        renders=image_renders(bands),
        **(fields or {}),
    )
