"""The labels of a dataset to be made: from files of the inbox, or from label items of the catalog."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from terralab.catalog.errors import InvalidInput, InvalidLabels
from terralab.catalog.store import Store
from terralab.datasets.chipping.burning import ValuedShape
from terralab.datasets.chipping.label_shapes import Invalid, Overlaps, check_shapes, classes_of_labels
from terralab.datasets.chipping.plan import ItemKey
from terralab.datasets.chipping.planning import LabelSource
from terralab.datasets.chipping.shape_files import LabelShape, read_shapes
from terralab.datasets.chipping.sources import RasterSource
from terralab.datasets.classes import found_classes
from terralab.datasets.dates import date_of
from terralab.datasets.pixel_scan import label_values
from terralab.datasets.raster_file import RasterFacts, read_facts
from terralab.datasets.scan import label_nodata
from terralab.extensions.chips import Task
from terralab.extensions.labels import LabelRecord
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

_RASTERS = (".tif", ".tiff", ".gtiff")


@dataclass(frozen=True)
class Labels:
    """All labels.

    Attributes:
        sources: one for each raster or shape.
        classes: of them; empty for regression.
        warnings: what was found amiss.
    """

    sources: tuple[LabelSource, ...]
    classes: tuple[ClassDefinition, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelRecipe:
    """How labels are read.

    Attributes:
        task: what they teach.
        classes: given ones; None to take those found.
        background: name of the class outside of all polygons.
        label_field: column of vector files.
        time_field: column of vector files.
        invalid: what is done with polygons that cross themselves.
        overlaps: who wins disputed pixels.
    """

    task: Task
    classes: Sequence[ClassDefinition] | None = None
    background: str | None = None
    label_field: str | None = None
    time_field: str | None = None
    invalid: Invalid = Invalid.REFUSE
    overlaps: Overlaps = Overlaps.UNLABEL


def labels_of_files(files: Sequence[Path], recipe: LabelRecipe) -> Labels:
    """Read label files: GeoTIFFs, or vector files.

    Raises:
        InvalidInput: both kinds are given, or a file is of neither.
        InvalidLabels: labels that cannot be taken as they are.
    """
    rasters = [path for path in files if path.suffix.lower() in _RASTERS]
    if rasters and len(rasters) < len(files):
        raise InvalidInput("labels: give either GeoTIFFs or vector files, not both")
    if rasters:
        return _rasters([read_facts(path) for path in rasters], recipe)
    shapes = [shape for path in files for shape in read_shapes(path, recipe.label_field, recipe.time_field)]
    checked = check_shapes(shapes, recipe.invalid, recipe.overlaps)
    return _shapes(checked.shapes, recipe, checked.warnings)


def labels_of_items(store: Store, items: Iterable[Mapping[str, Any]], recipe: LabelRecipe) -> Labels:
    """Read label items of the catalog.

    Raises:
        InvalidLabels: their classes differ, as where they were renumbered.
    """
    sources: list[LabelSource] = []
    classes: tuple[ClassDefinition, ...] | None = None
    warnings: list[str] = []
    for item in items:
        record = LabelRecord.of_item(item)
        name = f"{record.collection}/{record.id}"
        own = tuple(recipe.classes or record.classes)
        if classes is not None and [(e.value, e.name) for e in own] != [(e.value, e.name) for e in classes]:
            raise InvalidLabels(f"{name}: its classes differ from those of the items before it; correct them")
        classes = own
        item_key, scene = ItemKey(record.collection, record.id), ItemKey(record.scene.collection, record.scene.id)
        if record.raster is not None:
            path = store.open_path(record.raster.href)
            facts = read_facts(path)
            raster = RasterSource(path, name, facts.grid, (1,), facts.nodata)
            footprint = record.footprint
            sources.append(
                LabelSource(footprint.geometry, footprint.start, raster=raster, item=item_key, scene=scene, name=name)
            )
        elif record.vector is not None:
            checked = check_shapes(read_shapes(store.open_path(record.vector.href)), recipe.invalid, recipe.overlaps)
            found = _shapes(checked.shapes, recipe, checked.warnings, own)
            warnings += found.warnings
            sources += [
                LabelSource(
                    each.area,
                    record.footprint.start,
                    shape=each.shape,
                    item=item_key,
                    scene=scene,
                    name=f"{name} {each.name}",
                )
                for each in found.sources
            ]
    if not sources:
        raise InvalidLabels("the label items have no raster and no vectors")
    return Labels(tuple(sources), classes or (), tuple(warnings))


def _rasters(files: Sequence[RasterFacts], recipe: LabelRecipe) -> Labels:
    sources: list[LabelSource] = []
    values: set[float] = set()
    for facts in files:
        if facts.count != 1:
            raise InvalidLabels(f"{facts.name}: has {facts.count} bands; a label has one")
        nodata = label_nodata(facts)
        if recipe.task is not Task.REGRESSION:
            values.update(label_values(facts, nodata))
        area = facts.grid.footprint(datetime.fromisoformat("2000-01-01T00:00:00Z")).geometry
        raster = RasterSource(facts.path, facts.name, facts.grid, (1,), nodata)
        sources.append(LabelSource(area, _date_of(facts), raster=raster, name=facts.name))
    if recipe.task is Task.REGRESSION:
        return Labels(tuple(sources), ())
    return Labels(tuple(sources), tuple(recipe.classes or _classes_of_values(values)))


def _classes_of_values(values: Iterable[float]) -> Sequence[ClassDefinition]:
    wrong = sorted(value for value in values if value != int(value) or not 0 <= value < MASK_NODATA)
    if wrong:
        raise InvalidLabels(f"label values {', '.join(f'{value:g}' for value in wrong[:5])} are no classes 0 to 254")
    return found_classes(int(value) for value in values)


def _date_of(facts: RasterFacts) -> datetime | None:
    try:
        return date_of(facts)[0]
    except InvalidInput:  # a label need not have a date
        return None


def _shapes(
    shapes: Sequence[LabelShape],
    recipe: LabelRecipe,
    warnings: Sequence[str],
    classes: Sequence[ClassDefinition] | None = None,
) -> Labels:
    labels = [shape.label for shape in shapes if shape.label is not None]
    if recipe.task is Task.REGRESSION:
        words = [label for label in labels if isinstance(label, str)]
        if words:
            raise InvalidLabels(f"regression needs numbers, not {words[0]!r}")
        values: dict[str | float, float] = {label: float(label) for label in labels}
        found: tuple[ClassDefinition, ...] = ()
    else:
        found, numbers = classes_of_labels(labels, recipe.classes or classes, recipe.background)
        values = {label: float(number) for label, number in numbers.items()}
    sources = tuple(
        LabelSource(
            shape.geometry,
            shape.time,
            shape=ValuedShape(shapely.to_wkb(shape.geometry), values[shape.label]),
            name=shape.name,
        )
        for shape in shapes
        if shape.label is not None
    )
    return Labels(sources, found, tuple(warnings))


def fill_of(data_type: str, nodata: float | None, given: float | None) -> float:
    """Return the value of pixels without data: the given one, the scenes' own, or one that is rarely data.

    Raises:
        InvalidInput: no pixel of the type can have the given value.
    """
    kind = np.dtype(data_type)
    if given is not None:
        if kind.kind != "f" and (given != int(given) or not np.iinfo(kind).min <= given <= np.iinfo(kind).max):
            raise InvalidInput(f"nodata {given:g}: a pixel of type {data_type} cannot have it")
        return given
    if nodata is not None:
        return nodata
    if kind.kind == "f":
        return float("nan")
    return float(np.iinfo(kind).min if kind.kind == "i" else np.iinfo(kind).max)
