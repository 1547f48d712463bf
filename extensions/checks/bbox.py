"""Boxes: four or six numbers on the globe, and the box that a geometry has."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from terralab.extensions.problem import Problem, broken, shown
from terralab.extensions.rules import BBOX_TOLERANCE

Path = tuple[str | int, ...]
_FLAT, _WITH_HEIGHTS = 4, 6
_HALF_TURN = 180


def bbox_problems(bbox: Any, path: Path) -> list[Problem]:
    """Check one box by itself; west may be greater than east, where it crosses 180°."""
    if not isinstance(bbox, list | tuple) or len(bbox) not in (_FLAT, _WITH_HEIGHTS) or not all(map(_is_number, bbox)):
        return [broken("bbox_form", path, f"{shown(bbox)} is not a box of four or six numbers")]
    west, south, east, north = _sides(bbox)
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        return [broken("bbox_out_of_range", path, f"{shown(list(bbox))} does not lie on the globe")]
    if south > north:
        return [broken("bbox_upside_down", path, f"the south, {south}, is above the north, {north}")]
    return []


def agrees_with(bbox: Sequence[float], longitudes: Sequence[float], latitudes: Sequence[float]) -> list[Problem]:
    """Compare a sound `bbox` with the positions of its geometry."""
    west, south, east, north = _sides(bbox)
    least, most = min(longitudes), max(longitudes)
    if west > east:
        least, most = _sides_across_180(west, east, longitudes)
    expected = [least, min(latitudes), most, max(latitudes)]
    pairs = zip((west, south, east, north), expected, strict=True)
    if all(abs(given - found) <= BBOX_TOLERANCE for given, found in pairs):
        return []
    message = f"the bbox is {[west, south, east, north]}, that of the geometry is {expected}"
    return [broken("bbox_differs_from_geometry", ["bbox"], message, f"write {expected}")]


def _sides_across_180(west: float, east: float, longitudes: Sequence[float]) -> tuple[float, float]:
    """Return west and east of a geometry that is divided at 180°, or its plain sides where it is not."""
    right = [longitude for longitude in longitudes if longitude >= west - BBOX_TOLERANCE]
    left = [longitude for longitude in longitudes if longitude <= east + BBOX_TOLERANCE]
    divided = west - east > _HALF_TURN or (max(right, default=0) >= _HALF_TURN and min(left, default=0) <= -_HALF_TURN)
    if divided and right and left and len(right) + len(left) == len(longitudes):
        return min(right), max(left)
    return min(longitudes), max(longitudes)


def _sides(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    half = len(bbox) // 2
    return bbox[0], bbox[1], bbox[half], bbox[half + 1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
