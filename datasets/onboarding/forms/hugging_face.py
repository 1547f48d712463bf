"""Hugging Face's folders: splits as folders, and a table `metadata.csv` or `.jsonl`, or one folder for each class."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from terralab.catalog.errors import InvalidInput
from terralab.datasets.dates import parse_period
from terralab.datasets.onboarding.card import read_card
from terralab.datasets.onboarding.file_list import read_text
from terralab.datasets.onboarding.findings import Finding, error, note
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.layout import RASTER_SUFFIXES, is_label_role, same_letters, split_of_word
from terralab.datasets.onboarding.samples import (
    SOLE,
    Box,
    BoxLabel,
    Label,
    Modality,
    NameLabel,
    RasterLabel,
    Sample,
    SampleTable,
)
from terralab.extensions.chips import Task

FORM = "hugging-face"
_TABLES = ("metadata.csv", "metadata.jsonl")
_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category")
_TIME_COLUMNS = ("datetime", "date", "timestamp", "acquired")
_Row = Mapping[str, Any]


def has_form(files: Sequence[PurePosixPath]) -> bool:
    """Say whether files lie as Hugging Face has them: with a table, or in folders of classes."""
    return bool(_tables(files)) or _class_folders(files) is not None


def read(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> SampleTable:
    """Read a folder with a table, or with a folder for each class.

    Raises:
        InvalidInput: the table is wrong, or there are no folders of classes.
    """
    if _tables(files):
        return _with_table(root, files, hints)
    classes = _class_folders(files)
    if classes is None:
        raise InvalidInput(f"{root.name}: neither a {' or '.join(_TABLES)} nor folders of classes with GeoTIFFs")
    samples = [
        Sample("_".join(map(same_letters, (*path.parent.parts, path.stem))), {SOLE: root / path}, NameLabel((name,)),
               split=_split_of(path.parent))
        for path, name in classes.items()
    ]  # fmt: skip
    return SampleTable(FORM, root, tuple(samples), (Modality(SOLE),), hints.task or Task.CLASSIFICATION)


def _tables(files: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    return [path for path in files if path.name in _TABLES]


def _class_folders(files: Sequence[PurePosixPath]) -> dict[PurePosixPath, str] | None:
    """Return the class of each image by its folder; None where the folders are no classes.

    They are classes where each image lies in a folder besides those of the splits, there are several such folders, none
    is called as labels are, and no file name is in two of them, as it would be with modalities.
    """
    images = [path for path in files if path.suffix.lower() in RASTER_SUFFIXES]
    names = {path: [part for part in path.parent.parts if split_of_word(part) is None] for path in images}
    if not images or any(not parts for parts in names.values()):
        return None
    classes = {path: parts[-1] for path, parts in names.items()}
    stems = Counter((path.stem, _split_of(path.parent)) for path in images)
    if len(set(classes.values())) < 2 or max(stems.values()) > 1 or any(map(is_label_role, classes.values())):
        return None
    return classes


def _split_of(folder: PurePosixPath) -> str | None:
    return next(filter(None, map(split_of_word, folder.parts)), None)


def _with_table(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> SampleTable:
    card = read_card(root, hints.limits)
    class_names = card.class_names() if card else None
    there = {str(path): path for path in files}
    samples, findings, modalities, tasks = [], list[Finding](), dict[str, Modality](), Counter[Task]()
    for table in _tables(files):
        for number, row in enumerate(_rows(root / table, hints)):
            where = f"{table}, row {number + 1}"
            images, masks = _row_files(row, table.parent, there, where, findings)
            if not images:
                continue
            modalities |= {name: Modality(name) for name in images}
            label, task = _label(row, masks, root, root / table, class_names, where)
            tasks[task] += 1
            paths = {name: root / path for name, path in images.items()}
            first = next(iter(images.values()))
            samples.append(_sample(row, first, paths, label, where))
    listed = {path for sample in samples for path in sample.images.values()}
    left = [path for path in files if path.suffix.lower() in RASTER_SUFFIXES and root / path not in listed]
    if left:
        findings.append(note("unused", f"{len(left)} GeoTIFFs are in no table, such as {left[0]}"))
    if len(tasks) > 1:
        findings.append(error("mixed_labels", f"the tables have several kinds of labels: {', '.join(tasks)}"))
    task = hints.task or next(iter(tasks), Task.CLASSIFICATION)
    return SampleTable(FORM, root, tuple(samples), tuple(modalities.values()), task, findings=tuple(findings))


def _rows(path: Path, hints: Hints) -> Iterator[_Row]:
    text = read_text(path, hints.limits)
    if path.suffix == ".csv":
        yield from csv.DictReader(io.StringIO(text))
        return
    for number, line in enumerate(text.splitlines()):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as problem:
            raise InvalidInput(f"{path.name}, line {number + 1}: cannot be read as JSON ({problem})") from problem
        if not isinstance(row, dict):
            raise InvalidInput(f"{path.name}, line {number + 1}: no object")
        yield row


def _row_files(
    row: _Row, folder: PurePosixPath, there: Mapping[str, PurePosixPath], where: str, findings: list[Finding]
) -> tuple[dict[str, PurePosixPath], list[PurePosixPath]]:
    """Return images by modality, and label rasters, that a row names by its columns `file_name` and `…_file_name`."""
    images, masks = {}, []
    columns = [name for name in row if name and (name == "file_name" or name.endswith("_file_name")) and row[name]]
    if not columns:
        findings.append(error("no_image", f"{where}: names no file; the column file_name is needed"))
    for column in columns:
        written = PurePosixPath(str(row[column]))
        path = there.get(str(folder / written))
        if written.is_absolute() or ".." in written.parts:
            findings.append(error("escape", f"{where}: {str(written)!r} leads out of the folder"))
        elif path is None:
            findings.append(error("no_partner", f"{where}: {written} is not there; correct the table, or add the file"))
        elif is_label_role(column.removesuffix("_file_name")):
            masks.append(path)
        else:
            images[SOLE if column == "file_name" else column.removesuffix("_file_name")] = path
    return images, masks


def _label(
    row: _Row, masks: Sequence[PurePosixPath], root: Path, table: Path, names: Sequence[str] | None, where: str
) -> tuple[Label | None, Task]:
    if masks:
        return RasterLabel(root / masks[0]), Task.SEGMENTATION
    if isinstance(row.get("objects"), dict):
        return BoxLabel(_boxes(row["objects"], names, where), table), Task.DETECTION
    column = next((name for name in _LABEL_COLUMNS if row.get(name) not in (None, "")), None)
    if column is None:
        return None, Task.CLASSIFICATION
    value = row[column]
    if isinstance(value, list):
        return NameLabel(tuple(_class_name(entry, names, where) for entry in value), table), Task.MULTILABEL
    return NameLabel((_class_name(value, names, where),), table), Task.CLASSIFICATION


def _boxes(objects: Mapping[str, Any], names: Sequence[str] | None, where: str) -> tuple[Box, ...]:
    boxes, categories = objects.get("bbox"), objects.get("categories", objects.get("category"))
    if not isinstance(boxes, list) or not isinstance(categories, list) or len(boxes) != len(categories):
        raise InvalidInput(f"{where}: objects needs `bbox` and `categories`, lists of one length")
    found = []
    for box, category in zip(boxes, categories, strict=True):
        try:
            left, top, width, height = (float(number) for number in box)
        except (TypeError, ValueError) as problem:
            raise InvalidInput(f"{where}: a bbox is x, y, width, height, not {box!r}") from problem
        found.append(Box(_class_name(category, names, where), (left, top, left + width, top + height)))
    return tuple(found)


def _class_name(value: Any, names: Sequence[str] | None, where: str) -> str:
    number = int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else None
    if number is None or names is None:
        return str(value)
    if number >= len(names):
        raise InvalidInput(f"{where}: class {number} is not among the {len(names)} names of README.md")
    return names[number]


def _sample(row: _Row, first: PurePosixPath, images: Mapping[str, Path], label: Label | None, where: str) -> Sample:
    time = next((str(row[name]) for name in _TIME_COLUMNS if row.get(name)), None)
    try:
        period = parse_period(time) if time else None
    except InvalidInput as problem:
        raise InvalidInput(f"{where}: {problem}") from problem
    written = str(row.get("split") or "")
    split = split_of_word(written) or _split_of(first.parent)
    if written and split is None:
        raise InvalidInput(f"{where}: split {written!r}; a split is train, validation or test")
    group = str(row["group"]) if row.get("group") else None
    return Sample("_".join(map(same_letters, (*first.parent.parts, first.stem))), images, label, period, split, group)
