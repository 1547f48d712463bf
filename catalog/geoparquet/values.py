"""From Arrow arrays back to JSON values, column by column."""

from collections.abc import Mapping
from itertools import chain, pairwise, repeat
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from terralab.catalog.errors import UnsupportedMedia
from terralab.catalog.geoparquet.columns import Path, Rules
from terralab.catalog.geoparquet.geometry import geometries_of
from terralab.catalog.geoparquet.times import PLAIN_STYLE, written

PROJ_GEOMETRY = "proj:geometry"


def values_of(array: pa.Array, path: Path, rules: Rules) -> list[Any]:
    """Return the values of an array, None where it is empty.

    Args:
        array: of the column at `path`.
        path: names down to the column.
        rules: of the file.

    Raises:
        UnsupportedMedia: the column is of a type that no JSON value has.
    """
    kind = array.type
    if kinds.is_struct(kind):
        return _objects(array, path, rules)
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        return _lists(array, path, rules)
    if kinds.is_timestamp(kind):
        return list(written(_microseconds(array), rules.times.get(str(path[-1]), PLAIN_STYLE)))
    if path[-1] == PROJ_GEOMETRY and (kinds.is_binary(kind) or kinds.is_large_binary(kind)):
        return list(geometries_of(array, path in rules.integers))
    found = _plain(array, path)
    if path in rules.json:
        return [None if text is None else orjson.loads(text) for text in found]
    if path in rules.integers:
        return [int(value) if value is not None and value.is_integer() else value for value in found]
    return found


def objects_of(columns: Mapping[str, Any], path: Path, rules: Rules, rows: int) -> list[dict[str, Any]]:
    """Return one object for each row.

    Args:
        columns: arrays of the objects' fields, by name.
        path: names down to the objects.
        rules: of the file; they say whether an empty cell is a null or no field.
        rows: how many rows.
    """
    values = {name: values_of(array, (*path, name), rules) for name, array in columns.items()}
    full = [name for name, array in columns.items() if array.null_count == 0 or (*path, name) in rules.nulls]
    objects = [dict(zip(full, row, strict=True)) for row in zip(*(values[name] for name in full), strict=True)]
    if not full:
        objects = [{} for _ in range(rows)]
    for name in values.keys() - set(full):
        for entry, value in zip(objects, values[name], strict=True):
            if value is not None:
                entry[name] = value
    return objects


def _objects(array: pa.StructArray, path: Path, rules: Rules) -> list[Any]:
    names = [array.type.field(index).name for index in range(array.type.num_fields)]
    columns = {name: pc.struct_field(array, [index]) for index, name in enumerate(names)}
    objects = objects_of(columns, path, rules, len(array))
    if array.null_count:
        return [entry if valid else None for entry, valid in zip(objects, array.is_valid().to_pylist(), strict=True)]
    return objects


def _lists(array: Any, path: Path, rules: Rules) -> list[Any]:
    items = values_of(array.flatten(), (*path, None), rules)
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).tolist()
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    found: list[Any] = [items[start:end] for start, end in pairwise(ends)]
    if path in rules.integers_at:
        found = [_with_integers(numbers, rules.integers_at[path]) for numbers in found]
    if array.null_count:
        return [value if valid else None for value, valid in zip(found, array.is_valid().to_pylist(), strict=True)]
    return found


def _with_integers(numbers: list[Any], integers_at: tuple[bool, ...]) -> list[Any]:
    places = chain(integers_at, repeat(False))
    return [
        int(number) if is_integer and number is not None and number.is_integer() else number
        for number, is_integer in zip(numbers, places, strict=False)
    ]


def _microseconds(array: Any) -> Any:
    zoned = array.type.tz is not None
    return array.cast(pa.timestamp("us", "UTC" if zoned else None), safe=False)


def _plain(array: Any, path: Path) -> list[Any]:
    kind = array.type
    if kinds.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if kinds.is_null(kind):
        return [None] * len(array)
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return list(array.to_numpy(zero_copy_only=False).tolist())
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind):
        if array.null_count == 0:
            return list(array.to_numpy(zero_copy_only=False).tolist())
        return list(array.to_pylist())
    if kinds.is_date(kind):
        return [None if value is None else value.isoformat() for value in array.to_pylist()]
    if kinds.is_map(kind):
        return [None if value is None else dict(value) for value in array.to_pylist()]
    raise UnsupportedMedia(f"the column {'.'.join(str(part) for part in path)} is of the type {kind}, which JSON lacks")
