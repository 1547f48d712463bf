"""The table of samples: what every reader gives, whatever form the dataset came in.

A sample is one place with images by modality and its label. Nothing here has been opened yet: paths and names are as
the reader found them. `terralab.datasets.onboarding.inspection` reads the files and says what is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from terralab.datasets.onboarding.findings import Finding
from terralab.datasets.onboarding.layout import SHAPEFILE_PARTS
from terralab.extensions.chips import Task
from terralab.extensions.raster import ClassDefinition

SOLE = "image"
"""Name of the modality of datasets that have only one."""


@dataclass(frozen=True)
class Modality:
    """One kind of image that all samples have.

    Attributes:
        name: as the source calls it, such as `S2L2A`; `image` where there is only one and it has no name.
        bands: names in the order that they are taken; None to read them from the files.
        select: which bands of the files are taken, from 1; None for all.
        nodata: value of pixels without data that the files do not name themselves.
        scale: factors of the bands that make physical values, as the source says; the pixels stay as they are.
    """

    name: str
    bands: tuple[str, ...] | None = None
    select: tuple[int, ...] | None = None
    nodata: float | None = None
    scale: tuple[float, ...] | None = None

    @property
    def key(self) -> str:
        """Return the asset key and the folder name of the modality."""
        return "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in self.name.lower())


@dataclass(frozen=True)
class RasterLabel:
    """A raster: class values, or numbers where the task is regression."""

    path: Path


@dataclass(frozen=True)
class Shape:
    """One labelled outline.

    Attributes:
        geometry: in the coordinate system of its file.
        value: class value or class name, as written.
        name: class name where the file has both.
        where: place in the file, for messages.
    """

    geometry: BaseGeometry
    value: str | int
    name: str | None
    where: str


@dataclass(frozen=True)
class VectorLabel:
    """Outlines; those that reach the sample's image are its label.

    Attributes:
        paths: files of outlines (GeoJSON, GeoPackage, GeoParquet).
    """

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class NameLabel:
    """Names of the classes of the sample as a whole, as folder names or a table give them.

    Attributes:
        names: one for classification, any number for multilabel.
        path: file that says it, None for a folder's name.
    """

    names: tuple[str, ...]
    path: Path | None = None


@dataclass(frozen=True)
class Box:
    """One object.

    Attributes:
        name: its class.
        pixels: first column, first row, end column, end row in the image; fractions are allowed.
    """

    name: str
    pixels: tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxLabel:
    """Objects in the image's pixels; an image without any is a label, too.

    Attributes:
        boxes: the objects.
        path: file that says it.
    """

    boxes: tuple[Box, ...]
    path: Path | None = None


Label = RasterLabel | VectorLabel | NameLabel | BoxLabel


@dataclass(frozen=True)
class Sample:
    """One place.

    Attributes:
        name: as the source calls it; ids are made of it.
        images: file by modality name.
        label: None where the source has none.
        period: begin and end of the acquisition, None to read it from the files.
        split: `train`, `validate` or `test`, where the source says.
        group: samples that no split may divide, where the source says.
    """

    name: str
    images: Mapping[str, Path]
    label: Label | None = None
    period: tuple[datetime, datetime] | None = None
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class About:
    """What the source says of the dataset as a whole.

    Attributes:
        title: name for people.
        description: Markdown.
        license: SPDX license or as written, None where none is given.
        authors: names.
        source: address that it came from.
        further: anything else worth keeping, JSON values.
    """

    title: str | None = None
    description: str | None = None
    license: str | None = None
    authors: tuple[str, ...] = ()
    source: str | None = None
    further: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleTable:
    """A dataset, as its reader found it.

    Attributes:
        form: name of the form, such as `folder`.
        root: folder that it lies in.
        samples: in the order of their names.
        modalities: of the images, the reference first.
        task: what it teaches.
        classes: as the source says; None to find them in the labels.
        unlabelled: values of label pixels that mean "no label", besides the files' own nodata.
        about: what the source says of itself.
        findings: what the reader noticed.
    """

    form: str
    root: Path
    samples: tuple[Sample, ...]
    modalities: tuple[Modality, ...]
    task: Task = Task.SEGMENTATION
    classes: tuple[ClassDefinition, ...] | None = None
    unlabelled: tuple[int, ...] = ()
    about: About = field(default_factory=About)
    findings: tuple[Finding, ...] = ()

    def noting(self, *findings: Finding) -> "SampleTable":
        """Return the table with further findings."""
        return replace(self, findings=(*self.findings, *findings))

    def with_modalities(self, given: Sequence[Modality]) -> "SampleTable":
        """Return the table with what `given` says of modalities of the same name; None fields say nothing."""
        by_name = {entry.name: entry for entry in given}
        merged = []
        for entry in self.modalities:
            other = by_name.get(entry.name, entry)
            known = {key: value for key, value in vars(other).items() if value is not None}
            merged.append(replace(entry, **known))
        return replace(self, modalities=tuple(merged))

    def files(self) -> list[Path]:
        """Return every file that the dataset is made of, each once, sorted."""
        found: set[Path] = set()
        for sample in self.samples:
            found |= set(sample.images.values()) | set(label_files(sample.label))
        return sorted(found)

    def fingerprint(self, sha256: Mapping[Path, str]) -> dict[str, Any]:
        """Return everything that the dataset is made of, as JSON; `sha256` are the checksums of `files()`."""
        return {
            "form": self.form,
            "task": self.task.value,
            "modalities": [_plain(vars(entry)) for entry in self.modalities],
            "classes": None if self.classes is None else [entry.to_stac() for entry in self.classes],
            "unlabelled": list(self.unlabelled),
            "samples": [_sample_fingerprint(sample, sha256) for sample in self.samples],
        }


def _sample_fingerprint(sample: Sample, sha256: Mapping[Path, str]) -> dict[str, Any]:
    label = sample.label
    said: Any = None
    if isinstance(label, NameLabel):
        said = list(label.names)
    elif isinstance(label, BoxLabel):
        said = [[box.name, *box.pixels] for box in label.boxes]
    return {
        "name": sample.name,
        "images": {name: sha256[path] for name, path in sample.images.items()},
        "label": said if said is not None else [sha256[path] for path in label_files(label)],
        "period": None if sample.period is None else [moment.isoformat() for moment in sample.period],
        "split": sample.split,
        "group": sample.group,
    }


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def label_files(label: Label | None) -> tuple[Path, ...]:
    """Return the files of a label, those that a Shapefile consists of included."""
    if isinstance(label, VectorLabel):
        parts = [path.with_suffix(part) for path in label.paths if path.suffix == ".shp" for part in SHAPEFILE_PARTS]
        return (*label.paths, *(path for path in parts if path.is_file()))
    return () if label is None or label.path is None else (label.path,)
