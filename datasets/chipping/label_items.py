"""Label items of a dataset that was made from label files: what was given, kept beside what was made of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.windows import Window

from terralab.catalog.store import Store
from terralab.datasets.chipping.plan import ChipPlan, ItemKey
from terralab.datasets.chipping.sources import RasterSource
from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import open_raster, strips, valid_pixels
from terralab.datasets.scenes import to_mask
from terralab.extensions.chips import Task
from terralab.extensions.item import Footprint, StoredFile, parse_time
from terralab.extensions.labels import CLASS_PROPERTY, label_item
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition, Grid

_VALUE_PROPERTY = "value"
_NAN = float("nan")


def label_items(
    store: Store,
    plans: Sequence[ChipPlan],
    scenes: Mapping[ItemKey, Mapping[str, Any]],
    classes: Sequence[ClassDefinition],
    task: Task,
    run_link: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return an item for each label that the chips name: of a raster file, or of the shapes on one scene.

    Args:
        store: takes the labels' files.
        plans: the chips.
        scenes: items of the scenes.
        classes: of the labels; empty for regression.
        task: what they teach.
        run_link: link to the run that made them.
    """
    by_label: dict[ItemKey, list[ChipPlan]] = {}
    for plan in plans:
        by_label.setdefault(plan.label, []).append(plan)
    return [
        _item(store, label, chips, dict(scenes[chips[0].scenes[0]]), classes, task, run_link)
        for label, chips in sorted(by_label.items(), key=lambda entry: entry[0].id)
    ]


def _item(
    store: Store,
    label: ItemKey,
    chips: Sequence[ChipPlan],
    scene: dict[str, Any],
    classes: Sequence[ClassDefinition],
    task: Task,
    run_link: dict[str, Any],
) -> dict[str, Any]:
    raster = next((chip.target.rasters[0] for chip in chips if chip.target.rasters), None)
    names = {entry.value: entry.name for entry in classes}
    grid = raster.grid if raster else Grid.of_properties(scene["properties"])
    stored = None if raster is None else _stored_raster(store, label.id, raster, task)
    band = BandRecord("target", "float32", _NAN) if raster is not None and task is Task.REGRESSION else None
    moment = min(parse_time(chip.start) for chip in chips), max(parse_time(chip.end) for chip in chips)
    return label_item(
        id=label.id,
        collection_id=label.collection,
        footprint=grid.footprint(*moment) if raster else Footprint(Footprint.of_item(scene).geometry, *moment),
        grid=grid,
        raster=stored,
        vector=None if raster else _stored_shapes(store, label.id, chips, names),
        classes=classes,
        class_counts=_counts(raster, chips, names),
        scene=scene,
        scene_asset=next(key for key, asset in scene["assets"].items() if "data" in asset.get("roles", [])),
        description=f"Label of {scene['id']}" if raster is None else f"Label from {raster.name}",
        task=task,
        band=band,
        links=[run_link],
    )


def _counts(raster: RasterSource | None, chips: Sequence[ChipPlan], names: Mapping[int, str]) -> dict[str, int] | None:
    """Return pixels or shapes by class name; None for numbers."""
    if not names:
        return None
    counts = dict.fromkeys(names.values(), 0)
    if raster is None:
        for shape in {shape for chip in chips for shape in chip.target.shapes}:
            counts[names[int(shape.value)]] += 1
        return counts
    with open_raster(raster.path) as source:
        for _, pixels in strips(source, raster.name):
            values, found = np.unique(pixels[valid_pixels(pixels, raster.nodata)], return_counts=True)
            for value, count in zip(values, found, strict=True):
                if int(value) in names:
                    counts[names[int(value)]] += int(count)
    return counts


def _stored_raster(store: Store, id: str, raster: RasterSource, task: Task) -> StoredFile:
    """Store a label raster as a COG: class values with 255 for no label, or numbers."""
    numbers = task is Task.REGRESSION
    with store.scratch() as folder:
        target: Path = folder / f"{id}_label.tif"
        writer = cog_writer(
            target,
            count=1,
            data_type="float32" if numbers else "uint8",
            grid=raster.grid,
            nodata=_NAN if numbers else MASK_NODATA,
            names=["target" if numbers else "label"],
            labels=not numbers,
        )
        with open_raster(raster.path) as source, writer as cog:
            for row, pixels in strips(source, raster.name):
                usable = np.where(valid_pixels(pixels, raster.nodata), pixels, np.nan) if numbers else pixels
                written = usable.astype(np.float32) if numbers else to_mask(pixels, raster.nodata)
                cog.write(written, window=Window(0, row, pixels.shape[2], pixels.shape[1]))
        return store.put(target)


def _stored_shapes(store: Store, id: str, chips: Sequence[ChipPlan], names: Mapping[int, str]) -> StoredFile:
    shapes = sorted({shape for chip in chips for shape in chip.target.shapes}, key=lambda s: (s.value, s.wkb))
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shapely.from_wkb(shape.wkb))),
            "properties": {CLASS_PROPERTY: names[int(shape.value)]} if names else {_VALUE_PROPERTY: shape.value},
        }
        for shape in shapes
    ]
    content = json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))
    return store.put_bytes(content.encode(), f"{id}_label.geojson")
