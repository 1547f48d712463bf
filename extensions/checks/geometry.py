"""Footprints: positions on the globe, valid polygons, 180 degrees, and the bbox that belongs to them.

Shapely looks only at polygons that the cheap test does not know to be valid: most are one ring around a middle.
"""

from itertools import pairwise
from math import isfinite
from typing import Any

from terralab.extensions.checks.bbox import agrees_with, bbox_problems
from terralab.extensions.problem import Problem, broken, shown
from terralab.extensions.rules import MAX_VERTICES

Path = tuple[str | int, ...]
# How many lists lie around a position.
_DEPTHS = {
    "Point": 0,
    "MultiPoint": 1,
    "LineString": 1,
    "MultiLineString": 2,
    "Polygon": 2,
    "MultiPolygon": 3,
}
_RING_POSITIONS = 4
_HALF_TURN = 180.0
_FULL_TURN = 360.0
# Square degrees; twice the area of the triangle of an edge and the middle, below which rounding may hide a fault.
_FLAT = 1e-15
_LISTS = (list, tuple)
_DIMENSIONS = (2, 3)
_NUMBERS = (float, int)  # and not bool, which is an int


def geometry_problems(item: dict[str, Any]) -> list[Problem]:
    """Check `geometry` and `bbox` of an item."""
    geometry = item.get("geometry")
    if geometry is None:
        return [broken("geometry_missing", ["geometry"], "the item has no geometry")]
    reader = _Reader()
    reader.read(geometry, ("geometry",))
    bbox = item.get("bbox")
    if bbox is None:
        reader.found.append(broken("bbox_missing", ["bbox"], "the item has no bbox"))
        return reader.found
    faults = bbox_problems(bbox, ("bbox",))
    if not faults and not reader.found and reader.longitudes:
        faults = agrees_with(bbox, reader.longitudes, reader.latitudes)
    return [*reader.found, *faults]


