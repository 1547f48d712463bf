"""The label of a chip, for every task, from rasters or shapes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidLabels
from terralab.datasets.chipping.burning import boxes_on, burned_classes, burned_numbers
from terralab.datasets.chipping.cleaning import Cleaning, cleaned_mask
from terralab.datasets.chipping.composites import mosaic
from terralab.datasets.chipping.places import to_crs
from terralab.datasets.chipping.plan import ChipPlan, TargetRecipe
from terralab.datasets.chipping.reader import ChipReader, Patch
from terralab.datasets.chipping.sources import Resampling
from terralab.extensions.chips import Task
from terralab.extensions.item import COORDINATE_DIGITS
from terralab.extensions.raster import MASK_NODATA, Grid

_NO_NUMBER = float("nan")
_SHOWN = 5


@dataclass(frozen=True)
class ChipTarget:
    """A chip's label.

    Attributes:
        mask: class values (rows, columns) uint8; None for other tasks.
        numbers: (1, rows, columns) float32; None for other tasks.
        boxes: GeoJSON; None for other tasks.
        counts: pixels, labels or boxes by class name; None for regression.
        labels: names of the chip's classes; None for other tasks.
        labelled: share (0 … 1) of the pixels that have a label.
        disputed: pixels that several classes claimed.
    """

    mask: NDArray[np.uint8] | None = None
    numbers: NDArray[np.float32] | None = None
    boxes: bytes | None = None
    counts: dict[str, int] | None = None
    labels: list[str] | None = None
    labelled: float = 0.0
    disputed: int = 0


def read_labels(reader: ChipReader, plans: Sequence[ChipPlan], recipe: TargetRecipe) -> list[Patch | None]:
    """Return the label rasters on the chips' grids; None for chips whose labels are shapes.

    Args:
        reader: of rasters.
        plans: chips of one strip, with the same label rasters.
        recipe: what the label is.
    """
    rasters = plans[0].target.rasters
    if not rasters:
        return [None] * len(plans)
    grids = [plan.grid for plan in plans]
    numbers = recipe.task is Task.REGRESSION
    patches: list[list[Patch]] = []
    for raster in rasters:
        resampling = recipe.resampling if numbers else Resampling.NEAREST
        fill = _NO_NUMBER if numbers else _unused(raster.nodata)
        patches.append(reader.read_numbers(raster, grids, resampling, fill))
    return [mosaic(parts) for parts in zip(*patches, strict=True)]


def chip_target(
    plan: ChipPlan, recipe: TargetRecipe, cleaning: Cleaning, raster: Patch | None, valid: NDArray[np.bool_]
) -> ChipTarget:
    """Return the label of a chip.

    Args:
        plan: the chip.
        recipe: what the label is.
        cleaning: of masks.
        raster: the label raster on the chip's grid, where the label is one.
        valid: where the chip has data (rows, columns).

    Raises:
        InvalidLabels: a raster has values that are no class.
    """
    if recipe.task is Task.REGRESSION:
        return _numbers(plan, recipe, cleaning, raster, valid)
    if recipe.task is Task.DETECTION:
        return _boxes(plan, recipe)
    mask, disputed = _class_values(plan, recipe, raster)
    names = {entry.value: entry.name for entry in recipe.classes}
    if recipe.task is Task.SEGMENTATION:
        mask = cleaned_mask(mask, valid, cleaning, plan.id)
        counted = np.bincount(mask.ravel(), minlength=MASK_NODATA + 1)
        counts = {name: int(counted[value]) for value, name in names.items()}
        return ChipTarget(mask=mask, counts=counts, labelled=_share(mask != MASK_NODATA), disputed=disputed)
    counted = np.bincount(mask.ravel(), minlength=MASK_NODATA + 1)[:MASK_NODATA]
    total = int(counted.sum())
    if recipe.task is Task.CLASSIFICATION:
        chosen = [int(np.argmax(counted))] if total else []
    else:
        least = max(1, int(np.ceil(recipe.least_share * total)))
        chosen = [value for value in names if counted[value] >= least]
    labels = [names[value] for value in chosen]
    return ChipTarget(
        counts=dict.fromkeys(labels, 1), labels=labels, labelled=_share(mask != MASK_NODATA), disputed=disputed
    )


def _class_values(plan: ChipPlan, recipe: TargetRecipe, raster: Patch | None) -> tuple[NDArray[np.uint8], int]:
    if raster is None:
        return burned_classes(
            plan.target.shapes,
            plan.grid,
            all_touched=recipe.all_touched,
            overlaps=recipe.overlaps,
            background=recipe.background,
            radius=recipe.radius,
        )
    values, valid = raster.pixels[0], raster.valid[0]
    known = [entry.value for entry in recipe.classes]
    wrong = np.unique(values[valid & ~np.isin(values, known)])
    if len(wrong):
        shown = ", ".join(f"{value:g}" for value in wrong[:_SHOWN])
        raise InvalidLabels(
            f"{plan.target.rasters[0].name}: values {shown} are no class; the classes are"
            f" {', '.join(map(str, known))}; correct the label, or give its classes"
        )
    return np.where(valid, values, MASK_NODATA).astype(np.uint8), 0


def _numbers(
    plan: ChipPlan, recipe: TargetRecipe, cleaning: Cleaning, raster: Patch | None, valid: NDArray[np.bool_]
) -> ChipTarget:
    if raster is None:
        numbers = burned_numbers(plan.target.shapes, plan.grid, all_touched=recipe.all_touched, radius=recipe.radius)
    else:
        numbers = np.where(raster.valid[:1], raster.pixels[:1], np.nan).astype(np.float32)
    if cleaning.mask_labels:
        numbers = np.where(valid, numbers, np.float32(np.nan))
    return ChipTarget(numbers=numbers, labelled=_share(np.isfinite(numbers)))


def _boxes(plan: ChipPlan, recipe: TargetRecipe) -> ChipTarget:
    names = {entry.value: entry.name for entry in recipe.classes}
    counts = dict.fromkeys(names.values(), 0)
    features = []
    for value, pixels in boxes_on(plan.target.shapes, plan.grid):
        counts[names[value]] += 1
        features.append(_box_feature(names[value], pixels, plan.grid))
    document = {"type": "FeatureCollection", "features": features}
    content = json.dumps(document, separators=(",", ":")).encode()
    return ChipTarget(boxes=content, counts=counts, labelled=1.0)


def _box_feature(name: str, pixels: list[float], grid: Grid) -> dict[str, Any]:
    a, _, c, _, e, f = grid.transform
    left, top, right, bottom = pixels
    native = shapely.box(c + a * left, f + e * bottom, c + a * right, f + e * top)
    outline = to_crs(native, grid.crs, "EPSG:4326")
    ring = [[round(x, COORDINATE_DIGITS), round(y, COORDINATE_DIGITS)] for x, y in shapely.get_coordinates(outline)]
    properties: Mapping[str, Any] = {"class": name, "bbox_pixels": pixels}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def _unused(nodata: float | None) -> float:
    """Return a value of a label raster that stands for `no label`."""
    return float(MASK_NODATA) if nodata is None else nodata


def _share(there: NDArray[np.bool_]) -> float:
    return float(there.mean())
