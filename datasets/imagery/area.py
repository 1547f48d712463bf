"""Where imagery is wanted: a box, outlines or points, and the places that they make.

A place is one window that is read of every scene. Boxes of outlines and of points that overlap are one place, so that
no pixel is read for two.
"""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from shapely import box, get_parts, is_valid_reason, unary_union
from shapely.geometry import MultiPoint, mapping, shape
from shapely.geometry.base import BaseGeometry

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.extensions.ids import digest

Box = tuple[float, float, float, float]
_METRES_OF_A_DEGREE = 111_320.0
_LARGEST_FILE = 20 << 20
_LARGEST_AREA = 400_000  # bytes of JSON: Prefect takes 512 kB of parameters
_CRS84 = ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326", "OGC:CRS84")
_LONGITUDES, _LATITUDES = ("lon", "longitude", "x"), ("lat", "latitude", "y")
_DIGITS = 7


@dataclass(frozen=True)
class Place:
    """One window on the ground.

    Attributes:
        box: west, south, east, north in degrees.
        geometry: what was asked for in it, in longitude and latitude.
    """

    box: Box
    geometry: BaseGeometry

    @property
    def name(self) -> str:
        """Return a short name that follows from the box."""
        return digest([round(number, _DIGITS) for number in self.box])


def area_of_box(numbers: Sequence[float]) -> dict[str, Any]:
    """Return west, south, east, north as a GeoJSON geometry; west greater than east crosses 180°.

    Raises:
        InvalidInput: it is no box.
    """
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise InvalidInput("a box is four numbers: west, south, east, north in degrees")
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90) or west == east:
        raise InvalidInput(f"{west} {south} {east} {north} is no box: give west, south, east, north in degrees")
    if west < east:
        return _plain(box(west, south, east, north))
    parts = [box(*part) for part in ((west, south, 180, north), (-180, south, east, north)) if part[0] < part[2]]
    return _plain(unary_union(parts))


