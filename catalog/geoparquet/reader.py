"""Reading items from stac-geoparquet files: the lab's own, exactly as they were written, and those of other programs.

In other programs' files an empty cell is a missing field, since most were written from items of which each has some of
the fields; times are written with as few digits as they need.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from terralab.catalog.errors import InvalidInput, UnsupportedMedia
from terralab.catalog.geoparquet import exact
from terralab.catalog.geoparquet.columns import Rules
from terralab.catalog.geoparquet.geometry import geometries_of
from terralab.catalog.geoparquet.plan import BBOX_FIELDS, ITEM_FIELDS, RESERVED
from terralab.catalog.geoparquet.values import objects_of
from terralab.catalog.geoparquet.without_collector import without_collector

_ROWS_AT_ONCE = 1_000
_OWN_VERSION = 1


@dataclass(frozen=True)
class GeoparquetFile:
    """What is known of a file before its rows are read.

    Attributes:
        row_groups: number of rows of each row group.
        collections: STAC collections that its metadata hold, by id.
        members: rules of the columns that are members of items.
        properties: rules of those that are properties.
        box_integers: whether whole numbers in boxes are integers.
        geometry_integers: whether whole coordinates are.
        exact: whether the lab wrote it, so that everything in it is as it was.
    """

    row_groups: tuple[int, ...]
    collections: Mapping[str, dict[str, Any]]
    members: Rules
    properties: Rules
    box_integers: bool
    geometry_integers: bool
    exact: bool


def open_file(path: Path) -> GeoparquetFile:
    """Read the metadata of a file.

    Raises:
        InvalidInput: it is no Parquet file.
        UnsupportedMedia: it is a Parquet file, but not of STAC items.
    """
    return _described(path, _opened(path))


def read_geoparquet(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the items of a file; see `open_file` for the errors."""
    parquet = _opened(path)
    file = _described(path, parquet)
    for batch in parquet.iter_batches(_ROWS_AT_ONCE):
        yield from _items(batch, file)


def read_rows(path: Path, group: int, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield some items of one row group."""
    parquet = _opened(path)
    file, position = _described(path, parquet), 0
    for batch in parquet.iter_batches(_ROWS_AT_ONCE, row_groups=[group]):
        start, end = max(first - position, 0), min(first + count - position, batch.num_rows)
        if start < end:
            yield from _items(batch.slice(start, end - start), file)
        position += batch.num_rows
        if position >= first + count:
            return


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _described(path: Path, parquet: Any) -> GeoparquetFile:
    names = set(parquet.schema_arrow.names)
    if lacking := {"id", "geometry"} - names:
        raise UnsupportedMedia(f"{path} is not stac-geoparquet: it has no column {' and '.join(sorted(lacking))}")
    metadata = parquet.metadata.metadata or {}
    own = _metadata(path, metadata, b"terralab")
    if own and own["version"] > _OWN_VERSION:
        raise UnsupportedMedia(f"{path} was written by a newer terralab; update this one")
    stac = _metadata(path, metadata, b"stac-geoparquet")
    collections = stac.get("collections") or (
        {stac["collection"]["id"]: stac["collection"]} if "collection" in stac else {}
    )
    return GeoparquetFile(
        row_groups=tuple(parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)),
        collections=collections,
        members=Rules.of(own["members"]) if own else Rules(),
        properties=Rules.of(own["properties"]) if own else Rules(),
        box_integers=bool(own.get("bbox_integers")),
        geometry_integers=bool(own.get("geometry_integers")),
        exact=bool(own),
    )


def _metadata(path: Path, metadata: Mapping[bytes, bytes], name: bytes) -> dict[str, Any]:
    try:
        found = json.loads(metadata.get(name, b"{}"))
    except ValueError as error:
        raise InvalidInput(f"{path}: its metadata {name.decode()!r} are not JSON") from error
    return found if isinstance(found, dict) else {}


def _items(batch: pa.RecordBatch, file: GeoparquetFile) -> list[dict[str, Any]]:
    with without_collector():
        return _items_of(batch, file)


def _items_of(batch: pa.RecordBatch, file: GeoparquetFile) -> list[dict[str, Any]]:
    names, rows = batch.schema.names, batch.num_rows
    columns = dict(zip(names, batch.columns, strict=True))
    members = {name: array for name, array in columns.items() if name in ITEM_FIELDS}
    items = objects_of(members, (), file.members, rows)
    inside = {name: array for name, array in columns.items() if name not in RESERVED}
    properties = objects_of(inside, (), file.properties, rows)
    boxes = _boxes(columns["bbox"], file.box_integers) if "bbox" in names else [None] * rows
    only = next(iter(file.collections)) if len(file.collections) == 1 else None
    for item, geometry, box, entry in zip(items, _geometries(batch, file), boxes, properties, strict=True):
        item["geometry"], item["properties"] = geometry, entry
        if box is not None:
            item["bbox"] = box
        item.setdefault("type", "Feature")
        item.setdefault("links", [])
        item.setdefault("assets", {})
        if not file.exact and "datetime" not in entry and "start_datetime" in entry:
            entry["datetime"] = None
        if only is not None and "collection" not in names:
            item["collection"] = only
    if exact.COLUMN in names:
        for item, cell in zip(items, batch.column(exact.COLUMN).to_pylist(), strict=True):
            if cell is not None:
                exact.restore(item, cell)
    return items


def _geometries(batch: pa.RecordBatch, file: GeoparquetFile) -> list[dict[str, Any] | None]:
    array = batch.column("geometry")
    storage = getattr(array, "storage", array)
    if not (pa.types.is_binary(storage.type) or pa.types.is_large_binary(storage.type)):
        raise UnsupportedMedia(f"the column geometry is of the type {storage.type}; only WKB can be read")
    return geometries_of(storage, file.geometry_integers)


def _boxes(array: pa.Array, whole_is_int: bool) -> list[list[float] | None]:
    """Return boxes as lists of numbers."""
    if not pa.types.is_struct(array.type):
        return list(array.to_pylist())
    names = {array.type.field(index).name for index in range(array.type.num_fields)}
    wanted = BBOX_FIELDS[6] if "zmin" in names else BBOX_FIELDS[4]
    columns = [pc.struct_field(array, name).to_pylist() for name in wanted]
    boxes = [list(box) if None not in box else None for box in zip(*columns, strict=True)]
    if whole_is_int:
        return [None if box is None else [int(n) if n.is_integer() else n for n in box] for box in boxes]
    return boxes
