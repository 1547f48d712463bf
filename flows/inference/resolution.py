"""How large pixels are on the ground: their length, and their area row by row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from terralab.extensions.raster import Grid


def pixel_areas(grid: Grid, row: int, rows: int) -> NDArray[np.float64]:
    """Return the area in m² of one pixel in each of `rows` rows from `row` on.

    In longitude and latitude it is the exact area on the ellipsoid; in other systems the area on the map.
    """
    crs = CRS.from_user_input(grid.crs)
    a, _, _, _, e, f = grid.transform
    if not crs.is_geographic:
        metres = crs.axis_info[0].unit_conversion_factor
        return np.full(rows, abs(a * e) * metres**2)
    to_radians = crs.axis_info[0].unit_conversion_factor
    edges = np.clip((f + e * np.arange(row, row + rows + 1)) * to_radians, -np.pi / 2, np.pi / 2)
    return np.abs(np.diff(_area_from_equator(crs, edges))) * abs(a) * to_radians


def pixel_metres(item: Mapping[str, Any]) -> float | None:
    """Return the length of a pixel's side in metres from an item's `proj:` fields, None where it has none.

    In longitude and latitude it is the side of a square as large as the pixel in the grid's middle row.
    """
    properties = item["properties"]
    if not properties.get("proj:transform") or not properties.get("proj:shape"):
        return None
    grid = Grid.of_properties(properties)
    return float(np.sqrt(pixel_areas(grid, grid.shape[0] // 2, 1)[0]))


def _area_from_equator(crs: CRS, latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area from the equator to a latitude, m² per radian of longitude (Snyder 1987, equation 3-12)."""
    assert crs.ellipsoid is not None
    major, minor = crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre
    sine = np.sin(latitude)
    squared = 1 - (minor / major) ** 2
    if squared == 0:
        return np.asarray(major**2 * sine)
    first = np.sqrt(squared)
    return np.asarray(minor**2 / 2 * (sine / (1 - squared * sine**2) + np.arctanh(first * sine) / first))
