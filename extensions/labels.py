"""Label sets: one item is the label of one scene: a raster, outlines or boxes, or classes of the scene as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.chip_parts import Task
from terralab.extensions.item import (
    COG_TYPE,
    GEOJSON_TYPE,
    Footprint,
    ItemFrame,
    StoredFile,
    asset,
    collection,
    item_link,
    known,
)
from terralab.extensions.lab import CLASS_COUNTS_PROP, KIND_PROP, SCHEMA_URI, Kind
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition, Grid, class_colormap, classes_to_stac
from terralab.extensions.record import ItemReader, ItemRecord, ItemRef

LABEL_ASSET = "raster_labels"
VECTOR_ASSET = "vector_labels"
CLASS_PROPERTY = "class"
"""Property of the features in `vector_labels` that names their class."""

_EXTENSIONS = ["label", "classification", "proj", "file", SCHEMA_URI]


def label_item(
    *,
    id: str,
    collection_id: str,
    footprint: Footprint,
    grid: Grid,
    raster: StoredFile | None,
    classes: Sequence[ClassDefinition],
    class_counts: dict[str, int] | None,
    scene: dict[str, Any],
    scene_asset: str,
    description: str,
    links: Sequence[dict[str, Any]] = (),
    vector: StoredFile | None = None,
    task: Task = Task.SEGMENTATION,
    band: BandRecord | None = None,
) -> dict[str, Any]:
    """Return the label item of `scene`.

    Args:
        id: item id.
        collection_id: the label set.
        footprint: ground and time.
        grid: where its pixels lie.
        raster: class values (uint8, 255 for no label), or numbers; None where the label is no raster.
        classes: empty for numbers.
        class_counts: pixels, labels or boxes by class name; None for numbers.
        scene: item of the scene that is labelled.
        scene_asset: its asset that the label belongs to.
        description: what the label is and how it was made.
        links: further links.
        vector: GeoJSON of outlines, boxes, or the scene's outline with its classes.
        task: what it teaches.
        band: of a raster of numbers.
    """
    frame = ItemFrame(id, collection_id, footprint, list(_EXTENSIONS))
    frame.properties = known(
        {
            KIND_PROP: Kind.LABELS,
            **grid.properties(),
            "label:type": "vector" if raster is None else "raster",
            "label:tasks": [task.value],
            "label:methods": ["manual"],
            "label:description": description,
            "label:classes": _named_classes(classes, None if raster else CLASS_PROPERTY) if classes else None,
            CLASS_COUNTS_PROP: class_counts,
        }
    )
    frame.properties["label:properties"] = None if raster else [CLASS_PROPERTY]
    if raster is not None:
        frame.assets[LABEL_ASSET] = _raster_asset(raster, classes, band)
    if vector is not None:
        entries = {"classification:classes": classes_to_stac(classes, None)} if classes else {}
        frame.assets[VECTOR_ASSET] = asset(
            vector, GEOJSON_TYPE, ["labels", "labels-vector"], "Label vectors", **entries
        )
    frame.links = [
        item_link("source", scene["collection"], scene["id"], **{"label:assets": [scene_asset]}),
        *links,
    ]
    return frame.to_dict()


def _named_classes(classes: Sequence[ClassDefinition], name: str | None) -> list[dict[str, Any]]:
    return [{"name": name, "classes": [entry.name for entry in classes]}]


def _raster_asset(raster: StoredFile, classes: Sequence[ClassDefinition], band: BandRecord | None) -> dict[str, Any]:
    title, roles = "Label raster", ["labels", "labels-raster"]
    if band is not None:
        return asset(raster, COG_TYPE, roles, title, bands=[band.to_stac()])
    bands = [{"name": "label", "data_type": "uint8", "nodata": MASK_NODATA}]
    return asset(raster, COG_TYPE, roles, title, bands=bands, **{"classification:classes": classes_to_stac(classes)})


@dataclass(frozen=True)
class LabelRecord(ItemRecord):
    """A label, read from its item.

    Attributes:
        grid: where its pixels lie.
        raster: the label raster, None where the label is none.
        vector: GeoJSON of outlines or boxes, None where there is none.
        classes: its classes; empty for numbers.
        class_counts: pixels, labels or boxes by class name; empty for numbers.
        scene: the scene that is labelled.
        description: what the label is and how it was made.
    """

    grid: Grid
    raster: StoredFile | None
    vector: StoredFile | None
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
            raster=reader.files().get(LABEL_ASSET),
            vector=reader.files().get(VECTOR_ASSET),
            classes=_classes_of(reader),
            class_counts=reader.optional(CLASS_COUNTS_PROP, dict) or {},
            scene=reader.ref("source"),
            description=reader.field("label:description", str),
        )


def _classes_of(reader: ItemReader) -> tuple[ClassDefinition, ...]:
    assets = reader.item.get("assets") or {}
    key = next((key for key in (LABEL_ASSET, VECTOR_ASSET) if key in assets), LABEL_ASSET)
    return reader.classes(key) if "classification:classes" in reader.asset(key) else ()


def labels_collection(
    *,
    id: str,
    title: str,
    description: str,
    footprint: Footprint,
    classes: Sequence[ClassDefinition],
    task: Task = Task.SEGMENTATION,
) -> dict[str, Any]:
    """Return the collection of a label set."""
    entries = {"classification:classes": classes_to_stac(classes, MASK_NODATA if task is Task.SEGMENTATION else None)}
    raster = {"type": COG_TYPE, "roles": ["labels", "labels-raster"], **(entries if classes else {})}
    vector = {"type": GEOJSON_TYPE, "roles": ["labels", "labels-vector"], **(entries if classes else {})}
    is_raster = task in (Task.SEGMENTATION, Task.REGRESSION)
    shown: dict[str, Any] = {"renders": class_renders(classes, LABEL_ASSET)} if task is Task.SEGMENTATION else {}
    return collection(
        id,
        title,
        description,
        footprint,
        kind=Kind.LABELS,
        extensions=["classification", "render", SCHEMA_URI] if shown else ["classification", SCHEMA_URI],
        item_assets={LABEL_ASSET: raster} if is_raster else {VECTOR_ASSET: vector},
        **shown,
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
