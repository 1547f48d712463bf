"""A dataset after it was looked through: everything that storing and cutting need, with nothing left to find out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from terralab.datasets.onboarding.findings import Finding
from terralab.datasets.onboarding.samples import About, Box
from terralab.datasets.raster_file import RasterFacts
from terralab.extensions.chips import Task
from terralab.extensions.item import Footprint
from terralab.extensions.raster import BandRecord, ClassDefinition


@dataclass(frozen=True)
class FeaturePlan:
    """One modality of the dataset.

    Attributes:
        key: asset key.
        modality: name for people; None where there is only one.
        bands: names of the bands that are taken.
        select: which bands of the files they are, from 1; None for all.
        data_type: numpy's name of the pixel type.
        source_nodata: the files' value of pixels without data, if any.
        nodata: the chips' own, if any.
        padding: fills chips beyond the scene's edge.
    """

    key: str
    modality: str | None
    bands: tuple[str, ...]
    select: tuple[int, ...] | None
    data_type: str
    source_nodata: float | None
    nodata: float | None
    padding: float

    def records(self, nodata: float | None) -> list[BandRecord]:
        """Return the bands without statistics."""
        return [BandRecord(name, self.data_type, nodata) for name in self.bands]


@dataclass(frozen=True)
class MaskPlan:
    """A raster of class values; `unlabelled` are values that mean "no label" (NaN never is one)."""

    facts: RasterFacts
    unlabelled: tuple[float, ...]


@dataclass(frozen=True)
class NumbersPlan:
    """A raster of numbers; `nodata` may be None or NaN."""

    facts: RasterFacts
    nodata: float | None


@dataclass(frozen=True)
class ShapesPlan:
    """Outlines on the image.

    Attributes:
        paths: files that they come from.
        shapes: (geometry in the image's coordinate system, class value), those drawn last win.
        background: class value of pixels outside all outlines, None for no label.
        all_touched: whether an outline takes every pixel that it touches, or those whose centre lies in it.
    """

    paths: tuple[Path, ...]
    shapes: tuple[tuple[BaseGeometry, int], ...]
    background: int | None
    all_touched: bool


@dataclass(frozen=True)
class NamesPlan:
    """Classes of the sample as a whole."""

    names: tuple[str, ...]
    path: Path | None


@dataclass(frozen=True)
class BoxesPlan:
    """Objects in the image's pixels."""

    boxes: tuple[Box, ...]
    path: Path | None


LabelPlan = MaskPlan | NumbersPlan | ShapesPlan | NamesPlan | BoxesPlan


@dataclass(frozen=True)
class SamplePlan:
    """One place.

    Attributes:
        id: item id of its scenes and its label.
        images: headers in the order of the features; all on one grid, that of the first.
        label: what is to be found there.
        periods: begin and end of each image's acquisition.
        split: `train`, `validate` or `test`, where the source says.
        group: samples that no split may divide.
    """

    id: str
    images: tuple[RasterFacts, ...]
    label: LabelPlan
    periods: tuple[tuple[datetime, datetime], ...]
    split: str | None = None
    group: str | None = None

    @property
    def start(self) -> datetime:
        """Return the begin of the first acquisition."""
        return min(start for start, _ in self.periods)

    @property
    def end(self) -> datetime:
        """Return the end of the last acquisition."""
        return max(end for _, end in self.periods)

    @property
    def footprint(self) -> Footprint:
        """Return the ground footprint of the whole image, and the time of all images."""
        return self.images[0].grid.footprint(self.start, self.end)

    @property
    def label_paths(self) -> tuple[Path, ...]:
        """Return the files of the label; none where a folder's name is the label."""
        label = self.label
        if isinstance(label, MaskPlan | NumbersPlan):
            return (label.facts.path,)
        if isinstance(label, ShapesPlan):
            return label.paths
        return () if label.path is None else (label.path,)


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset that may be stored.

    Attributes:
        form: name of the form that it came in.
        task: what it teaches.
        features: modalities, the reference first.
        samples: at least one.
        classes: classes of the labels, by value; empty for numbers.
        about: what the source says of itself.
        findings: warnings and notes.
        scales: factors of the bands by modality key, as the source says.
    """

    form: str
    task: Task
    features: tuple[FeaturePlan, ...]
    samples: tuple[SamplePlan, ...]
    classes: tuple[ClassDefinition, ...]
    about: About
    findings: tuple[Finding, ...] = ()
    scales: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def split(self) -> dict[str, str]:
        """Return the split of the samples by id, where the source says it."""
        return {sample.id: sample.split for sample in self.samples if sample.split is not None}

    @property
    def footprint(self) -> Footprint:
        """Return the area and time of all samples."""
        return Footprint.union(sample.footprint for sample in self.samples)

    def described(self) -> dict[str, Any]:
        """Return what the source says of itself, for the collection."""
        about = {"title": self.about.title, "authors": list(self.about.authors), "source": self.about.source}
        known: dict[str, Any] = {name: value for name, value in about.items() if value}
        known |= {"form": self.form, **({"scales": dict(self.scales)} if self.scales else {}), **self.about.further}
        return known