class _Reader:
    """Reads one geometry, collects its positions and what is wrong with it."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.longitudes: list[float] = []
        self.latitudes: list[float] = []

    def read(self, geometry: Any, path: Path) -> None:
        if isinstance(geometry, dict) and geometry.get("type") == "GeometryCollection":
            self._read_collection(geometry, path)
            return
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        depth = _DEPTHS.get(kind) if isinstance(kind, str) else None
        if kind is None or depth is None:
            self.found.append(broken("geometry_form", path, f"{shown(kind)} is not a type of geometry"))
            return
        here = (*path, "coordinates")
        before = len(self.found)
        coordinates = geometry.get("coordinates")
        if not coordinates:
            self.found.append(broken("geometry_form", here, "the geometry has no positions"))
            return
        self._descend(coordinates, here, depth, kind)
        if len(self.found) == before and kind in ("Polygon", "MultiPolygon"):
            self._check_polygons(geometry, here)

    def _read_collection(self, geometry: dict[str, Any], path: Path) -> None:
        parts = geometry.get("geometries")
        if not isinstance(parts, list) or not parts:
            self.found.append(broken("geometry_form", (*path, "geometries"), "there is no list of geometries"))
            return
        for number, part in enumerate(parts):
            self.read(part, (*path, "geometries", number))

    def _descend(self, value: Any, path: Path, depth: int, kind: str) -> None:
        if self.found:
            return  # one fault of a geometry is enough: the next would follow from it
        if depth == 0:
            self._positions([value], path, kind)
        elif not isinstance(value, list | tuple) or not value:
            self.found.append(broken("geometry_form", path, f"{shown(value)} is not the list that a {kind} has here"))
        elif depth == 1:
            self._positions(value, path, kind)
        else:
            for number, part in enumerate(value):
                self._descend(part, (*path, number), depth - 1, kind)

    def _positions(self, positions: Any, path: Path, kind: str) -> None:
        longitudes, latitudes = self.longitudes, self.latitudes
        if len(longitudes) + len(positions) > MAX_VERTICES:
            self.found.append(
                broken("too_many_vertices", ["geometry"], f"the geometry has more than {MAX_VERTICES:,} positions")
            )
            return
        before = len(longitudes)
        for number, position in enumerate(positions):
            if not _is_position(position):
                self.found.append(_position_problem((*path, number) if kind != "Point" else path, position))
                return
            longitudes.append(position[0])
            latitudes.append(position[1])
        if kind != "MultiPoint":
            self._check_edges(longitudes[before:], path)
        if kind in ("Polygon", "MultiPolygon") and not self.found:
            self._check_ring(positions, path)

    def _check_edges(self, longitudes: list[float], path: Path) -> None:
        if max(longitudes) - min(longitudes) <= _HALF_TURN:
            return
        for number, (one, other) in enumerate(pairwise(longitudes)):
            # An edge of a full turn is the side of a box around the whole world.
            if _HALF_TURN < abs(one - other) < _FULL_TURN:
                message = f"the edge from longitude {one} to {other} is longer than half the way around the world"
                self.found.append(broken("crosses_180", (*path, number), message))
                return

    def _check_ring(self, ring: Any, path: Path) -> None:
        if len(ring) < _RING_POSITIONS:
            self.found.append(broken("ring_short", path, f"the ring has {len(ring)} positions"))
        elif list(ring[0][:2]) != list(ring[-1][:2]):
            self.found.append(broken("ring_open", path, f"the ring starts at {shown(ring[0])} and ends at {ring[-1]}"))

    def _check_polygons(self, geometry: dict[str, Any], path: Path) -> None:
        coordinates = geometry["coordinates"]
        if _is_star(coordinates) if geometry["type"] == "Polygon" else _are_apart(coordinates):
            return
        from shapely import is_valid_reason
        from shapely.geometry import shape

        flat = {"type": geometry["type"], "coordinates": _without_heights(coordinates)}
        reason = str(is_valid_reason(shape(flat)))
        if reason != "Valid Geometry":
            self.found.append(broken("polygon_invalid", path, f"the polygon is not valid: {reason}"))


def _is_position(position: Any) -> bool:
    if position.__class__ not in _LISTS or len(position) not in _DIMENSIONS:
        return False
    longitude, latitude = position[0], position[1]
    if longitude.__class__ not in _NUMBERS or latitude.__class__ not in _NUMBERS:
        return False
    return -180 <= longitude <= 180 and -90 <= latitude <= 90 and (len(position) == 2 or _is_number(position[2]))


def _without_heights(coordinates: Any) -> list[Any]:
    """Leave out heights: shapely reads no ring in which only some positions have one."""
    if coordinates[0].__class__ in _NUMBERS:
        return list(coordinates[:2])
    return [_without_heights(part) for part in coordinates]


def _position_problem(path: Path, position: Any) -> Problem:
    if position.__class__ not in _LISTS or len(position) not in _DIMENSIONS or not all(map(_is_number, position)):
        return broken("position_form", path, f"{shown(position)} is not a position")
    return broken("position_out_of_range", path, f"{shown(position)} is not a longitude and a latitude in degrees")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_star(rings: Any) -> bool:
    """Say whether a polygon is one ring that can be seen whole from its middle: then it cannot cross itself."""
    if len(rings) != 1:
        return False
    ring = rings[0]
    count = len(ring) - 1
    x = sum(position[0] for position in ring[1:]) / count
    y = sum(position[1] for position in ring[1:]) / count
    ax, ay = ring[0][0] - x, ring[0][1] - y
    turn = 0.0
    half_turns = 0
    for position in ring[1:]:
        bx, by = position[0] - x, position[1] - y
        cross = ax * by - ay * bx
        if abs(cross) < _FLAT or cross * turn < 0:
            return False  # the edge points at the middle, or turns back
        turn = cross
        half_turns += (ay < 0) != (by < 0)
        ax, ay = bx, by
    return half_turns == 2  # once around


def _are_apart(polygons: Any) -> bool:
    """Say whether there are two polygons, each sound by itself, one west of the other: the halves at 180°."""
    if len(polygons) != 2 or not all(map(_is_star, polygons)):
        return False
    (west, east), (other_west, other_east) = (_reach(polygon[0]) for polygon in polygons)
    return east < other_west or other_east < west


def _reach(ring: Any) -> tuple[float, float]:
    longitudes = [position[0] for position in ring]
    return min(longitudes), max(longitudes)
