"""COCO's annotation files: boxes of objects in images, one JSON for each split."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from terralab.catalog.errors import InvalidInput, InvalidLabels
from terralab.datasets.onboarding.file_list import read_text
from terralab.datasets.onboarding.findings import Finding, error
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.layout import same_letters, split_of_file, split_of_word
from terralab.datasets.onboarding.samples import SOLE, Box, BoxLabel, Modality, Sample, SampleTable
from terralab.extensions.chips import Task

FORM = "coco"
_MEMBERS = ("images", "annotations", "categories")


def annotation_files(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> dict[PurePosixPath, dict[str, Any]]:
    """Return the annotation files of a folder with what they say."""
    found = {}
    for path in files:
        if path.suffix.lower() == ".json" and (root / path).stat().st_size <= hints.limits.text:
            try:
                document = orjson.loads(read_text(root / path, hints.limits))
            except (orjson.JSONDecodeError, InvalidInput):
                continue  # some other file
            if isinstance(document, dict) and all(isinstance(document.get(name), list) for name in _MEMBERS):
                found[path] = document
    return found


def read(root: Path, files: Sequence[PurePosixPath], hints: Hints) -> SampleTable:
    """Read a folder of images with annotation files.

    Raises:
        InvalidInput: there is no annotation file.
        InvalidLabels: an annotation is wrong.
    """
    documents = annotation_files(root, files, hints)
    if not documents:
        raise InvalidInput(f"{root.name}: no annotation file with {', '.join(_MEMBERS)}")
    findings: list[Finding] = []
    _check_categories(documents, findings)
    samples = [
        sample for path, document in documents.items() for sample in _samples(root, path, document, files, findings)
    ]
    return SampleTable(
        FORM, root, tuple(samples), (Modality(SOLE),), hints.task or Task.DETECTION, findings=tuple(findings)
    )


def _check_categories(documents: Mapping[PurePosixPath, Mapping[str, Any]], findings: list[Finding]) -> None:
    names: dict[int, tuple[str, PurePosixPath]] = {}
    for path, document in documents.items():
        for entry in document["categories"]:
            name, where = names.setdefault(int(entry["id"]), (str(entry["name"]), path))
            if name != str(entry["name"]):
                text = f"{path}: the category {entry['id']} is {entry['name']!r}, in {where} it is {name!r}"
                findings.append(error("renumbered", f"{text}; number the classes alike in all files", InvalidLabels))


def _samples(
    root: Path,
    path: PurePosixPath,
    document: Mapping[str, Any],
    files: Sequence[PurePosixPath],
    findings: list[Finding],
) -> list[Sample]:
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in document["categories"]}
        boxes: dict[int, list[Box]] = defaultdict(list)
        for entry in document["annotations"]:
            left, top, width, height = (float(number) for number in entry["bbox"])
            box = Box(names[int(entry["category_id"])], (left, top, left + width, top + height))
            boxes[int(entry["image_id"])].append(box)
        images = {int(entry["id"]): str(entry["file_name"]) for entry in document["images"]}
    except (KeyError, TypeError, ValueError) as problem:
        text = f"{path}: not COCO's form ({type(problem).__name__}: {problem}); see cocodataset.org, format of data"
        raise InvalidLabels(text) from problem
    split = split_of_file(path.name) or next(filter(None, map(split_of_word, path.parent.parts)), None)
    found = []
    for id, written in images.items():
        place = _place(PurePosixPath(written), path.parent, files)
        if place is None:
            findings.append(
                error("no_partner", f"{path}: its image {written!r} is not there, or several have that name")
            )
            continue
        name = same_letters(f"{split}_{place.stem}" if split else place.stem)
        found.append(Sample(name, {SOLE: root / place}, BoxLabel(tuple(boxes[id]), root / path), split=split))
    lost = sorted(set(boxes) - set(images))
    if lost:
        findings.append(error("no_partner", f"{path}: annotations of the images {lost[:5]}, which it does not list"))
    return found


def _place(written: PurePosixPath, folder: PurePosixPath, files: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """Return where an image lies: beside the annotations, else the only file of that name."""
    beside = folder / written
    if beside in files:
        return beside
    same = [path for path in files if path.name == written.name]
    nearer = [path for path in same if path.parts[: len(folder.parts)] == folder.parts] or same
    return nearer[0] if len(nearer) == 1 else None
