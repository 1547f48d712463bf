"""Writing items as a stac-geoparquet file.

Two passes over the items: the first finds out which columns there are, the second writes them. So memory stays the same
for any number of items, and the same items always give the same bytes.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyproj import CRS

from terralab.catalog.errors import InvalidInput
from terralab.catalog.folder_store import flush
from terralab.catalog.geoparquet import exact as exactness
from terralab.catalog.geoparquet.cells import field_values, note_rare_fields, to_arrow
from terralab.catalog.geoparquet.columns import rules
from terralab.catalog.geoparquet.exact import Exact, Place
from terralab.catalog.geoparquet.geometry import geometry_array
from terralab.catalog.geoparquet.plan import PROJ_GEOMETRY, RESERVED, Plan, Survey, plan_of
from terralab.catalog.geoparquet.without_collector import without_collector
from terralab.catalog.store import disk_full_as_error

Items = Callable[[], Iterable[dict[str, Any]]]
ROWS_AT_ONCE = 250  # so many items stay in the processor's cache
ROW_GROUP = 5_000
_COMPRESSION = {"compression": "zstd", "compression_level": 3}
_VERSION, _GEOPARQUET_VERSION = "1.1.0", "1.1.0"


@dataclass(frozen=True)
class Written:
    """What a file holds.

    Attributes:
        items: number of items.
        exceptional: how many of them need the column for what the others cannot hold.
    """

    items: int
    exceptional: int


def write_geoparquet(path: Path, items: Items, collections: Mapping[str, Mapping[str, Any]]) -> Written:
    """Write items to a file, which appears when it is whole.

    Args:
        path: of the file.
        items: gives all items, the same ones at the second call, of plain JSON values.
        collections: STAC collections by id, which go into the file's metadata.

    Raises:
        InvalidInput: there are no items.
        OutOfSpace: the disk is full.
    """
    with without_collector():
        survey = Survey()
        kept: list[dict[str, Any]] = []
        for batch in _batches(items()):
            survey.add(batch)
            kept = batch if survey.count == len(batch) else []
        if not survey.count:
            raise InvalidInput(f"there are no items for {path}: a file of none has no columns")
        plan = plan_of(survey)
        schema = plan.schema.with_metadata(_metadata(plan, survey, collections))
        with disk_full_as_error(path.parent), _aside(path) as aside:
            return _write(aside, schema, plan, [kept] if kept else _batches(items()))


def _write(path: Path, schema: pa.Schema, plan: Plan, batches: Iterable[Sequence[dict[str, Any]]]) -> Written:
    count = exceptional = 0
    with (
        pq.ParquetWriter(path, schema, write_page_index=True, **_COMPRESSION) as writer,
        ThreadPoolExecutor(1) as encoder,
    ):
        waiting: list[pa.RecordBatch] = []
        encoding: Future[None] | None = None
        for batch in batches:
            exact = Exact()
            waiting.append(_record_batch(batch, schema, plan, exact))
            count, exceptional = count + len(batch), exceptional + len(exact)
            if sum(part.num_rows for part in waiting) >= ROW_GROUP:
                encoding = _hand_over(encoder, encoding, writer, waiting)
                waiting = []
        _hand_over(encoder, encoding, writer, waiting).result()
    return Written(count, exceptional)


def _hand_over(
    encoder: ThreadPoolExecutor, encoding: Future[None] | None, writer: Any, batches: list[pa.RecordBatch]
) -> Future[None]:
    """Let another thread encode a row group, once it has done the one before."""
    if encoding is not None:
        encoding.result()
    return encoder.submit(_write_group, writer, batches)


def _write_group(writer: Any, batches: list[pa.RecordBatch]) -> None:
    if batches:
        writer.write_table(pa.Table.from_batches(batches), row_group_size=ROW_GROUP)


def _record_batch(items: Sequence[dict[str, Any]], schema: pa.Schema, plan: Plan, exact: Exact) -> pa.RecordBatch:
    root = Place()
    arrays = {}
    for name, column in plan.members.items():
        place = root.field(name)
        arrays[name] = to_arrow(column, field_values(items, name, column, place, exact), place, exact)
    arrays["bbox"] = _boxes(items, plan, root.field("bbox"), exact)
    geometries = [item.get("geometry") for item in items]
    arrays["geometry"] = geometry_array(geometries, plan.geometry_integers, root.field("geometry"), exact)
    inside, properties = root.field("properties"), [item.get("properties") or {} for item in items]
    for name, column in plan.properties.items():
        place = inside.field(name)
        arrays[name] = to_arrow(column, field_values(properties, name, column, place, exact), place, exact)
    if plan.rare_properties:
        note_rare_fields(properties, plan.properties.keys(), inside, exact)
    _note_members(items, plan, root, exact)
    arrays[exactness.COLUMN] = pa.array(exact.column(len(items)), pa.string())
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _boxes(items: Sequence[dict[str, Any]], plan: Plan, place: Place, exact: Exact) -> pa.Array:
    size = len(plan.box)
    boxes: list[Any] = [item.get("bbox") for item in items]
    regular = all(type(box) is list and len(box) == size for box in boxes)
    if not regular or not _all_exact(list(chain.from_iterable(boxes)), plan.box_integers):
        boxes = [_noted_box(item, index, plan, place, exact) for index, item in enumerate(items)]
    mask = [box is None for box in boxes]
    numbers = list(zip(*(box or [0.0] * size for box in boxes), strict=True))
    arrays = [pa.array(column, pa.float64()) for column in numbers]
    return pa.StructArray.from_arrays(arrays, names=list(plan.box), mask=pa.array(mask))


def _noted_box(item: dict[str, Any], index: int, plan: Plan, place: Place, exact: Exact) -> list[float] | None:
    """Return a box as it fits the column, and write it down where it does not come back from there as it is."""
    box: Any = item.get("bbox")
    fits = type(box) is list and len(box) == len(plan.box) and {int, float} >= set(map(type, box))
    if "bbox" in item and not (fits and _all_exact(box, plan.box_integers)):
        exact.note(place, index, box)
    return [float(number) for number in box] if fits else None


def _all_exact(numbers: Sequence[Any], whole_is_int: bool) -> bool:
    types = set(map(type, numbers))
    if whole_is_int:
        return types <= {int, float} and not any(type(number) is float and number.is_integer() for number in numbers)
    return types <= {float}


def _note_members(items: Sequence[dict[str, Any]], plan: Plan, root: Place, exact: Exact) -> None:
    """Write down members of items that have no column, and those that every reader puts there though they are not."""
    for name in sorted(set().union(*items) - RESERVED - {"properties"}):
        for index, item in enumerate(items):
            if name in item:
                exact.note(root.field(name), index, item[name])
    for name in ("links", "assets", "geometry"):
        for index, item in enumerate(items):
            if name not in item:
                exact.note_missing(root.field(name), index)


def _metadata(plan: Plan, survey: Survey, collections: Mapping[str, Mapping[str, Any]]) -> dict[bytes, bytes]:
    crs = CRS.from_user_input("OGC:CRS84").to_json_dict()
    primary: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(survey.geometry_types),
        "crs": crs,
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if survey.bounds:
        primary["bbox"] = survey.bounds
    columns = {"geometry": primary}
    if PROJ_GEOMETRY in plan.properties and plan.properties[PROJ_GEOMETRY].kind == "geometry":
        # Null says that nobody knows it: each item has its own.
        columns[PROJ_GEOMETRY] = {"encoding": "WKB", "geometry_types": [], "crs": None}
    geo = {"version": _GEOPARQUET_VERSION, "primary_column": "geometry", "columns": columns}
    own = {
        "version": 1,
        "members": rules(plan.members),
        "properties": rules(plan.properties),
        "bbox_integers": plan.box_integers,
        "geometry_integers": plan.geometry_integers,
    }
    stac = {"version": _VERSION, "collections": dict(collections)}
    return {b"geo": _json(geo), b"stac-geoparquet": _json(stac), b"terralab": _json(own)}


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` that takes its place when all went well."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    aside = Path(name)
    try:
        yield aside
        flush(aside)
        aside.chmod(0o644)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _batches(items: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(items)
    while batch := list(islice(iterator, ROWS_AT_ONCE)):
        yield batch
