"""Label sets: one item is the label raster of one scene."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.item import COG_TYPE, Footprint, ItemFrame, StoredFile, asset, collection, item_link
from terralab.extensions.lab import CLASS_COUNTS_PROP, KIND_PROP, SCHEMA_URI, Kind
from terralab.extensions.raster import MASK_NODATA, ClassDefinition, Grid, class_colormap, classes_to_stac
from terralab.extensions.record import ItemReader, ItemRecord, ItemRef

LABEL_ASSET = "raster_labels"
_EXTENSIONS = ["label", "classification", "proj", "file", SCHEMA_URI]


def label_item(
    *,
    id: str,
    collection_id: str,
    footprint: Footprint,
    grid: Grid,
    raster: StoredFile,
    classes: Sequence[ClassDefinition],
    class_counts: dict[str, int],
    scene: dict[str, Any],
    scene_asset: str,
    description: str,
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the label item of `scene`; `class_counts` are pixels by class name."""
    frame = ItemFrame(id, collection_id, footprint, list(_EXTENSIONS))
    frame.properties = {
        KIND_PROP: Kind.LABELS,
        **grid.properties(),
        "label:type": "raster",
        "label:properties": None,
        "label:tasks": ["segmentation"],
        "label:methods": ["manual"],
        "label:description": description,
        "label:classes": [{"name": None, "classes": [entry.name for entry in classes]}],
        CLASS_COUNTS_PROP: class_counts,
    }
    frame.assets[LABEL_ASSET] = asset(
        raster,
        COG_TYPE,
        ["labels", "labels-raster"],
        "Label raster",
        bands=[{"name": "label", "data_type": "uint8", "nodata": MASK_NODATA}],
        **{"classification:classes": classes_to_stac(classes)},
    )
    frame.links = [
        item_link("source", scene["collection"], scene["id"], **{"label:assets": [scene_asset]}),
        *links,
    ]
    return frame.to_dict()


@dataclass(frozen=True)
class LabelRecord(ItemRecord):
    """A label, read from its item.

    Attributes:
        grid: where its pixels lie.
        raster: the label raster.
        classes: classes of its values.
        class_counts: pixels by class name.
        scene: the scene that is labelled.
        description: what the label is and how it was made.
    """

    grid: Grid
    raster: StoredFile
    classes: tuple[ClassDefinition, ...]
    class_counts: Mapping[str, int]
    scene: ItemRef
    description: str

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "LabelRecord":
        """Read a label item.

        Raises:
            InvalidRecord: it is of another kind, or lacks a field.
        """
        reader = ItemReader(item, Kind.LABELS)
        return cls(
            **reader.common(),
            grid=reader.own_grid(),
            raster=reader.file(LABEL_ASSET),
            classes=reader.classes(LABEL_ASSET),
            class_counts=reader.field(CLASS_COUNTS_PROP, dict),
            scene=reader.ref("source"),
            description=reader.field("label:description", str),
        )


def labels_collection(
    *, id: str, title: str, description: str, footprint: Footprint, classes: Sequence[ClassDefinition]
) -> dict[str, Any]:
    """Return the collection of a label set."""
    return collection(
        id,
        title,
        description,
        footprint,
        kind=Kind.LABELS,
        extensions=["classification", "render", SCHEMA_URI],
        item_assets={
            LABEL_ASSET: {
                "type": COG_TYPE,
                "roles": ["labels", "labels-raster"],
                "classification:classes": classes_to_stac(classes),
            }
        },
        renders=class_renders(classes, LABEL_ASSET),
    )


def class_renders(classes: Sequence[ClassDefinition], asset_key: str) -> dict[str, Any]:
    """Return the render preset that shows class values in the classes' own colours."""
    return {
        "default": {
            "title": "Classes",
            "assets": [asset_key],
            "bidx": [1],
            "nodata": MASK_NODATA,
            "resampling": "nearest",
            "colormap": class_colormap(classes),
        }
    }
