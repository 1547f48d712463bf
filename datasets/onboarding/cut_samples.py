"""Cutting stored samples into chips: all modalities and the label together, each pixel read once.

Strips of all files come side by side; as soon as a row of chips is complete, a few threads measure, compress and store
it. The edge remainder is padded. A chip in which a modality has no valid pixel at all is left out and counted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.store import Store
from terralab.datasets.chip_storing import in_threads
from terralab.datasets.chips import chip_rows, count_classes, padded, part_sums, put_chip
from terralab.datasets.cog import encode_chip
from terralab.datasets.grid import ChipWindow, chip_windows
from terralab.datasets.onboarding.box_labels import boxes_geojson, boxes_in
from terralab.datasets.onboarding.plan import BoxesPlan, DatasetPlan, FeaturePlan, NamesPlan
from terralab.datasets.onboarding.stored_samples import StoredSample
from terralab.datasets.raster_file import open_raster, strips, valid_pixels
from terralab.datasets.statistics import BandSums, total_counts
from terralab.extensions.chips import Feature, Target, Task
from terralab.extensions.item import StoredFile
from terralab.extensions.raster import MASK_NODATA, BandRecord, Grid

_WAITING_ROWS = 4
_NAN = float("nan")


@dataclass(frozen=True)
class CutChip:
    """A stored chip.

    Attributes:
        id: item id.
        window: its place in the scene.
        grid: its own grid.
        features: stored features with the statistics of their bands.
        target: stored label.
        sums: of the bands of each feature, to be pooled.
        target_sums: of the numbers of a regression, else None.
        valid_share: share (0 … 1) of pixels with data in every band of every feature.
    """

    id: str
    window: ChipWindow
    grid: Grid
    features: tuple[Feature, ...]
    target: Target
    sums: tuple[tuple[BandSums, ...], ...]
    target_sums: BandSums | None
    valid_share: float


@dataclass(frozen=True)
class CutSample:
    """A stored sample with its chips; `left_out` windows had no valid pixel."""

    sample: StoredSample
    chips: list[CutChip]
    left_out: int

    @property
    def class_counts(self) -> dict[str, int]:
        """Return pixels, labels or boxes by class name, over the chips."""
        return total_counts(chip.target.counts or {} for chip in self.chips)


@dataclass(frozen=True)
class _Part:
    """What of one chip lies in the scene: images (bands, height, width) by feature, label (height, width) or None."""

    window: ChipWindow
    images: tuple[NDArray[Any], ...]
    label: NDArray[Any] | None


def cut_sample(
    store: Store, plan: DatasetPlan, size: int, sample: StoredSample, on_chip: Callable[[], object] = lambda: None
) -> CutSample:
    """Cut, measure and store the chips of one sample.

    Args:
        store: has the sample's files and takes the chips'.
        plan: the dataset.
        size: rows and columns of a chip; a multiple of 16.
        sample: the stored sample.
        on_chip: called after each window.
    """
    cutter = _Cutter(store, plan, size, sample)
    chips: list[CutChip] = []
    windows = 0
    with ExitStack() as stack:
        cutter.folder = stack.enter_context(store.scratch())
        parts = cutter.parts(stack)
        for chip in in_threads(cutter.chip, parts, ahead=_WAITING_ROWS * (sample.grid.shape[1] // size + 1)):
            windows += 1
            on_chip()
            if chip is not None:
                chips.append(chip)
    return CutSample(sample, chips, windows - len(chips))


class _Cutter:
    """Makes the chips of one sample.

    Args:
        store: takes the chips.
        plan: the dataset.
        size: of a chip.
        sample: what is cut.
    """

    folder: Path

    def __init__(self, store: Store, plan: DatasetPlan, size: int, sample: StoredSample) -> None:
        self.store = store
        self.plan = plan
        self.size = size
        self.sample = sample

    def parts(self, stack: ExitStack) -> Iterator[_Part]:
        """Yield the parts of the scene, row by row; the files stay open in `stack`."""
        shape, size = self.sample.grid.shape, self.size
        files = [image.file for image in self.sample.images]
        has_pixels = self.plan.task in (Task.SEGMENTATION, Task.REGRESSION)
        files += [self.sample.label] if has_pixels else []
        opened = [stack.enter_context(open_raster(self.store.open_path(file.href))) for file in files]
        rows = zip(*(chip_rows(strips(file, file.name), size) for file in opened), strict=True)
        windows = chip_windows(shape, size)
        for row in rows:
            for _ in range(-(-shape[1] // size)):
                window = next(windows)
                cut = [strip[:, :, window.column : window.column + window.width] for strip in row]
                label = cut.pop()[0] if has_pixels else None
                yield _Part(window, tuple(cut), label)

    def chip(self, part: _Part) -> CutChip | None:
        """Store one chip; None where a modality has no valid pixel."""
        valid = [
            valid_pixels(image, feature.source_nodata)
            for feature, image in zip(self.plan.features, part.images, strict=True)
        ]
        if not all(usable.any() for usable in valid):
            return None
        id, grid = part.window.chip_id(self.sample.plan.id), part.window.grid(self.sample.grid)
        sums = tuple(
            tuple(part_sums(image, usable, self.size)) for image, usable in zip(part.images, valid, strict=True)
        )
        features = tuple(
            self._feature(id, grid, feature, image, bands)
            for feature, image, bands in zip(self.plan.features, part.images, sums, strict=True)
        )
        target, target_sums = self._target(id, grid, part)
        everywhere = np.logical_and.reduce([usable.all(axis=0) for usable in valid])
        share = float(everywhere.sum()) / self.size**2
        return CutChip(id, part.window, grid, features, target, sums, target_sums, share)

    def _feature(
        self, id: str, grid: Grid, feature: FeaturePlan, image: NDArray[Any], sums: Sequence[BandSums]
    ) -> Feature:
        content = encode_chip(padded(image, self.size, feature.padding), grid, feature.nodata, feature.bands)
        name = id if feature.modality is None else f"{id}_{feature.key}"
        records = [
            BandRecord(band, feature.data_type, feature.nodata, found.statistics())
            for band, found in zip(feature.bands, sums, strict=True)
        ]
        return Feature(
            feature.key, put_chip(self.store, self.folder / f"{name}.tif", content), records, feature.modality
        )

    def _target(self, id: str, grid: Grid, part: _Part) -> tuple[Target, BandSums | None]:
        label, classes = self.sample.plan.label, self.plan.classes
        if isinstance(label, NamesPlan):
            counts = {entry.name: int(entry.name in label.names) for entry in classes}
            return Target(self.plan.task, None, classes, counts, label.names), None
        if isinstance(label, BoxesPlan):
            window = part.window
            boxes = boxes_in(label.boxes, window.row, window.column, window.height, window.width)
            file = self._put(f"{id}_boxes.geojson", boxes_geojson(boxes, grid))
            counts = {entry.name: sum(box.name == entry.name for box in boxes) for entry in classes}
            return Target(Task.DETECTION, file, classes, counts), None
        assert part.label is not None  # the others have pixels
        if self.plan.task is Task.SEGMENTATION:
            mask = padded(part.label[np.newaxis], self.size, MASK_NODATA)
            file = self._put(f"{id}_mask.tif", encode_chip(mask, grid, MASK_NODATA, ["mask"]))
            return Target.mask(file, classes, count_classes(mask, classes)), None
        numbers = padded(part.label[np.newaxis], self.size, _NAN)
        file = self._put(f"{id}_target.tif", encode_chip(numbers, grid, _NAN, ["target"]))
        sums = BandSums.of_pixels(numbers[0], np.isfinite(numbers[0]))
        return Target(Task.REGRESSION, file, band=BandRecord("target", "float32", _NAN, sums.statistics())), sums

    def _put(self, name: str, content: bytes) -> StoredFile:
        return put_chip(self.store, self.folder / name, content)
