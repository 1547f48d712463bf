"""From JSON values to Arrow arrays, column by column; what a column cannot hold is written down beside it."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, chain, repeat
from operator import itemgetter
from typing import Any

import orjson
import pyarrow as pa

from terralab.catalog.geoparquet.columns import Column
from terralab.catalog.geoparquet.exact import Exact, Place
from terralab.catalog.geoparquet.geometry import geometry_array
from terralab.catalog.geoparquet.times import time_array

_NOTHING: dict[str, Any] = {}


def to_arrow(column: Column, values: list[Any], place: Place, exact: Exact) -> pa.Array:
    """Return the array of a column.

    Args:
        column: whose rules hold.
        values: one for each row, None where it is null or missing.
        place: of the column in the items.
        exact: takes what the column cannot hold.
    """
    if column.kind == "object":
        return _structs(column, values, place, exact)
    if column.kind == "list":
        return _lists(column, values, place, exact)
    if column.kind == "time":
        return time_array(values, column.style or "", place, exact)
    if column.kind == "geometry":
        return geometry_array(values, column.whole_is_int, place, exact)
    if column.kind == "json":
        values = [None if value is None else orjson.dumps(value).decode() for value in values]
    if column.numbers_differ:
        _note_integers(values, place, exact)
    return pa.array(values, column.arrow_type)


def field_values(objects: Sequence[dict[str, Any]], name: str, column: Column, place: Place, exact: Exact) -> list[Any]:
    """Return the values of a field of objects; nulls that its rule does not tell are written down."""
    if column.always:
        with suppress(KeyError):  # where the object itself is empty
            return list(map(itemgetter(name), objects))
    values = [entry.get(name) for entry in objects]
    if column.nulls_differ:
        for index, value in enumerate(values):
            if value is None and name in objects[index]:
                exact.note(place, index, None)
    return values


def note_rare_fields(objects: Sequence[dict[str, Any]], known: Any, place: Place, exact: Exact) -> None:
    """Write down the fields that have no column."""
    for index, entry in enumerate(objects):
        for name in entry.keys() - known:
            exact.note(place.field(name), index, entry[name])


def _structs(column: Column, values: list[Any], place: Place, exact: Exact) -> pa.Array:
    empty = [value is None for value in values]
    some_empty = any(empty)
    objects = [_NOTHING if value is None else value for value in values] if some_empty else values
    arrays = []
    for name, inner in column.fields.items():
        inner_place = place.field(name)
        found = field_values(objects, name, inner, inner_place, exact)
        arrays.append(to_arrow(inner, found, inner_place, exact))
    if column.rare_fields:
        note_rare_fields(objects, column.fields.keys(), place, exact)
    fields = list(column.arrow_type)
    return pa.StructArray.from_arrays(arrays, fields=fields, mask=pa.array(empty) if some_empty else None)


def _lists(column: Column, values: list[Any], place: Place, exact: Exact) -> pa.Array:
    assert column.item is not None  # every list column has one
    mask = None
    if None in values:
        mask = pa.array([value is None for value in values])
        values = [() if value is None else value for value in values]
    offsets = [0, *accumulate(map(len, values))]
    if column.integers_at:
        _note_numbers(values, column.integers_at, place, exact)
    items = to_arrow(column.item, list(chain.from_iterable(values)), place.items(offsets), exact)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=column.arrow_type, mask=mask)


def _note_integers(values: list[Any], place: Place, exact: Exact) -> None:
    for index, value in enumerate(values):
        if type(value) is int:
            exact.note(place, index, value)


def _note_numbers(values: Sequence[Sequence[Any]], integers_at: tuple[bool, ...], place: Place, exact: Exact) -> None:
    """Write down lists of numbers whose integers are not where the rule has them."""
    for index, value in enumerate(values):
        places = chain(integers_at, repeat(False))
        if any(_breaks(number, is_integer) for number, is_integer in zip(value, places, strict=False)):
            exact.note(place, index, value)


def _breaks(number: Any, is_integer: bool) -> bool:
    if type(number) is int:
        return not is_integer
    return is_integer and type(number) is float and number.is_integer()
