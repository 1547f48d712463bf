"""Predictions: one item is one map that a model made, as a COG in class colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terralab.extensions.item import (
    COG_TYPE,
    Footprint,
    ItemFrame,
    StoredFile,
    asset,
    collection,
    derived_from,
    format_time,
    parse_time,
)
from terralab.extensions.lab import CLASS_COUNTS_PROP, KIND_PROP, METRICS_PROP, PARAMS_PROP, SCHEMA_URI, Kind
from terralab.extensions.labels import class_renders
from terralab.extensions.model import MODELS_COLLECTION
from terralab.extensions.raster import MASK_NODATA, ClassDefinition, Grid, classes_to_stac
from terralab.extensions.record import DERIVED_REL, InvalidRecord, ItemReader, ItemRecord, ItemRef

PREDICTION_ASSET = "prediction"
_EXTENSIONS = ["processing", "proj", "classification", "render", "file", SCHEMA_URI]


def prediction_item(
    *,
    id: str,
    collection_id: str,
    footprint: Footprint,
    grid: Grid,
    raster: StoredFile,
    classes: Sequence[ClassDefinition],
    class_counts: dict[str, int],
    model: dict[str, Any],
    sources: Sequence[dict[str, Any]],
    params: dict[str, Any],
    software: dict[str, str],
    processed: datetime,
    thumbnail: StoredFile | None = None,
    links: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the item of one prediction.

    Args:
        id: derived from the model's and the sources' checksums and the parameters.
        collection_id: `<model>-predictions`.
        footprint: ground footprint, and acquisition time of the source.
        grid: the raster's grid.
        raster: uint8 COG, 255 where the source has no data.
        classes: classes of the raster.
        class_counts: pixels by class name.
        model: the model's item.
        sources: items that the model looked at.
        params: parameters of the inference.
        software: name → version.
        processed: wall clock.
        thumbnail: PNG in class colours.
        links: further links, such as the run's.
    """
    frame = ItemFrame(id, collection_id, footprint, list(_EXTENSIONS))
    frame.properties = {
        KIND_PROP: Kind.PREDICTION,
        **grid.properties(),
        "processing:level": "L4",
        "processing:datetime": format_time(processed),
        "processing:software": software,
        "processing:lineage": f"Predicted by {model['collection']}/{model['id']}",
        PARAMS_PROP: params,
        CLASS_COUNTS_PROP: class_counts,
        "renders": class_renders(classes, PREDICTION_ASSET),
    }
    frame.assets[PREDICTION_ASSET] = asset(
        raster,
        COG_TYPE,
        ["data", "prediction"],
        "Prediction",
        bands=[{"name": "class", "data_type": "uint8", "nodata": MASK_NODATA}],
        **{"classification:classes": classes_to_stac(classes)},
    )
    if thumbnail is not None:
        frame.assets["thumbnail"] = asset(thumbnail, "image/png", ["thumbnail"], "Thumbnail")
    frame.links = [
        derived_from(model, **{"mlm:name": model["properties"].get("mlm:name"), "processing:level": "L4"}),
        *(derived_from(source) for source in sources),
        *links,
    ]
    return frame.to_dict()


@dataclass(frozen=True)
class PredictionRecord(ItemRecord):
    """A prediction, read from its item.

    Attributes:
        grid: where its pixels lie.
        raster: map of class values.
        classes: classes of the values.
        class_counts: pixels by class name.
        model: the model that made it.
        looked_at: items that the model looked at.
        params: parameters of the inference.
        software: name → version.
        processed: wall clock.
        metrics: measures against a label, where there are any.
    """

    grid: Grid
    raster: StoredFile
    classes: tuple[ClassDefinition, ...]
    class_counts: Mapping[str, int]
    model: ItemRef
    looked_at: tuple[ItemRef, ...]
    params: Mapping[str, Any]
    software: Mapping[str, str]
    processed: datetime
    metrics: Mapping[str, float]

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "PredictionRecord":
        """Read a prediction item.

        Raises:
            InvalidRecord: it is of another kind, or lacks a field.
        """
        reader = ItemReader(item, Kind.PREDICTION)
        model = _model_of(reader)
        return cls(
            **reader.common(),
            grid=reader.own_grid(),
            raster=reader.file(PREDICTION_ASSET),
            classes=reader.classes(PREDICTION_ASSET),
            class_counts=reader.field(CLASS_COUNTS_PROP, dict),
            model=model,
            looked_at=tuple(ref for ref in reader.refs(DERIVED_REL) if ref != model),
            params=reader.optional(PARAMS_PROP, dict) or {},
            software=reader.optional("processing:software", dict) or {},
            processed=parse_time(reader.field("processing:datetime", str)),
            metrics=reader.optional(METRICS_PROP, dict) or {},
        )


def _model_of(reader: ItemReader) -> ItemRef:
    links = reader.links(DERIVED_REL)
    # The model's link carries its name; where pgstac dropped that for being null, the collection tells.
    named = [link for link in links if "mlm:name" in link]
    found = [ItemRef.of_link(link) for link in named or links]
    model = next((ref for ref in found if ref and (named or ref.collection == MODELS_COLLECTION)), None)
    if model is None:
        raise InvalidRecord(f"{reader.name} has no `{DERIVED_REL}` link to a model")
    return model


def predictions_collection(
    *, id: str, title: str, description: str, footprint: Footprint, classes: Sequence[ClassDefinition]
) -> dict[str, Any]:
    """Return the collection of a model's predictions."""
    return collection(
        id,
        title,
        description,
        footprint,
        kind=Kind.PREDICTION,
        extensions=["classification", "render", SCHEMA_URI],
        item_assets={
            PREDICTION_ASSET: {
                "type": COG_TYPE,
                "roles": ["data", "prediction"],
                "classification:classes": classes_to_stac(classes),
            }
        },
        renders=class_renders(classes, PREDICTION_ASSET),
    )
