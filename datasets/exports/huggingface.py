"""A Hugging Face dataset: `README.md` with the card, a table for each split, and the files beside them.

    README.md                         card: license, task, size, splits, features
    data/<split>.parquet              a row for each chip, with the paths of its files
    images/<id>.tif, masks/<id>.tif   as in the version

`datasets.load_dataset` reads the tables. The pictures stay files, since its images have at most four bands.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from terralab.datasets.exports.chip_table import chip_table
from terralab.datasets.exports.placed_files import PlacedFiles
from terralab.datasets.exports.readme import write_readme
from terralab.datasets.exports.subject import Subject
from terralab.extensions.chip_parts import Task
from terralab.extensions.chips import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = "data"
SPLIT_NAMES = {"train": "train", "validate": "validation", "test": "test"}
_TASKS = {
    Task.SEGMENTATION: "image-segmentation",
    Task.REGRESSION: "image-to-image",
    Task.CLASSIFICATION: "image-classification",
    Task.MULTILABEL: "image-classification",
    Task.DETECTION: "object-detection",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "1M<n<10M"
_FILES_OF_A_FOLDER = 10_000
_TYPES = {pa.string(): "string", pa.float64(): "float64", pa.int32(): "int32", pa.int64(): "int64"}
_HOW = """## Reading

```python
import rasterio
from datasets import load_dataset
from huggingface_hub import snapshot_download

folder = snapshot_download("{name}", repo_type="dataset")  # or this folder
chips = load_dataset(folder, split="train")
with rasterio.open(f"{{folder}}/{{chips[0]['{key}']}}") as raster:
    pixels = raster.read()
```

Every path column has the checksums of its files beside it (`…_md5`). Means and deviations below are those of the train
split."""


def write_huggingface(subject: Subject, folder: Path, files: PlacedFiles) -> list[str]:
    """Write the files, the tables and the card."""
    files.place({path: path for chip in subject.chips for path in chip.files.values()})
    (folder / DATA).mkdir()
    tables = {split: chip_table(subject, subject.of_split(split)) for split in SPLITS}
    present = {split: table for split, table in tables.items() if table.num_rows}
    for split, table in present.items():
        pq.write_table(table, folder / _table_path(split), compression="zstd")
    card = yaml.safe_dump(_card(subject, folder, present), sort_keys=False, allow_unicode=True, width=120)
    notes = _notes(subject)
    how = _HOW.format(name=subject.dataset, key=subject.modalities[0].key)
    write_readme(subject, folder, [how], notes, front=f"---\n{card}---\n\n")
    return notes


def _card(subject: Subject, folder: Path, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    chips = sum(table.num_rows for table in tables.values())
    sizes = {split: (folder / _table_path(split)).stat().st_size for split in tables}
    box = [float(edge) for edge in subject.version.item["bbox"]]
    properties = subject.version.item["properties"]
    return {
        **_license(subject),
        "pretty_name": f"{subject.dataset} {subject.number}",
        "task_categories": [_TASKS[subject.task]],
        "tags": ["geospatial", "earth-observation", "remote-sensing", *subject.collection.get("keywords", [])],
        "size_categories": [next((name for most, name in _SIZES if chips < most), _LARGEST)],
        "version": subject.number,
        "bbox": box,
        "datetime": [properties.get("start_datetime") or properties.get("datetime"), properties.get("end_datetime")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": SPLIT_NAMES[split], "path": _table_path(split)} for split in tables],
            }
        ],
        "dataset_info": {
            "features": _features(subject, next(iter(tables.values()))),
            "splits": [
                {"name": SPLIT_NAMES[split], "num_bytes": table.nbytes, "num_examples": table.num_rows}
                for split, table in tables.items()
            ],
            "download_size": sum(sizes.values()),
            "dataset_size": sum(table.nbytes for table in tables.values()),
        },
    }


def _license(subject: Subject) -> dict[str, str]:
    """Return the license; Hugging Face writes SPDX identifiers in small letters."""
    if subject.license in ("other", "proprietary", "various"):
        return {"license": "other", "license_name": subject.license, "license_link": subject.page}
    return {"license": subject.license.lower()}


def _features(subject: Subject, table: pa.Table) -> "Sequence[dict[str, Any]]":
    return [_feature(subject, column) for column in table.schema]


def _feature(subject: Subject, column: pa.Field) -> dict[str, Any]:
    if column.name != "labels":
        return {"name": column.name, "dtype": _TYPES[column.type]}
    return {"name": "labels", "sequence": "string"}


def _table_path(split: str) -> str:
    return f"{DATA}/{SPLIT_NAMES[split]}.parquet"


def _notes(subject: Subject) -> list[str]:
    notes = [
        "Pictures are not decoded by `datasets`, whose images have one to four bands; the tables have their paths.",
        "Measures of quality and the provenance of chips are in the catalog; export `stac-geoparquet` for them.",
    ]
    if left_out := sum(chip.split is None for chip in subject.chips):
        notes.append(f"{left_out} chips are in no split; their files are here, and no table names them.")
    if len(subject.chips) > _FILES_OF_A_FOLDER:
        notes.append(
            f"The Hub takes at most {_FILES_OF_A_FOLDER} files in a folder; upload by `hf upload-large-folder`, or"
            " divide the folders first."
        )
    if subject.task is Task.REGRESSION:
        notes.append("The Hub has no task of its own for a number in every pixel; the card says image-to-image.")
    return notes
