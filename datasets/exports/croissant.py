"""Croissant 1.1 with GeoCroissant: the version's files, `chips.parquet`, and `croissant.json`, which describes both.

The description gives the chips as records: id, split, place, time, labels, and the paths of pictures and labels with
their checksums. Pictures are given as paths, since readers of Croissant open pictures of three bands of bytes alone.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from terralab.datasets.exports.chip_table import CORNERS, chip_table, file_keys
from terralab.datasets.exports.placed_files import PlacedFiles
from terralab.datasets.exports.readme import write_readme
from terralab.datasets.exports.subject import Subject
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.chip_parts import BOXES_ASSET, MASK_ASSET, TARGET_ASSETS
from terralab.extensions.croissant import (
    SPLITS_RECORDS,
    band_members,
    class_records,
    column_of,
    dataset_head,
    field,
    record_set,
    split_records,
)

DESCRIPTION, TABLE = "croissant.json", "chips.parquet"
_CHIPS = "chips"
_HOW = """## Reading

```python
import mlcroissant

dataset = mlcroissant.Dataset("croissant.json")
for chip in dataset.records("chips"):
    print(chip["chips/id"], chip["chips/split"], chip)
```

`chips.parquet` is the same table for everybody else. Paths of pictures are relative to this folder; rasterio opens
them."""


def write_croissant(subject: Subject, folder: Path, files: PlacedFiles) -> list[str]:
    """Write the files, the table and the description."""
    files.place({path: path for chip in subject.chips for path in chip.files.values()})
    pq.write_table(chip_table(subject, subject.chips), folder / TABLE, compression="zstd")
    described = describe(subject, folder / TABLE)
    text = json.dumps(described, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    notes = _notes(subject, described)
    write_readme(subject, folder, [_HOW], notes)
    return notes


def describe(subject: Subject, table: Path) -> dict[str, Any]:
    """Return the JSON-LD document of an export whose table is written."""
    item = subject.version.item
    collection = {**subject.collection, "description": subject.description, "extent": _extent(subject)}
    head = dataset_head(
        collection,
        name=subject.dataset,
        url=subject.page,
        version=subject.number,
        published=item["properties"].get("created"),
    )
    sampling = subject.version.record.split_report.get("method")
    return {
        **head,
        "identifier": subject.version.record.dvc_tree,
        "isLiveDataset": False,
        **({"geocr:samplingStrategy": f"splits by {sampling}"} if sampling else {}),
        "distribution": [_table_object(table), *(_file_set(subject, key) for key in file_keys(subject))],
        "recordSet": [
            split_records(),
            *([class_records(entry.to_stac() for entry in subject.classes)] if subject.classes else []),
            record_set(_CHIPS, "Chips with their labels.", _fields(subject), key={"@id": f"{_CHIPS}/id"}),
        ],
    }


def _extent(subject: Subject) -> dict[str, Any]:
    item = subject.version.item
    properties = item["properties"]
    times = [properties.get("start_datetime") or properties.get("datetime"), properties.get("end_datetime")]
    interval = [times[0], times[1] or times[0]]
    return {"spatial": {"bbox": [item["bbox"]]}, "temporal": {"interval": [interval]}}


def _table_object(table: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": TABLE,
        "name": TABLE,
        "description": "One row for each chip.",
        "contentUrl": TABLE,
        "contentSize": f"{table.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": split_multihash(multihash_of_file(table))[1],
    }


def _file_set(subject: Subject, key: str) -> dict[str, Any]:
    """Return all files of one kind; a version of very many files has them in several folders."""
    patterns = {str(Path(chip.files[key]).parent / f"*{Path(chip.files[key]).suffix}") for chip in subject.chips}
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{key}",
        "name": f"files-{key}",
        "description": f"Files of {key}, one for each chip.",
        "encodingFormat": "application/geo+json" if key == BOXES_ASSET else "image/tiff",
        "includes": sorted(patterns),
    }


def _fields(subject: Subject) -> list[dict[str, Any]]:
    fields = [
        _field("id", "sc:Text", "Id of the chip."),
        _field(
            "split",
            "sc:Text",
            "Split, empty where there is none.",
            references={"field": {"@id": f"{SPLITS_RECORDS}/name"}},
        ),
        _field("group", "sc:Text", "Group that no split divides."),
        _field("fold", "sc:Integer", "Fold of a cross validation, where there is one."),
        _field("datetime", "sc:Text", "Time of the first picture, RFC 3339."),
        *(_field(name, "sc:Float", f"{name.capitalize()}ern edge in degrees.") for name in CORNERS),
        _field("crs", "sc:Text", "Coordinate system of the pictures."),
    ]
    if subject.target_key is None:
        fields.append(_field("labels", ["sc:Text", "cr:Label"], "Names of the chip's classes.", repeated=True))
    for entry in subject.classes:
        fields.append(_field(f"count_{entry.name}", "sc:Integer", f"Pixels, labels or boxes of {entry.name}."))
    bands = {modality.key: modality.bands for modality in subject.modalities}
    for key in file_keys(subject):
        geographic = band_members(bands[key]) if key in bands else {}
        fields.append(_field(key, _kinds(key), f"Path of the file of {key}.", **geographic))
        fields.append(_field(f"{key}_md5", "sc:Text", f"MD5 of the file of {key}."))
    return fields


def _kinds(key: str) -> str | Sequence[str]:
    if key == MASK_ASSET:
        return ["sc:Text", "cr:SegmentationMask", "cr:Label"]
    return ["sc:Text", "cr:Label"] if key in TARGET_ASSETS else "sc:Text"


def _field(name: str, kind: str | Sequence[str], description: str, **members: Any) -> dict[str, Any]:
    return field(_CHIPS, name, kind, description, source=column_of(TABLE, name), **members)


def _notes(subject: Subject, described: dict[str, Any]) -> list[str]:
    notes = [
        "Pictures are given as paths: readers of Croissant open no pictures of many bands or of numbers above 255.",
        "Measures of quality and the provenance of chips are in the catalog; export `stac-geoparquet` for them.",
    ]
    if "license" not in described:
        notes.append("The license is not known, and Croissant asks for one; say it in the catalog's collection.")
    if "creator" not in described:
        notes.append("Nobody is named as the creator; name providers in the catalog's collection.")
    if not subject.items:
        notes.append(
            "The version is of an early release and does not know where its chips are: these columns are empty."
        )
    return notes
