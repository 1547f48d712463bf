"""The chips of a version as a table: id, split, place, time, labels, and where their files lie."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from terralab.datasets.exports.subject import Chip, Subject

if TYPE_CHECKING:
    import pyarrow as pa

CORNERS = ("west", "south", "east", "north")


def chip_table(subject: Subject, chips: Iterable[Chip]) -> "pa.Table":
    """Return the table.

    Columns: id, split, group, fold, datetime, west, south, east, north, crs, labels, counts, a column with a path for
    each kind of file, and `<kind>_md5` with its checksum. What is not known is null.
    """
    import pyarrow as pa

    rows = list(chips)
    boxes = [box_of(subject, chip) for chip in rows]
    columns: dict[str, pa.Array] = {
        "id": pa.array([chip.id for chip in rows], pa.string()),
        "split": pa.array([chip.split for chip in rows], pa.string()),
        "group": pa.array([chip.group for chip in rows], pa.string()),
        "fold": pa.array([chip.fold for chip in rows], pa.int32()),
        "datetime": pa.array([chip.datetime for chip in rows], pa.string()),
    }
    for place, name in enumerate(CORNERS):
        columns[name] = pa.array([box[place] if box else None for box in boxes], pa.float64())
    columns["crs"] = pa.array([_property(subject, chip, "proj:code") for chip in rows], pa.string())
    if subject.target_key is None:
        columns["labels"] = pa.array([list(chip.labels) for chip in rows], pa.list_(pa.string()))
    whole = subject.target_key is None  # where no label is none
    for entry in subject.classes:
        counts = [chip.counts.get(entry.name, 0) if chip.counts or whole else None for chip in rows]
        columns[f"count_{entry.name}"] = pa.array(counts, pa.int64())
    for key in file_keys(subject):
        paths = [chip.files.get(key) for chip in rows]
        columns[key] = pa.array(paths, pa.string())
        md5s = [subject.version.by_path[path] if path else None for path in paths]
        columns[f"{key}_md5"] = pa.array(md5s, pa.string())
    return pa.table(columns)


def file_keys(subject: Subject) -> list[str]:
    """Return the keys of all kinds of files, features first."""
    features = [modality.key for modality in subject.modalities]
    others = dict.fromkeys(key for chip in subject.chips for key in chip.files if key not in features)
    return [*features, *others]


def box_of(subject: Subject, chip: Chip) -> list[float] | None:
    """Return west, south, east and north of a chip; None where the version has no items."""
    box = subject.items.get(chip.id, {}).get("bbox")
    return [float(edge) for edge in box] if box and len(box) == len(CORNERS) else None


def _property(subject: Subject, chip: Chip, name: str) -> Any:
    properties: Mapping[str, Any] = subject.items.get(chip.id, {}).get("properties") or {}
    return properties.get(name)
