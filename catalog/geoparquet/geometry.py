"""GeoJSON geometries as WKB, and back with the same numbers.

Geometries come back from WKB as what they were but for numbers written `1` rather than `1.0`, and members that GeoJSON
does not know; a geometry that would come back otherwise is written down beside its column.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import shapely

from terralab.catalog.geoparquet.exact import Exact, Place

_WHOLE = re.compile(rb"\d\.0[,\]]")


def geometry_array(values: list[Any], whole_is_int: bool, place: Place, exact: Exact) -> pa.Array:
    """Return the array of geometries as WKB.

    Args:
        values: GeoJSON geometries, None where there is none.
        whole_is_int: whether whole coordinates come back as integers.
        place: of the column in the items.
        exact: takes the geometries that WKB cannot hold as they are.
    """
    texts = [None if value is None else orjson.dumps(value) for value in values]
    geometries = _read(texts)
    for index, (text, back) in enumerate(zip(texts, shapely.to_geojson(geometries), strict=True)):
        if text is not None and (back is None or not _same(values[index], text, back.encode(), whole_is_int)):
            exact.note(place, index, values[index])
    return pa.array(shapely.to_wkb(geometries, flavor="iso"), pa.binary())


def geometries_of(array: pa.Array, whole_is_int: bool) -> list[dict[str, Any] | None]:
    """Return the GeoJSON geometries of an array of WKB."""
    geometries = shapely.from_wkb(array.to_numpy(zero_copy_only=False))
    texts = shapely.to_geojson(geometries)
    found = [None if text is None else orjson.loads(text) for text in texts]
    return [_with_integers(one) for one in found] if whole_is_int else found


def writes_integers(values: Sequence[Any]) -> bool:
    """Say whether most geometries with whole coordinates write them as integers."""
    integers = floats = 0
    for value in values:
        if value is not None:
            kind = _first_whole(value)
            integers, floats = integers + (kind is int), floats + (kind is float)
    return integers > floats


def type_name(geometry: dict[str, Any]) -> str:
    """Return the name of a geometry's type as GeoParquet's metadata have it, such as `Polygon` or `Point Z`."""
    return str(geometry["type"]) + (" Z" if _depth(geometry) == 3 else "")


def _read(texts: list[bytes | None]) -> Any:
    try:
        return shapely.from_geojson(texts)
    except shapely.errors.GEOSException:
        return shapely.from_geojson(texts, on_invalid="ignore")


def _same(value: Any, text: bytes, back: bytes, whole_is_int: bool) -> bool:
    if text == back and not (whole_is_int and _WHOLE.search(text)):
        return True
    found = orjson.loads(back)
    return _canonical(_with_integers(found) if whole_is_int else found) == _canonical(value)


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _with_integers(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_with_integers(part) for part in value]
    if isinstance(value, dict):
        return {key: _with_integers(part) for key, part in value.items()}
    return value


def _first_whole(value: Any) -> type | None:
    """Return the type of the first whole number in a geometry."""
    waiting = [value.get("coordinates") or value.get("geometries")]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(reversed(part))
        elif isinstance(part, dict):
            waiting.append(part.get("coordinates") or part.get("geometries"))
        elif isinstance(part, int) or (isinstance(part, float) and part.is_integer()):
            return type(part)
    return None


def _depth(geometry: dict[str, Any]) -> int:
    """Return how many numbers its positions have."""
    part: Any = geometry.get("coordinates") or geometry.get("geometries")
    while type(part) is list and part and type(part[0]) is list:
        part = part[0]
    if type(part) is list and part and type(part[0]) is dict:
        return _depth(part[0])
    return len(part) if type(part) is list else 0
