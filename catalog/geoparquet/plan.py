"""The plan of a file: what a first pass over the items found, and the columns that follow from it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

import pyarrow as pa

from terralab.catalog.geoparquet import exact
from terralab.catalog.geoparquet.columns import Column, column_of
from terralab.catalog.geoparquet.geometry import type_name, writes_integers
from terralab.catalog.geoparquet.shapes import Shape, observe
from terralab.catalog.geoparquet.times import TIME_FIELDS, style_of, tails

ITEM_FIELDS = ("type", "stac_version", "stac_extensions", "id", "collection", "links", "assets")
"""Members of an item that are columns of their own names, besides `geometry` and `bbox`."""
RESERVED = frozenset((*ITEM_FIELDS, "geometry", "bbox", exact.COLUMN))
"""Names that no property can have as a column."""
PROJ_GEOMETRY = "proj:geometry"
BBOX_FIELDS = {4: ("xmin", "ymin", "xmax", "ymax"), 6: ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")}
_LINK_FIELDS = ("href", "rel", "type", "title")


@dataclass
class Survey:
    """What a first pass over the items found.

    Attributes:
        count: number of items.
        members: shapes of the members of items, without `geometry`, `bbox` and `properties`.
        properties: shapes of the properties.
        boxes: how many items have a box of 4 and of 6 numbers.
        box_numbers: shape of those numbers.
        times: how times are written, by property.
        geometry_types: as GeoParquet names them.
        whole_is_int: whether whole coordinates are mostly written as integers.
        bounds: west, south, east, north of all boxes.
    """

    count: int = 0
    members: Shape = field(default_factory=Shape)
    properties: Shape = field(default_factory=Shape)
    boxes: Counter[int] = field(default_factory=Counter)
    box_numbers: Shape = field(default_factory=Shape)
    times: dict[str, Counter[tuple[int, str]]] = field(default_factory=dict)
    geometry_types: set[str] = field(default_factory=set)
    whole_is_int: bool | None = None
    bounds: list[float] | None = None

    def add(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Look at some items."""
        self.count += len(items)
        observe(self.members, [{name: item[name] for name in ITEM_FIELDS if name in item} for item in items])
        properties = [item.get("properties") or {} for item in items]
        observe(self.properties, properties)
        for name in TIME_FIELDS & self.properties.fields.keys():
            texts = [entry[name] for entry in properties if isinstance(entry.get(name), str)]
            self.times.setdefault(name, Counter()).update(tails(texts))
        geometries = [item.get("geometry") for item in items]
        self.geometry_types.update(type_name(one) for one in geometries if isinstance(one, dict))
        if self.whole_is_int is None:
            self.whole_is_int = writes_integers(geometries)
        self._add_boxes([item.get("bbox") for item in items])

    def _add_boxes(self, boxes: Sequence[Any]) -> None:
        full = [box for box in boxes if type(box) is list and len(box) in BBOX_FIELDS]
        self.boxes.update(map(len, full))
        observe(self.box_numbers, list(chain.from_iterable(full)))
        for size in set(map(len, full)):
            numbers = list(zip(*(box for box in full if len(box) == size), strict=True))
            half = size // 2
            found = [*map(min, numbers[:2]), *map(max, numbers[half : half + 2])]
            known = self.bounds or found
            self.bounds = [*map(min, known[:2], found[:2]), *map(max, known[2:], found[2:])]


@dataclass(frozen=True)
class Plan:
    """The columns of a file.

    Attributes:
        members: columns of the members of items.
        properties: columns of the properties.
        box: names of the numbers of a box.
        box_integers: whether whole numbers in boxes are integers.
        geometry_integers: whether whole coordinates are integers.
        rare_properties: whether some properties have no column.
        with_exact: whether there may be what columns cannot hold.
    """

    members: Mapping[str, Column]
    properties: Mapping[str, Column]
    box: Sequence[str]
    box_integers: bool
    geometry_integers: bool
    rare_properties: bool

    @cached_property
    def schema(self) -> pa.Schema:
        """Return the schema without metadata; the column for what is exceptional is always there."""
        fields = [pa.field(name, column.arrow_type) for name, column in self.members.items()]
        fields.append(pa.field("bbox", pa.struct([pa.field(name, pa.float64()) for name in self.box])))
        fields.append(pa.field("geometry", pa.binary()))
        fields += [pa.field(name, column.arrow_type) for name, column in self.properties.items()]
        return pa.schema([*fields, pa.field(exact.COLUMN, pa.string())])


def plan_of(survey: Survey) -> Plan:
    """Return the plan that follows from a survey of at least one item."""
    members = {name: _member(survey, name) for name in ITEM_FIELDS}
    properties = column_of(survey.properties, survey.count, 1)
    ordered = dict(sorted(properties.fields.items(), key=lambda pair: (pair[0] != "datetime", pair[0])))
    return Plan(
        # Parquet cannot hold an object without fields; readers know that items without assets have none.
        members={name: column for name, column in members.items() if column.kind != "object" or column.fields},
        properties={name: _property(survey, name, column) for name, column in ordered.items() if name not in RESERVED},
        box=BBOX_FIELDS[max(survey.boxes, key=lambda size: (survey.boxes[size], -size), default=4)],
        box_integers="int" in survey.box_numbers.kinds and not survey.box_numbers.integral,
        geometry_integers=bool(survey.whole_is_int),
        rare_properties=properties.rare_fields or bool(RESERVED & survey.properties.fields.keys()),
    )


def _member(survey: Survey, name: str) -> Column:
    column = column_of(survey.members.fields.get(name, Shape()), survey.count, 1)
    text = Column("text")
    if name == "stac_extensions" and column.kind != "list":
        return Column("list", item=text)
    if name == "links":
        found = column.item.fields if column.kind == "list" and column.item and column.item.kind == "object" else {}
        item = replace(column.item, fields=found) if found and column.item else Column("object")
        fields = dict.fromkeys(_LINK_FIELDS, text) | dict(item.fields)
        return replace(column, kind="list", item=replace(item, fields=fields))
    if name == "assets" and column.kind == "object":
        return replace(column, fields={key: _asset(asset) for key, asset in column.fields.items()})
    if name == "assets":
        return Column("object")
    return column if column.kind in ("text", "list") else text


def _asset(column: Column) -> Column:
    """Return the column of an asset, with `proj:geometry` as a geometry."""
    inner = column.fields.get(PROJ_GEOMETRY)
    if inner is None or inner.kind != "object":
        return column
    return replace(column, fields={**column.fields, PROJ_GEOMETRY: _geometry(inner)})


def _property(survey: Survey, name: str, column: Column) -> Column:
    if name in TIME_FIELDS and survey.properties.fields[name].kinds <= {"text"}:
        return replace(column, kind="time", style=style_of(survey.times.get(name, Counter())))
    return _geometry(column) if name == PROJ_GEOMETRY and column.kind == "object" else column


def _geometry(column: Column) -> Column:
    number = column.fields.get("coordinates", Column("json"))
    while number.item is not None:
        number = number.item
    return Column(
        "geometry",
        empty_is_null=column.empty_is_null,
        nulls_differ=column.nulls_differ,
        whole_is_int=number.kind == "int" or number.whole_is_int,
    )
