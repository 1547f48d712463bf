"""The measures of all chips side by side, as the judgement of the dataset needs them.

What grows with the chips is small for each (a few kilobytes); the samples of pixels are kept in a file.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.chip_source import ChipSource
from terralab.datasets.quality.edges import SIDE
from terralab.datasets.quality.fingerprints import DIMENSIONS
from terralab.datasets.quality.measures import BINS, SAMPLES, ChipMeasures
from terralab.extensions.raster import MASK_NODATA

Numbers = NDArray[np.float32]


class Place(NamedTuple):
    """What stays known of one chip: where and when it is, what it belongs to, and its files as they are shown."""

    id: str
    bounds: tuple[float, float, float, float]
    moment: datetime
    split: str | None
    group: str
    scene: str
    platform: str | None
    labels: tuple[str, ...]
    image: str
    mask: str | None


class Bands(NamedTuple):
    """The bands of a dataset: the names of all features one after the other, and which feature each belongs to."""

    names: tuple[str, ...]
    features: tuple[str, ...]
    ranges: tuple[tuple[float, float] | None, ...]

    def title(self, place: int) -> str:
        """Return the band's name, with its feature where there are several."""
        several = len(set(self.features)) > 1
        return f"{self.features[place]} {self.names[place]}" if several else self.names[place]


class Collected:
    """The measures of the chips of a dataset, by number.

    Args:
        total: how many chips there are.
        bands: of every chip.
        classes: names of the classes, with `values` in masks.
        values: values of the classes.
        folder: for the file of samples.
    """

    def __init__(self, total: int, bands: Bands, classes: Sequence[str], values: Sequence[int], folder: Path) -> None:
        width = len(bands.names)
        self.bands, self.classes, self.values = bands, tuple(classes), tuple(values)
        self.places: list[Place] = []
        self.qa: list[dict[str, float | bool | str]] = []
        self.hashes: list[str] = []
        self.problems: dict[int, str] = {}
        self.means = np.full((total, width), np.nan, np.float32)
        self.deviations = np.full((total, width), np.nan, np.float32)
        self.descriptors = np.zeros((total, DIMENSIONS), np.float16)
        self.sharpness = np.zeros(total, np.float32)
        self.class_counts = np.zeros((total, len(self.classes)), np.int64)
        self.surfaces: dict[str, tuple[NDArray[np.float64], int]] = {}
        self.histograms: dict[str, NDArray[np.int64]] = {}
        self._folder = folder
        self._samples: NDArray[Any] | None = None
        self._labels = np.full((total, SAMPLES), MASK_NODATA, np.uint8) if values else None
        self._total = total

    def __len__(self) -> int:
        return len(self.places)

    def add(self, source: ChipSource, found: ChipMeasures) -> None:
        """Take one chip."""
        number = len(self.places)
        self.places.append(
            Place(
                source.id, source.bounds, source.moment, source.split, source.group, source.scene, source.platform,
                source.labels, source.features[0].href, source.mask,
            )
        )  # fmt: skip
        self.qa.append({**found.qa})
        self.hashes.append(found.hash)
        self.class_counts[number] = [int(source.counts.get(name, 0)) for name in self.classes]
        if found.problem is not None or found.means is None or found.deviations is None or found.histograms is None:
            self.problems[number] = found.problem or "was not measured"
            return
        if len(found.means) != len(self.bands.names):
            self.problems[number] = f"has {len(found.means)} bands, other chips have {len(self.bands.names)}"
            return
        self.means[number], self.deviations[number] = found.means, found.deviations
        self.sharpness[number] = found.sharpness
        if found.descriptor is not None:
            self.descriptors[number] = found.descriptor
        self._add_histograms(source.split or "no split", found.histograms)
        if found.surface is not None:
            total, edges = self.surfaces.get(source.scene, (np.zeros((SIDE, SIDE)), 0))
            self.surfaces[source.scene] = (total + found.surface.astype(np.float64) * found.edges, edges + found.edges)
        if found.sample is not None and found.sample_labels is not None and self._labels is not None:
            self._sample_file()[number] = found.sample
            self._labels[number] = found.sample_labels

    @property
    def measured(self) -> NDArray[np.int64]:
        """Return the numbers of the chips whose files could be read."""
        return np.array([number for number in range(len(self)) if number not in self.problems], np.int64)

    def samples(self, chips: Iterable[int]) -> tuple[Numbers, NDArray[np.uint8]]:
        """Return the sampled pixels of some chips, (chips, SAMPLES, bands), and their labels, (chips, SAMPLES)."""
        numbers = np.fromiter(chips, np.int64)
        assert self._labels is not None  # asked for only where there are masks
        return np.asarray(self._sample_file()[numbers], np.float32), self._labels[numbers]

    @property
    def has_masks(self) -> bool:
        """Say whether the chips have masks with classes."""
        return self._labels is not None and self._samples is not None

    def numbers_of(self, split: str) -> list[int]:
        """Return the chips of a split."""
        return [number for number, place in enumerate(self.places) if place.split == split]

    def _sample_file(self) -> NDArray[Any]:
        if self._samples is None:
            shape = (self._total, SAMPLES, len(self.bands.names))
            self._samples = np.memmap(self._folder / "samples.bin", np.float32, "w+", shape=shape)
        return self._samples

    def _add_histograms(self, split: str, counts: NDArray[np.int64]) -> None:
        total = self.histograms.setdefault(split, np.zeros((len(self.bands.names), BINS), np.int64))
        total += counts
