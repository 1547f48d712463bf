"""Looking through a dataset before anything is stored: every file is read, and all that is wrong is told together."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.choices import Choices
from terralab.datasets.onboarding.findings import Finding, error, errors_of, note, stop, warning
from terralab.datasets.onboarding.image_checks import ImageFacts, check_images
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.onboarding.plan import DatasetPlan, LabelPlan, SamplePlan
from terralab.datasets.onboarding.raster_labels import check_masks, check_numbers
from terralab.datasets.onboarding.samples import BoxLabel, NameLabel, RasterLabel, SampleTable, VectorLabel
from terralab.datasets.onboarding.shape_labels import check_shapes
from terralab.datasets.onboarding.whole_labels import check_boxes, check_names
from terralab.extensions.chips import Task
from terralab.extensions.ids import slug
from terralab.extensions.raster import ClassDefinition

_LONGEST_ID = 100  # leaves room for the chip's own part within 128 characters
_SHOWN = 5
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Inspection:
    """What a dataset is, and everything that was noticed.

    Attributes:
        table: the dataset.
        plan: how to store it; None where an error stands in the way.
        findings: of the reader and of the inspection, errors first.
    """

    table: SampleTable
    plan: DatasetPlan | None
    findings: tuple[Finding, ...]

    def usable(self) -> DatasetPlan:
        """Return the plan.

        Raises:
            InvalidInput: or one of its kinds: an error stands in the way; the message lists all of them.
        """
        stop(self.findings)
        if self.plan is None:
            raise InvalidInput(f"{self.table.root.name}: there is nothing in it that could be onboarded")
        return self.plan


def inspect(
    table: SampleTable,
    choices: Choices,
    limits: Limits,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Read every file of a dataset and say what it is and what is wrong.

    Args:
        table: the dataset, as a reader found it.
        choices: what the user says.
        limits: how large files of labels may be.
        on_file: told how many files are read and how many there are.
    """
    found = list(table.findings)
    ids = _ids(table, found)
    total, done = len(table.files()), set[Path]()

    def read(path: Path) -> None:
        done.add(path)
        on_file(len(done), total)

    images = check_images(table, choices, found, read)
    labels, classes = _labels(table, images, choices, limits, found, read)
    samples = [
        SamplePlan(ids[s.name], images.samples[s.name], labels[s.name], images.periods[s.name], s.split, s.group)
        for s in table.samples
        if s.name in ids and s.name in labels and s.name in images.periods
    ]
    _check_classes(table, classes, labels, found)
    _check_about(table, found)
    ordered = tuple(sorted(found, key=lambda entry: ("error", "warning", "note").index(entry.weight)))
    if errors_of(found) or not samples or not images.features:
        return Inspection(table, None, ordered)
    kept = tuple(entry for entry in ordered)
    scales = {modality.key: list(modality.scale) for modality in table.modalities if modality.scale}
    plan = DatasetPlan(table.form, table.task, images.features, tuple(samples), classes, table.about, kept, scales)
    return Inspection(table, plan, ordered)


def _ids(table: SampleTable, found: list[Finding]) -> dict[str, str]:
    """Return item ids by sample name."""
    ids = {}
    for sample in table.samples:
        try:
            ids[sample.name] = slug(sample.name)[:_LONGEST_ID]
        except ValueError as problem:
            shown = next(iter(sample.images.values()), Path(sample.name)).name
            found.append(error("name", f"{shown}: {problem}; rename it"))
    for id, count in Counter(ids.values()).items():
        if count > 1:
            names = ", ".join(name for name, own in ids.items() if own == id)
            found.append(error("name", f"{names}: their names give the same id {id!r}; rename them"))
    odd = [name for name in ids if not name.isascii()]
    if odd:
        shown = ", ".join(f"{name!r} → {ids[name]}" for name in odd[:_SHOWN])
        found.append(note("non_ascii", f"{len(odd)} names have letters beyond ASCII, which ids leave out: {shown}"))
    return ids


def _labels(
    table: SampleTable,
    images: ImageFacts,
    choices: Choices,
    limits: Limits,
    found: list[Finding],
    read: Callable[[Path], None],
) -> tuple[Mapping[str, LabelPlan], tuple[ClassDefinition, ...]]:
    """Read the labels, which must be of one kind, by the task."""
    classes = choices.classes or table.classes
    first = {name: headers[0] for name, headers in images.samples.items()}
    kinds = {type(sample.label) for sample in table.samples if sample.label is not None}
    if len(kinds) != 1:
        if kinds:
            names = " and ".join(sorted(kind.__name__ for kind in kinds))
            found.append(error("mixed_labels", f"labels are of several kinds ({names}); onboard a dataset for each"))
        return {}, ()
    if table.task is Task.REGRESSION and (paths := _paths(table)):
        return check_numbers(paths, first, table.unlabelled, found, read), ()
    if table.task is Task.SEGMENTATION and (paths := _paths(table)):
        return check_masks(paths, first, classes, table.unlabelled, found, read)
    if table.task is Task.SEGMENTATION and (shapes := _of_kind(table, VectorLabel)):
        return check_shapes(shapes, first, classes, choices, limits, found)
    if table.task is Task.DETECTION and (boxes := _of_kind(table, BoxLabel)):
        return check_boxes(boxes, first, classes, found)
    if table.task in (Task.CLASSIFICATION, Task.MULTILABEL) and (whole := _of_kind(table, NameLabel)):
        return check_names(whole, table.task is Task.MULTILABEL, classes, found)
    found.append(error("task", f"{table.root.name}: labels of this kind do not fit the task {table.task.value}"))
    return {}, ()


def _paths(table: SampleTable) -> dict[str, Path]:
    return {name: label.path for name, label in _of_kind(table, RasterLabel).items()}


def _of_kind(table: SampleTable, kind: type[_Kind]) -> dict[str, _Kind]:
    return {sample.name: sample.label for sample in table.samples if isinstance(sample.label, kind)}


def _check_classes(
    table: SampleTable, classes: tuple[ClassDefinition, ...], labels: Mapping[str, Any], found: list[Finding]
) -> None:
    if labels and len(classes) == 1 and table.task is not Task.DETECTION:
        found.append(
            warning("one_class", f"the labels have one class alone ({classes[0].name}), which nothing can be told from;"
                    " for outlines, --background NAME makes the rest a class")
        )  # fmt: skip


def _check_about(table: SampleTable, found: list[Finding]) -> None:
    splits: dict[str | None, int] = defaultdict(int)
    for sample in table.samples:
        splits[sample.split] += 1
    if None in splits and len(splits) > 1:
        found.append(warning("split", f"{splits[None]} of {len(table.samples)} samples are in no split of the source"))
    if table.about.license is None:
        found.append(note("no_license", "the source names no license; give --license"))


def with_choices(table: SampleTable, choices: Choices, task: Task | None = None) -> SampleTable:
    """Return the table with what the user says of it.

    Raises:
        InvalidInput: bands are given for a modality that it does not have.
    """
    names = {modality.name for modality in table.modalities}
    unknown = sorted(set(choices.bands) - names)
    if unknown:
        has = ", ".join(sorted(names))
        raise InvalidInput(f"the dataset has the modalities {has}, not {unknown[0]!r}; give --bands NAME=B02,B03,…")
    return table if task is None else replace(table, task=task)
