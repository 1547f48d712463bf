"""Collections of static catalogs, made of their items: extent, bands, classes and render presets."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from terralab.catalog.errors import InvalidInput, InvalidItem
from terralab.datasets.static_items import ItemFile, StaticItem, joint_footprint
from terralab.datasets.statistics import BandSums, total_counts
from terralab.extensions.chips import IMAGE_ASSET, ChipRecord, Feature, Target, Task, chips_collection
from terralab.extensions.dataset import datasets_collection
from terralab.extensions.imagery import SceneRecord, imagery_collection
from terralab.extensions.item import GEOJSON_TYPE, Footprint
from terralab.extensions.lab import CLASS_COUNTS_PROP, DATASET_PROP, SPLIT_PROP
from terralab.extensions.labels import LabelRecord, labels_collection
from terralab.extensions.model import models_collection
from terralab.extensions.prediction import PredictionRecord, predictions_collection
from terralab.extensions.raster import BandRecord, ClassDefinition
from terralab.extensions.record import InvalidRecord
from terralab.extensions.records import read_record
from terralab.extensions.run import runs_collection

Texts = Mapping[str, Any]


def collection_of_items(
    kind: str,
    destination: Path,
    items: Sequence[Path],
    *,
    collection_id: str,
    title: str | None = None,
    description: str | None = None,
    license_id: str = "other",
) -> dict[str, Any]:
    """Write the collection of `items`, with a link to each, and return it.

    Args:
        kind: of the items.
        destination: file of the collection.
        items: files of the items, at least one.
        collection_id: id of the collection, which the items name.
        title: by default the id.
        description: Markdown; by default the title.
        license_id: SPDX license, or `other`.

    Raises:
        InvalidInput: an item is of another kind or collection, or they differ in what the collection says.
    """
    files = [ItemFile.read(path) for path in items]
    records = [_record(file, kind, collection_id) for file in files]
    texts = {"title": title or collection_id, "description": description or title or collection_id}
    try:
        made = _BUILDERS[kind](records, joint_footprint(files), {"id": collection_id, **texts})
    except ValueError as error:
        raise InvalidInput(f"{collection_id}: {error}") from error
    links = [{"rel": "item", "href": _relative(file, destination), "type": GEOJSON_TYPE} for file in files]
    written = {**made, "id": collection_id, **texts, "license": license_id, "links": links}
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return written


def _record(file: ItemFile, kind: str, collection_id: str) -> Any:
    if file.item["collection"] != collection_id:
        raise InvalidInput(f"{file.path} is of the collection {file.item['collection']!r}, not {collection_id!r}")
    found = file.item["properties"].get("lab:kind")
    if found != kind:
        raise InvalidInput(f"{file.path} is of the kind {found!r}, not {kind!r}")
    try:
        return read_record(file.resolved())
    except InvalidRecord as error:
        raise InvalidItem(f"{file.path}: {error}") from error


def _relative(file: ItemFile, destination: Path) -> str:
    return StaticItem(destination).href(file.path)


def _imagery(records: Sequence[SceneRecord], footprint: Footprint, texts: Texts) -> dict[str, Any]:
    return imagery_collection(footprint=footprint, bands=_bands([_only(record) for record in records]), **texts)


def _only(record: SceneRecord) -> tuple[tuple[BandRecord, ...], int]:
    if len(record.bands) != 1 or record.grid is None:
        raise InvalidInput(f"{record.id}: give scenes with one data asset and a grid")
    return next(iter(record.bands.values())), record.grid.shape[0] * record.grid.shape[1]


def _labels(records: Sequence[LabelRecord], footprint: Footprint, texts: Texts) -> dict[str, Any]:
    return labels_collection(footprint=footprint, classes=_classes(records), **texts)


def _chips(records: Sequence[ChipRecord], footprint: Footprint, texts: Texts) -> dict[str, Any]:
    datasets = sorted({record.dataset for record in records})
    if len(datasets) > 1:
        raise InvalidInput(f"the chips are of several datasets: {', '.join(datasets)}")
    splits = sorted({record.split for record in records if record.split})
    bands = _bands([(record.bands, record.grid.shape[0] * record.grid.shape[1]) for record in records])
    return chips_collection(
        id=texts["id"],
        dataset=datasets[0],
        description=texts["description"],
        footprint=footprint,
        features=[Feature(IMAGE_ASSET, None, bands)],
        target=Target(Task.SEGMENTATION, classes=_classes(records)),
        summaries={SPLIT_PROP: splits} if splits else {},
        fields={
            DATASET_PROP: datasets[0],
            CLASS_COUNTS_PROP: total_counts(record.class_counts for record in records),
        },
    )


def _predictions(records: Sequence[PredictionRecord], footprint: Footprint, texts: Texts) -> dict[str, Any]:
    return predictions_collection(footprint=footprint, classes=_classes(records), **texts)


_BUILDERS: dict[str, Callable[[Any, Footprint, Texts], dict[str, Any]]] = {
    "imagery": _imagery,
    "labels": _labels,
    "chips": _chips,
    "dataset": lambda records, footprint, texts: datasets_collection(footprint),
    "model": lambda records, footprint, texts: models_collection(footprint),
    "run": lambda records, footprint, texts: runs_collection(footprint),
    "prediction": _predictions,
}


def _bands(scenes: Sequence[tuple[Sequence[BandRecord], int]]) -> list[BandRecord]:
    """Return the bands with statistics over all items; each is given with its number of pixels."""
    first = scenes[0][0]
    for bands, _ in scenes[1:]:
        if [(band.name, band.data_type) for band in bands] != [(band.name, band.data_type) for band in first]:
            raise InvalidInput("the items differ in the names, order or data type of their bands")
    pooled = [
        BandSums.pooled(
            BandSums.of_stac(bands[number].statistics.to_stac() if bands[number].statistics else None, pixels)  # type: ignore[union-attr]
            for bands, pixels in scenes
        )
        for number in range(len(first))
    ]
    return [
        BandRecord(band.name, band.data_type, band.nodata, sums.statistics())
        for band, sums in zip(first, pooled, strict=True)
    ]


def _classes(records: Sequence[LabelRecord | ChipRecord | PredictionRecord]) -> tuple[ClassDefinition, ...]:
    """Return the classes of all items; one that is found later must not contradict one found before."""
    known: dict[int, ClassDefinition] = {}
    for record in records:
        for entry in record.classes:
            if known.setdefault(entry.value, entry).name != entry.name:
                raise InvalidInput(f"{record.id}: the value {entry.value} is {entry.name!r} here, not as before")
    return tuple(known[value] for value in sorted(known))
