"""Objects and whole-scene classes as GeoJSON, on the ground and in pixels."""

from collections.abc import Sequence
from typing import Any

import orjson
from pyproj import Transformer
from shapely.geometry import mapping

from terralab.datasets.onboarding.samples import Box
from terralab.extensions.item import COORDINATE_DIGITS, Footprint
from terralab.extensions.labels import CLASS_PROPERTY
from terralab.extensions.raster import Grid

PIXELS_PROPERTY = "bbox_pixels"
LEAST_SHARE = 0.25
"""Share of a box that must lie in a chip for the chip to have it."""

_DIGITS = 3


def boxes_in(boxes: Sequence[Box], row: int, column: int, height: int, width: int) -> list[Box]:
    """Return the boxes of a window, cut at its edges and in its own pixels.

    A box of which less than a quarter lies in the window is left to the neighbour.
    """
    found = []
    for box in boxes:
        left, top, right, bottom = box.pixels
        inside = (
            max(left - column, 0.0), max(top - row, 0.0),
            min(right - column, float(width)), min(bottom - row, float(height)),
        )  # fmt: skip
        share = max(inside[2] - inside[0], 0) * max(inside[3] - inside[1], 0) / ((right - left) * (bottom - top))
        if share >= LEAST_SHARE:
            found.append(Box(box.name, tuple(round(edge, _DIGITS) for edge in inside)))  # type: ignore[arg-type]
    return found


def boxes_geojson(boxes: Sequence[Box], grid: Grid) -> bytes:
    """Return boxes as GeoJSON: outlines in longitude and latitude, with class and pixels."""
    move = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform
    return _geojson([_feature(box, grid, move) for box in boxes])


def outline_geojson(footprint: Footprint, names: Sequence[str]) -> bytes:
    """Return the outline of a scene once for each of its classes."""
    outline = mapping(footprint.geometry)
    return _geojson(
        [{"type": "Feature", "geometry": outline, "properties": {CLASS_PROPERTY: name}} for name in names]
        or [{"type": "Feature", "geometry": outline, "properties": {CLASS_PROPERTY: None}}]
    )


def _feature(box: Box, grid: Grid, move: Any) -> dict[str, Any]:
    a, _, left, _, e, top = grid.transform
    x0, y0, x1, y1 = box.pixels
    corners = [(x0, y1), (x1, y1), (x1, y0), (x0, y0), (x0, y1)]  # counter-clockwise, as GeoJSON wants it
    longitudes, latitudes = move([left + a * x for x, _ in corners], [top + e * y for _, y in corners])
    ring = [
        [round(x, COORDINATE_DIGITS), round(y, COORDINATE_DIGITS)] for x, y in zip(longitudes, latitudes, strict=True)
    ]
    properties = {CLASS_PROPERTY: box.name, PIXELS_PROPERTY: list(box.pixels)}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def _geojson(features: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"type": "FeatureCollection", "features": features}, option=orjson.OPT_SORT_KEYS)
