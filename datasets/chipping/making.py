"""Cutting chips: read, mask, compose, label, measure, compress and store, strip by strip.

Chips of one strip that are cut from the same scenes are read together. While the next strip is read, a few threads
compress the chips of the last one; their files are stored many at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.store import Store
from terralab.datasets.chip_storing import in_threads, stored_chips
from terralab.datasets.chipping.composites import composed, mosaic
from terralab.datasets.chipping.pixel_masks import Strategy, masks_of_dates
from terralab.datasets.chipping.plan import Acquisition, ChipPlan, FeatureRecipe, Recipe, ScenePart
from terralab.datasets.chipping.reader import ChipReader, Patch
from terralab.datasets.chipping.sources import Resampling
from terralab.datasets.chipping.targets import ChipTarget, chip_target, read_labels
from terralab.datasets.cog import encode_chip
from terralab.datasets.statistics import BandSums
from terralab.extensions.chips import BOXES_ASSET, MASK_ASSET, TARGET_ASSET, Task
from terralab.extensions.item import StoredFile
from terralab.extensions.raster import MASK_NODATA, Grid

_STRIP = 16  # chips that are read and held at once
_THREADS = 4
_UNMASKED = 0.0
_NOTHING = np.zeros((), bool)  # no pixel is masked


@dataclass(frozen=True)
class MadeChip:
    """A chip that was cut, or was left out.

    Attributes:
        id: item id.
        dropped: why it was left out; None where it was cut.
        files: stored files of the features, in their order, and of the target, by asset key.
        sums: of each band of each feature over its valid pixels.
        counts: pixels, labels or boxes by class name.
        labels: names of the chip's classes.
        target_sums: of the numbers, for regression.
        valid_share: share (0 … 1) of pixels with data in every band of every feature.
        disputed: pixels that several classes claimed.
    """

    id: str
    dropped: str | None = None
    files: dict[str, StoredFile] | None = None
    sums: tuple[tuple[BandSums, ...], ...] = ()
    counts: dict[str, int] | None = None
    labels: list[str] | None = None
    target_sums: BandSums | None = None
    valid_share: float = 0.0
    disputed: int = 0


@dataclass(frozen=True)
class _Unstored:
    """A chip whose files still lie in the scratch folder, by asset key."""

    chip: MadeChip
    files: dict[str, tuple[Path, str]]


def make_chips(
    store: Store, recipe: Recipe, plans: Sequence[ChipPlan], on_chip: Callable[[MadeChip], object] = lambda chip: None
) -> list[MadeChip]:
    """Cut chips and store their files, in the order of the plans.

    Args:
        store: takes the files.
        recipe: what all chips have in common.
        plans: sorted by `strip_key`, so that each block of a scene is read once.
        on_chip: called after each chip.
    """
    made = []
    with store.scratch() as folder, ChipReader() as reader:

        def finish(job: tuple[ChipPlan, list[Patch], Patch | None]) -> _Unstored:
            return _finished(folder, recipe, *job)

        work = in_threads(finish, _read_all(reader, recipe, plans), ahead=2 * _STRIP, threads=_THREADS)
        for cut, files in stored_chips(store, ((one, list(one.files.values())) for one in work)):
            stored = dict(zip(cut.files, files, strict=True))
            chip = replace(cut.chip, files=stored) if cut.chip.dropped is None else cut.chip
            made.append(chip)
            on_chip(chip)
    return made


def strip_key(plan: ChipPlan) -> tuple[Any, ...]:
    """Return by what plans are sorted: those of the same scenes together, from north to south, from west to east."""
    names = [part.rasters[0].name for feature in plan.dates for date in feature for each in date for part in each.parts]
    left, top = plan.grid.transform[2], plan.grid.transform[5]
    return (names, plan.grid.crs, -top, left, plan.id)


def _read_all(
    reader: ChipReader, recipe: Recipe, plans: Sequence[ChipPlan]
) -> Iterator[tuple[ChipPlan, list[Patch], Patch | None]]:
    for _, strip in groupby(plans, key=_strip):
        chips = list(strip)
        for first in range(0, len(chips), _STRIP):
            part = chips[first : first + _STRIP]
            grids = [plan.grid for plan in part]
            features = [
                _feature(reader, feature, dates, grids)
                for feature, dates in zip(recipe.features, part[0].dates, strict=True)
            ]
            labels = read_labels(reader, part, recipe.target)
            for number, plan in enumerate(part):
                yield plan, [feature[number] for feature in features], labels[number]


def _strip(plan: ChipPlan) -> tuple[Any, ...]:
    return (plan.dates, plan.target.rasters, plan.grid.crs, plan.grid.transform[5])


def _feature(
    reader: ChipReader, recipe: FeatureRecipe, dates: Sequence[Sequence[Acquisition]], grids: Sequence[Grid]
) -> list[Patch]:
    """Return the pixels of one feature on each grid, all dates one after the other."""
    shots = [[_acquired(reader, recipe, each, grids) for each in date] for date in dates]
    made = []
    for number in range(len(grids)):
        found = [[shot[number] for shot in date] for date in shots]
        if recipe.mask is not None:
            found = _masked(found, recipe)
        single = [_one_image([patch for patch, _ in date], recipe) for date in found]
        made.append(
            Patch(np.concatenate([patch.pixels for patch in single]), np.concatenate([patch.valid for patch in single]))
            if len(single) > 1
            else single[0]
        )
    return made


def _acquired(
    reader: ChipReader, recipe: FeatureRecipe, acquisition: Acquisition, grids: Sequence[Grid]
) -> list[tuple[Patch, NDArray[np.bool_]]]:
    """Return for each grid the mosaic of an acquisition's scenes, and which of its pixels the mask takes away."""
    parts = [_scene(reader, recipe, part, grids) for part in acquisition.parts]
    if recipe.mask is None:
        return [(mosaic([part[number][0] for part in parts]), _NOTHING) for number in range(len(grids))]
    result = []
    for number in range(len(grids)):
        patches = [part[number][0] for part in parts]
        lost = [part[number][1] for part in parts]
        # A clouded pixel of one scene may be free in the next, so scenes are masked before they are laid together.
        free = mosaic([Patch(patch.pixels, patch.valid & ~away) for patch, away in zip(patches, lost, strict=True)])
        seen = np.logical_or.reduce([patch.valid.any(axis=0) for patch in patches])
        result.append((free, seen & ~free.valid.any(axis=0)))
    return result


