"""Footprints across 180 degrees: divided there, they are found where they are, not on the other side of the world."""

import json
from itertools import pairwise
from typing import Any

import antimeridian
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from terralab.extensions.item import COORDINATE_DIGITS

_POLYGONS = ("Polygon", "MultiPolygon")
_LINES = ("LineString", "MultiLineString")
_EDGE = 180.0


def split_at_180(item: dict[str, Any]) -> dict[str, Any]:
    """Return `item` with its lines and polygons divided at 180°, and the `bbox` of the result.

    An edge of more than 180 degrees of longitude is read as the short way across 180°, and so are longitudes beyond it.
    In the `bbox` of what crosses, west is greater than east (RFC 7946). What does not cross comes back as it is, and so
    do points, collections of geometries and an item without a geometry.

    Raises:
        ValueError: the geometry is not GeoJSON.
    """
    geometry = item.get("geometry")
    if not isinstance(geometry, dict) or geometry.get("type") not in (*_POLYGONS, *_LINES):
        return item
    try:
        drawn = shape(geometry)
        if not _crosses(drawn):
            return item
        divided = shape(antimeridian.fix_shape(geometry, great_circle=False, fix_winding=True))
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"the geometry is not GeoJSON: {error}") from error
    sides = antimeridian.bbox(divided) if divided.geom_type in _POLYGONS else _bbox_of_lines(divided)
    bbox = [round(float(side), COORDINATE_DIGITS) for side in sides]
    return {**item, "geometry": json.loads(json.dumps(mapping(divided))), "bbox": bbox}


def _crosses(drawn: BaseGeometry) -> bool:
    for part in getattr(drawn, "geoms", [drawn]):
        lines = [part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part]
        for line in lines:
            longitudes = [position[0] for position in line.coords]
            if min(longitudes) < -_EDGE or max(longitudes) > _EDGE:
                return True
            if any(_EDGE < abs(one - other) < 2 * _EDGE for one, other in pairwise(longitudes)):
                return True
    return False


def _bbox_of_lines(lines: BaseGeometry) -> tuple[float, float, float, float]:
    west, south, east, north = lines.bounds
    parts = [part.bounds for part in getattr(lines, "geoms", [lines])]
    right = [bounds for bounds in parts if bounds[2] == _EDGE]
    left = [bounds for bounds in parts if bounds[0] == -_EDGE]
    if right and left and not any(bounds in left for bounds in right):
        east = max(bounds[2] for bounds in parts if bounds[0] < 0)
        west = min(bounds[0] for bounds in parts if bounds[0] >= 0)
    return west, south, east, north