def area_of_file(path: Path) -> dict[str, Any]:
    """Return the geometry in a GeoJSON file, or of the points in a CSV file with the columns lon and lat.

    Raises:
        InvalidInput: the file cannot be read, or holds no area.
        TooLarge: it is too large to be handed to a run.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise TooLarge(f"{path.name}: more than {_LARGEST_FILE >> 20} MB; simplify the outlines")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as text: {error}") from error
    area = _points_of_csv(path.name, text) if path.suffix.lower() == ".csv" else _of_geojson(path.name, text)
    check_area(area, path.name)
    return area


def check_area(area: dict[str, Any], name: str = "area") -> BaseGeometry:
    """Return a GeoJSON geometry as shapely's, checked.

    Raises:
        InvalidInput: it is no area or points in longitude and latitude.
        TooLarge: it has too many corners.
    """
    if len(json.dumps(area)) > _LARGEST_AREA:
        raise TooLarge(f"{name}: more than {_LARGEST_AREA // 1000} kB of coordinates; simplify it or divide it")
    try:
        geometry = shape(area)
    except Exception as error:  # shapely raises whatever it meets in a wrong document
        raise InvalidInput(f"{name}: not a GeoJSON geometry: {str(error)[:120]}") from error
    if geometry.geom_type not in ("Polygon", "MultiPolygon", "Point", "MultiPoint") or geometry.is_empty:
        raise InvalidInput(f"{name}: {geometry.geom_type} is no area; give polygons or points, all of one sort")
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput(f"{name}: reaches {geometry.bounds}; give longitude and latitude in degrees, WGS 84")
    if not geometry.is_valid:
        raise InvalidInput(f"{name}: the outline is not valid ({is_valid_reason(geometry)}); repair it")
    return geometry


def places_of(area: dict[str, Any], buffer: float, most: int) -> list[Place]:
    """Return the places of an area, from west to east.

    Args:
        area: GeoJSON geometry in longitude and latitude.
        buffer: half the side of a point's box, and what is added around outlines, metres.
        most: places that are allowed.

    Raises:
        InvalidInput: the area is wrong, or points have no buffer.
        TooLarge: there are more places than allowed.
    """
    geometry = check_area(area)
    parts = list(get_parts(geometry))
    if buffer <= 0 and any(part.geom_type == "Point" for part in parts):
        raise InvalidInput("points need a buffer: half the side of the box around each, metres")
    boxes = _merged([_boxed(part, buffer) for part in parts])
    if len(boxes) > most:
        raise TooLarge(f"{len(boxes)} places, {most} are allowed (TERRALAB_IMAGERY_MAX_PLACES); divide the area")
    found = []
    for outline in boxes:
        inside = [part for part in parts if outline.intersects(part)]
        asked = outline if inside[0].geom_type == "Point" or buffer > 0 else unary_union(inside)
        found.append(Place(outline.bounds, asked))
    return sorted(found, key=lambda place: place.box)


def _boxed(part: BaseGeometry, buffer: float) -> BaseGeometry:
    west, south, east, north = part.bounds
    tall = buffer / _METRES_OF_A_DEGREE
    wide = tall / max(math.cos(math.radians(min(89.0, max(abs(south), abs(north))))), 1e-6)
    return box(max(-180, west - wide), max(-90, south - tall), min(180, east + wide), min(90, north + tall))


def _merged(boxes: list[BaseGeometry]) -> list[BaseGeometry]:
    """Return boxes that do not overlap and cover the given ones."""
    while True:
        joined = [box(*part.bounds) for part in get_parts(unary_union(boxes))]
        if len(joined) == len(boxes):
            return joined
        boxes = joined


def _of_geojson(name: str, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{name}: not JSON: {str(error)[:120]}; give GeoJSON, or a CSV with lon and lat") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{name}: not a GeoJSON object")
    crs = (content.get("crs") or {}).get("properties", {}).get("name") if isinstance(content.get("crs"), dict) else None
    if crs is not None and crs not in _CRS84:
        raise InvalidInput(f"{name}: coordinates in {crs}; reproject them to longitude and latitude (EPSG:4326)")
    geometries = list(_geometries(content))
    if not geometries:
        raise InvalidInput(f"{name}: no geometry in it")
    checked = [check_area(geometry, f"{name}, geometry {number}") for number, geometry in enumerate(geometries)]
    if len({part.geom_type.removeprefix("Multi") for part in checked}) > 1:
        raise InvalidInput(f"{name}: points and polygons together; give them in two files")
    parts = [part for geometry in checked for part in get_parts(geometry)]
    return _plain(MultiPoint(parts) if parts[0].geom_type == "Point" else unary_union(parts))


def _geometries(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    features = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    for feature in features if isinstance(features, list) else ():
        geometry = (
            feature.get("geometry") if isinstance(feature, dict) and feature.get("type") == "Feature" else feature
        )
        if isinstance(geometry, dict) and geometry.get("type") == "GeometryCollection":
            yield from geometry.get("geometries", [])
        elif isinstance(geometry, dict):
            yield geometry


def _points_of_csv(name: str, text: str) -> dict[str, Any]:
    rows = csv.DictReader(StringIO(text))
    columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
    chosen = [next((columns[name] for name in names if name in columns), None) for names in (_LONGITUDES, _LATITUDES)]
    if None in chosen:
        raise InvalidInput(f"{name}: no columns lon and lat; it has {', '.join(columns) or 'none'}")
    points = []
    for number, row in enumerate(rows, start=2):
        try:
            points.append((float(row[chosen[0]]), float(row[chosen[1]])))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{name}, line {number}: lon and lat are not numbers") from error
        if not all(math.isfinite(number) for number in points[-1]):
            raise InvalidInput(f"{name}, line {number}: lon and lat are not numbers")
    if not points:
        raise InvalidInput(f"{name}: no points in it")
    return _plain(MultiPoint(points))


def _plain(geometry: BaseGeometry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(mapping(geometry)))
    return found