def _scene(
    reader: ChipReader, recipe: FeatureRecipe, part: ScenePart, grids: Sequence[Grid]
) -> list[tuple[Patch, NDArray[np.bool_]]]:
    rasters = [reader.read(raster, grids, recipe.resampling, recipe.fill) for raster in part.rasters]
    if part.quality is None or recipe.mask is None:
        return [(_stacked(bands), _NOTHING) for bands in zip(*rasters, strict=True)]
    quality = reader.read_numbers(part.quality, grids, Resampling.NEAREST, _UNMASKED)
    return [
        (_stacked(bands), recipe.mask.masked(values.pixels[0].astype(np.int64)) & values.valid[0])
        for bands, values in zip(zip(*rasters, strict=True), quality, strict=True)
    ]


def _stacked(bands: Sequence[Patch]) -> Patch:
    if len(bands) == 1:
        return bands[0]
    return Patch(np.concatenate([band.pixels for band in bands]), np.concatenate([band.valid for band in bands]))


def _masked(
    dates: list[list[tuple[Patch, NDArray[np.bool_]]]], recipe: FeatureRecipe
) -> list[list[tuple[Patch, NDArray[np.bool_]]]]:
    """Give masked pixels the fill value; with `any` in all dates."""
    assert recipe.mask is not None
    lost = masks_of_dates([away for date in dates for _, away in date], recipe.mask.strategy)
    away = iter(lost)
    return [[(_without(patch, next(away), recipe), hidden) for patch, hidden in date] for date in dates]


