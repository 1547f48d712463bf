"""CQL2 JSON to SQL over the read model, as far as the answer is pgstac's own; anything else is not compiled.

Only properties with a typed column are compiled, and only with literals of the column's type: there pgstac's `to_text`
and `to_float` and our columns mean the same. Every value becomes a parameter of the statement.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from geojson_pydantic.geometries import parse_geometry_obj

from terralab.catalog.read_model import FIELDS, NUMBER, TEXT
from terralab.catalog.times import parse_instant
from terralab.extensions.lab import METRICS_PROP

_COLUMNS = {"id": TEXT, "collection": TEXT}
_TIMES = {"datetime": "datetime", "start_datetime": "datetime", "end_datetime": "end_datetime"}
_TIME = "time"
_METRIC = f"{METRICS_PROP}."


class NotCompiled(Exception):
    """The read model cannot answer this exactly as pgstac would; pgstac answers it."""


class Parameters:
    """The values of a statement, in order; `add` returns the place that stands for one."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any, cast: str = "") -> str:
        """Add a value and return its place, such as `$3::float8`."""
        self.values.append(value)
        return f"${len(self.values)}{cast}"


def compile_filter(expression: Any, parameters: Parameters) -> str:
    """Return the SQL condition of a CQL2 JSON expression.

    Raises:
        NotCompiled: it holds something that is not compiled.
    """
    if not isinstance(expression, Mapping):
        raise NotCompiled("not an operator")
    operator, arguments = expression.get("op"), expression.get("args")
    if not isinstance(operator, str) or not isinstance(arguments, list):
        raise NotCompiled("not an operator")
    compiled = _OPERATORS.get(operator.lower())
    if compiled is None:
        raise NotCompiled(operator)
    return compiled(operator.lower(), arguments, parameters)


def property_sql(reference: Any, parameters: Parameters) -> tuple[str, str]:
    """Return the column that a property reference means, and the type of its values.

    Raises:
        NotCompiled: it has no column.
    """
    name = reference.get("property") if isinstance(reference, Mapping) and len(reference) == 1 else None
    if not isinstance(name, str):
        raise NotCompiled("not a property")
    name = name.removeprefix("properties.")
    if name in _COLUMNS:
        return name, TEXT
    if name in _TIMES:
        return _TIMES[name], _TIME
    if name in FIELDS:
        return FIELDS[name]
    if name.startswith(_METRIC) and "." not in name.removeprefix(_METRIC):
        return f"(metrics->>{parameters.add(name.removeprefix(_METRIC), '::text')})::float8", NUMBER
    raise NotCompiled(name)


def intersects(geometry: Any, parameters: Parameters) -> str:
    """Return the condition that an item's geometry intersects a GeoJSON geometry.

    Raises:
        NotCompiled: it is none.
    """
    try:
        parse_geometry_obj(geometry)  # PostGIS would take an open ring, and text for a number
    except (ValueError, TypeError) as error:
        raise NotCompiled("not a geometry") from error
    return f"ST_Intersects(geometry, ST_GeomFromGeoJSON({parameters.add(orjson.dumps(geometry).decode(), '::text')}))"


def _junction(name: str, arguments: list[Any], parameters: Parameters) -> str:
    if len(arguments) < 2:
        raise NotCompiled(name)
    return "(" + f" {name.upper()} ".join(compile_filter(part, parameters) for part in arguments) + ")"


def _negation(name: str, arguments: list[Any], parameters: Parameters) -> str:
    (argument,) = _exactly(1, arguments)
    return f"NOT ({compile_filter(argument, parameters)})"


def _is_null(name: str, arguments: list[Any], parameters: Parameters) -> str:
    (argument,) = _exactly(1, arguments)
    return f"{property_sql(argument, parameters)[0]} IS NULL"


def _comparison(sign: str, arguments: list[Any], parameters: Parameters) -> str:
    left, right = _exactly(2, arguments)
    if isinstance(right, Mapping) and "property" in right:
        # The literal first, as written: `5 < gsd`.
        sql, kind = property_sql(right, parameters)
        return f"{_literal(left, kind, parameters)} {sign} {sql}"
    sql, kind = property_sql(left, parameters)
    return f"{sql} {sign} {_literal(right, kind, parameters)}"


def _between(name: str, arguments: list[Any], parameters: Parameters) -> str:
    value, *bounds = _exactly(3, arguments)
    sql, kind = property_sql(value, parameters)
    low, high = (_literal(bound, kind, parameters) for bound in bounds)
    return f"{sql} BETWEEN {low} AND {high}"


def _in_list(name: str, arguments: list[Any], parameters: Parameters) -> str:
    left, right = _exactly(2, arguments)
    sql, kind = property_sql(left, parameters)
    if not isinstance(right, list) or not right:
        raise NotCompiled(name)
    if kind == TEXT and all(_is_text(value) for value in right):
        return f"{sql} = ANY({parameters.add(right, '::text[]')})"
    if kind == NUMBER and all(_is_number(value) for value in right):
        return f"{sql} = ANY({parameters.add([float(value) for value in right], '::float8[]')})"
    raise NotCompiled(name)


def _like(name: str, arguments: list[Any], parameters: Parameters) -> str:
    left, pattern = _exactly(2, arguments)
    sql, kind = property_sql(left, parameters)
    if kind != TEXT:
        raise NotCompiled(name)
    return f"{sql} LIKE {_literal(pattern, TEXT, parameters)}"


def _s_intersects(name: str, arguments: list[Any], parameters: Parameters) -> str:
    left, geometry = _exactly(2, arguments)
    if left != {"property": "geometry"}:
        raise NotCompiled(name)
    return intersects(geometry, parameters)


def _exactly(count: int, arguments: list[Any]) -> list[Any]:
    if len(arguments) != count:
        raise NotCompiled("arguments")
    return arguments


def _literal(value: Any, kind: str, parameters: Parameters) -> str:
    if kind == TEXT and _is_text(value):
        return parameters.add(value, "::text")
    if kind == NUMBER and _is_number(value):
        return parameters.add(float(value), "::float8")
    if kind == _TIME:
        text = value.get("timestamp") if isinstance(value, Mapping) else value
        moment = parse_instant(text) if isinstance(text, str) else None
        if moment is not None:
            return parameters.add(moment, "::timestamptz")
    raise NotCompiled("a literal of another type than the property")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


_OPERATORS: dict[str, Callable[[str, list[Any], Parameters], str]] = {
    "and": _junction,
    "or": _junction,
    "not": _negation,
    "isnull": _is_null,
    "between": _between,
    "in": _in_list,
    "like": _like,
    "s_intersects": _s_intersects,
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), _comparison),
}
