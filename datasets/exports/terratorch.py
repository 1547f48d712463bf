"""Folders as TerraTorch's generic data modules read them, with a configuration that `terratorch fit` runs as it is.

images/<id>.tif, masks/<id>.tif    or <modality>/<id>.tif, target/<id>.tif
boxes/<id>.json                    detection: {"boxes": [[left, top, right, bottom], …], "labels": [1, …]}
labels.parquet                     classification: a column of numbers; multilabel: a column for each class
train.txt, val.txt, test.txt       ids of the chips of each split
config.yaml                        `terratorch fit -c config.yaml`, from inside the folder
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from terralab.catalog.errors import AssetCorrupt, InvalidInput, TooFewChips
from terralab.datasets.exports.placed_files import PlacedFiles
from terralab.datasets.exports.readme import write_readme
from terralab.datasets.exports.subject import Chip, Subject
from terralab.datasets.exports.terratorch_config import (
    CONFIG,
    LABEL_TABLE,
    LABELS_FOLDER,
    SPLIT_FILES,
    folder_of,
    make_config,
    number_of_classes,
)
from terralab.extensions.chip_parts import BOXES_ASSET, Task
from terralab.extensions.chips import SPLITS

_HOW = """## Training

```bash
cd this-folder
terratorch fit -c config.yaml
terratorch test -c config.yaml --ckpt_path output/checkpoints/last.ckpt
```

`config.yaml` trains a small ResNet without downloaded weights, so that it runs anywhere; put another backbone of
TerraTorch in its place. Means and deviations are those of the train split."""


def write_terratorch(subject: Subject, folder: Path, files: PlacedFiles) -> list[str]:
    """Write the folders, the splits and the configuration.

    Raises:
        InvalidInput: TerraTorch has no data module for this dataset.
        TooFewChips: a split has no chips.
    """
    notes = _checked(subject)
    placed = {
        f"{folder_of(key)}/{chip.id}.tif": relpath
        for chip in subject.chips
        for key, relpath in chip.files.items()
        if key != BOXES_ASSET
    }
    files.place(placed)
    for split, name in zip(SPLITS, SPLIT_FILES, strict=True):
        ids = "".join(f"{chip.id}\n" for chip in subject.of_split(split))
        (folder / name).write_text(ids, encoding="utf-8")
    if subject.task is Task.DETECTION:
        _write_boxes(subject, folder, files)
    elif subject.task is Task.CLASSIFICATION:
        _write_labels(subject, folder)
    elif subject.task is Task.MULTILABEL:
        _write_label_table(subject, folder / LABEL_TABLE)
    text = yaml.safe_dump(make_config(subject), sort_keys=False, allow_unicode=True, width=120)
    (folder / CONFIG).write_text(_head(subject) + text, encoding="utf-8")
    write_readme(subject, folder, [_HOW], notes)
    return notes


def _checked(subject: Subject) -> list[str]:
    """Return what is to be said of the dataset in this form; refuse what it cannot hold."""
    empty = [name for name, count in subject.split_counts().items() if not count]
    if empty:
        raise TooFewChips(
            f"{subject.version.name} has no chips in {' and '.join(empty)}; TerraTorch reads all three splits"
        )
    for chip in subject.chips:
        lacking = {modality.key for modality in subject.modalities} - set(chip.files)
        if lacking:
            raise InvalidInput(f"the chip {chip.id} has no {', '.join(sorted(lacking))}; TerraTorch reads all of each")
    if subject.task is Task.DETECTION and len(subject.modalities) > 1:
        raise InvalidInput(
            f"{subject.version.name} has several modalities; TerraTorch's data module for detection reads one"
        )
    return _notes(subject)


def _notes(subject: Subject) -> list[str]:
    notes = ["TerraTorch reads no groups and no folds of the split; they are in the version's manifest in the catalog."]
    if left_out := sum(chip.split is None for chip in subject.chips):
        notes.append(f"{left_out} chips are in no split; their files are here, and no split file names them.")
    if any(modality.dates > 1 for modality in subject.modalities):
        notes.append(
            "The dates of a chip are channels, all bands of the first date first. For a backbone with a dimension of"
            " time set `expand_temporal_dimension: true`, and `dataset_bands` to the bands of one date."
        )
    if unused := number_of_classes(subject) - len(subject.classes):
        notes.append(
            f"{unused} values between the classes' are not used; the network has an output for them all the same,"
            " named `unused_…`."
        )
    if any(modality.nodata is not None for modality in subject.modalities):
        notes.append("TerraTorch puts one number in place of pixels without data, here 0 before the scaling.")
    if subject.task is Task.DETECTION:
        notes.append("Boxes are in pixels; their places on the ground are in the catalog. Label 0 is the background.")
    return notes


def _write_boxes(subject: Subject, folder: Path, files: PlacedFiles) -> None:
    numbers = {entry.name: place for place, entry in enumerate(subject.classes, start=1)}
    (folder / BOXES_ASSET).mkdir()
    for chip in subject.chips:
        boxes, labels = [], []
        for feature in _features(chip, files):
            boxes.append([float(edge) for edge in feature["properties"]["bbox_pixels"]])
            labels.append(numbers[str(feature["properties"]["class"])])
        text = json.dumps({"boxes": boxes, "labels": labels})
        (folder / BOXES_ASSET / f"{chip.id}.json").write_text(text + "\n", encoding="utf-8")


def _features(chip: Chip, files: PlacedFiles) -> list[Mapping[str, Any]]:
    try:
        found: Any = json.loads(Path(files.source(chip.files[BOXES_ASSET])).read_bytes())
        features: list[Mapping[str, Any]] = found["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise AssetCorrupt(f"the boxes of the chip {chip.id} cannot be read: {error!r}") from error
    return features


def _write_labels(subject: Subject, folder: Path) -> None:
    """Write one number for each chip; in a table TerraTorch would read lists of one, which its loss does not take."""
    values = {entry.name: entry.value for entry in subject.classes}
    (folder / LABELS_FOLDER).mkdir()
    for chip in subject.chips:
        np.save(folder / LABELS_FOLDER / f"{chip.id}.npy", np.int64(values[chip.labels[0]]))


def _write_label_table(subject: Subject, path: Path) -> None:
    import pandas as pd

    rows = {entry.name: [int(entry.name in chip.labels) for chip in subject.chips] for entry in subject.classes}
    pd.DataFrame(rows, index=pd.Index([chip.id for chip in subject.chips], name="id")).to_parquet(path)


def _head(subject: Subject) -> str:
    return (
        f"# {subject.version.name}, exported from {subject.page}\n"
        "# Run `terratorch fit -c config.yaml` in this folder; paths are relative to it.\n"
    )