def _without(patch: Patch, away: NDArray[np.bool_], recipe: FeatureRecipe) -> Patch:
    assert recipe.mask is not None
    valid = patch.valid & ~away if recipe.mask.strategy is Strategy.ANY else patch.valid
    return Patch(np.where(valid, patch.pixels, np.asarray(recipe.fill, patch.pixels.dtype)), valid)


def _one_image(patches: Sequence[Patch], recipe: FeatureRecipe) -> Patch:
    return patches[0] if recipe.composite is None else composed(patches, recipe.composite, recipe.fill)


def _finished(
    folder: Path, recipe: Recipe, plan: ChipPlan, features: Sequence[Patch], raster: Patch | None
) -> _Unstored:
    """Label, judge and compress one chip."""
    empty = [part.key for part, patch in zip(recipe.features, features, strict=True) if not patch.valid.any()]
    if empty:
        return _dropped(plan, f"no data in {', '.join(empty)}")
    valid = np.logical_and.reduce([patch.valid.all(axis=0) for patch in features])
    share = float(valid.mean())
    if 1 - share > recipe.cleaning.max_nodata:
        return _dropped(plan, "too little data", share)
    target = chip_target(plan, recipe.target, recipe.cleaning, raster, valid)
    if target.labelled < recipe.cleaning.min_labelled or (
        not target.labelled and recipe.target.task is not Task.MULTILABEL
    ):
        return _dropped(plan, "too few labels", share, target.disputed)
    files = {}
    for part, patch in zip(recipe.features, features, strict=True):
        content = encode_chip(patch.pixels, plan.grid, part.fill, part.file_bands)
        files[part.key] = _aside(folder, f"{plan.id}.tif", part.key, content)
    files.update(_target_files(folder, plan, target))
    numbers = target.numbers
    chip = MadeChip(
        plan.id,
        sums=tuple(_sums(patch) for patch in features),
        counts=target.counts,
        labels=target.labels,
        target_sums=None if numbers is None else BandSums.of_pixels(numbers[0], np.isfinite(numbers[0])),
        valid_share=share,
        disputed=target.disputed,
    )
    return _Unstored(chip, files)


def _dropped(plan: ChipPlan, why: str, share: float = 0.0, disputed: int = 0) -> _Unstored:
    return _Unstored(MadeChip(plan.id, dropped=why, valid_share=share, disputed=disputed), {})


def _target_files(folder: Path, plan: ChipPlan, target: ChipTarget) -> dict[str, tuple[Path, str]]:
    if target.mask is not None:
        content = encode_chip(target.mask[np.newaxis], plan.grid, MASK_NODATA, ["mask"])
        return {MASK_ASSET: _aside(folder, f"{plan.id}_mask.tif", MASK_ASSET, content)}
    if target.numbers is not None:
        content = encode_chip(target.numbers, plan.grid, float("nan"), ["target"])
        return {TARGET_ASSET: _aside(folder, f"{plan.id}_target.tif", TARGET_ASSET, content)}
    if target.boxes is not None:
        return {BOXES_ASSET: _aside(folder, f"{plan.id}_boxes.geojson", BOXES_ASSET, target.boxes)}
    return {}


def _sums(patch: Patch) -> tuple[BandSums, ...]:
    return tuple(BandSums.of_pixels(band, usable) for band, usable in zip(patch.pixels, patch.valid, strict=True))


def _aside(folder: Path, name: str, key: str, content: bytes) -> tuple[Path, str]:
    """Write a file that is to be stored, and return it with the name that users see."""
    path = folder / f"{key}-{name}"
    path.write_bytes(content)
    return path, name
