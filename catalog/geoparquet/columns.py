"""The columns of a file: their types, and the rules by which exactly the original values come back from them.

Arrow knows no difference between a field that is null and one that is missing, nor between `1` and `1.0` among
fractions. Each column therefore says what an empty cell stands for and whether whole numbers are integers; these rules
are in the file's metadata. Values that break the rule of their column are kept beside it (`exact`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from terralab.catalog.geoparquet.shapes import MOST_FIELDS, Shape

Kind = Literal["bool", "int", "float", "text", "json", "list", "object", "time", "geometry"]
Path = tuple[str | None, ...]
"""Field names from the item down to a place; None stands for all items of a list."""
TIME_TYPE = pa.timestamp("us", "UTC")
_TYPES = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "json": pa.string(),
    "time": TIME_TYPE,
    "geometry": pa.binary(),
}
_MOST_LEVELS = 12
_EXACT_INTEGERS = 2**53
_INT64 = 2**63


@dataclass(frozen=True)
class Column:
    """A place in items, as a column or a group of columns.

    Attributes:
        kind: `json` is JSON as text, for values of several types; `geometry` is WKB.
        empty_is_null: whether an empty cell is a null; else there is no such field.
        nulls_differ: whether some cells break that rule.
        always: whether every object has the field.
        whole_is_int: of `float`: whether whole numbers are integers.
        numbers_differ: whether some break that rule.
        fields: columns of an object's fields.
        rare_fields: whether objects may have further fields.
        item: column of a list's items.
        integers_at: of lists of numbers, such as an affine transform: the places at which whole numbers are integers.
        style: of `time`: how the text was written.
    """

    kind: Kind
    empty_is_null: bool = False
    nulls_differ: bool = False
    always: bool = False
    whole_is_int: bool = False
    numbers_differ: bool = False
    fields: Mapping[str, "Column"] = field(default_factory=dict)
    rare_fields: bool = False
    item: "Column | None" = None
    integers_at: tuple[bool, ...] = ()
    style: str | None = None

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """Return the column's Arrow type."""
        if self.kind == "object":
            return pa.struct([pa.field(name, column.arrow_type) for name, column in self.fields.items()])
        if self.kind == "list":
            assert self.item is not None  # every list column has one
            return pa.list_(pa.field("item", self.item.arrow_type))
        return _TYPES[self.kind]


def column_of(shape: Shape, objects: int | None = None, level: int = 0) -> Column:
    """Return the column for values of a shape.

    Args:
        shape: of the values.
        objects: number of objects that may have the field; None for items of a list, which cannot be missing.
        level: how deep it lies.
    """
    missing = 0 if objects is None else objects - shape.present
    column = _plain(shape, level)
    return replace(
        column,
        empty_is_null=shape.nulls > 0 and missing == 0,
        nulls_differ=shape.nulls > 0 and missing > 0,
        always=missing == 0,
    )


def object_column(shape: Shape, level: int = 0) -> Column:
    """Return the column for objects, without the rules for empty cells."""
    names = sorted(shape.fields, key=lambda name: (-shape.fields[name].present, name))
    kept = sorted(names[:MOST_FIELDS])
    fields = {name: column_of(shape.fields[name], shape.values, level + 1) for name in kept}
    return Column("object", fields=fields, rare_fields=shape.crowded or len(names) > len(kept))


def _plain(shape: Shape, level: int) -> Column:
    kinds = shape.kinds
    if not kinds:
        return Column("text")
    if kinds == {"int"} and shape.largest < _INT64:
        return Column("int")
    if kinds == {"float"}:
        return Column("float")
    if kinds == {"int", "float"} and shape.largest <= _EXACT_INTEGERS:
        # Where `1.0` was written too, whole numbers stay as they are and the integers are the exceptions.
        return Column("float", whole_is_int=not shape.integral, numbers_differ=shape.integral)
    if kinds == {"text"}:
        return Column("text")
    if kinds == {"bool"}:
        return Column("bool")
    if level < _MOST_LEVELS and kinds == {"list"}:
        return _list_column(shape, level)
    if level < _MOST_LEVELS and kinds == {"object"} and shape.fields:
        return object_column(shape, level)
    return Column("json")


def _list_column(shape: Shape, level: int) -> Column:
    item = column_of(shape.items or Shape(), None, level + 1)
    if not item.numbers_differ:
        return Column("list", item=item)
    (pattern, _), *_ = shape.patterns.most_common(1)
    return Column("list", item=replace(item, numbers_differ=False), integers_at=pattern)


def rules(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return the rules of all columns as they are in the metadata of a file."""
    found: dict[str, Any] = {"nulls": [], "integers": [], "json": [], "times": {}, "integers_at": []}
    for path, column in _walk((), columns):
        if column.empty_is_null:
            found["nulls"].append(path)
        if column.whole_is_int:
            found["integers"].append(path)
        if column.integers_at:
            found["integers_at"].append([path, column.integers_at])
        if column.kind == "json":
            found["json"].append(path)
        if column.style is not None:
            found["times"][path[-1]] = column.style
    return found


@dataclass(frozen=True)
class Rules:
    """The rules of a file's columns, as a reader asks for them; another program's file has none."""

    nulls: frozenset[Path] = frozenset()
    integers: frozenset[Path] = frozenset()
    json: frozenset[Path] = frozenset()
    times: Mapping[str, str] = field(default_factory=dict)
    integers_at: Mapping[Path, tuple[bool, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Rules":
        """Read the rules from metadata that `rules` made."""
        paths = {name: frozenset(tuple(path) for path in metadata[name]) for name in ("nulls", "integers", "json")}
        integers_at = {tuple(path): tuple(places) for path, places in metadata["integers_at"]}
        return cls(**paths, times=metadata["times"], integers_at=integers_at)


def _walk(path: Path, columns: Mapping[str, Column]) -> Iterator[tuple[Path, Column]]:
    for name, column in columns.items():
        yield from _walk_column((*path, name), column)


def _walk_column(path: Path, column: Column) -> Iterator[tuple[Path, Column]]:
    yield path, column
    yield from _walk(path, column.fields)
    if column.item is not None:
        yield from _walk_column((*path, None), column.item)
