"""Distances on the ground that know no seams: no zones, no 180° meridian, no poles.

Points are geocentric coordinates of the WGS 84 ellipsoid in metres. There the straight line between two points is never
longer than the way on the ground, and outlines of neighbours can be compared whatever coordinate systems they had.
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer

Points = NDArray[np.float64]

_SEMI_MAJOR = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_SQUARED_ECCENTRICITY = _FLATTENING * (2 - _FLATTENING)
_GEOD = Geod(ellps="WGS84")


def to_globe(lon: Points, lat: Points) -> Points:
    """Return geocentric coordinates (…, 3) of points on the ground in degrees."""
    east, north = np.radians(lon), np.radians(lat)
    normal = _SEMI_MAJOR / np.sqrt(1 - _SQUARED_ECCENTRICITY * np.sin(north) ** 2)
    return np.stack(
        [
            normal * np.cos(north) * np.cos(east),
            normal * np.cos(north) * np.sin(east),
            normal * (1 - _SQUARED_ECCENTRICITY) * np.sin(north),
        ],
        axis=-1,
    )


def to_degrees(points: Points) -> tuple[Points, Points]:
    """Return longitude and latitude of the ground below or above geocentric points (…, 3)."""
    back = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)
    lon, lat, _ = back.transform(points[..., 0], points[..., 1], points[..., 2])
    return np.asarray(lon), np.asarray(lat)


def on_the_ground(one: Points, other: Points) -> Points:
    """Return the geodesic distance in metres between geocentric points (n, 3)."""
    (lon, lat), (far_lon, far_lat) = to_degrees(one), to_degrees(other)
    return np.asarray(_GEOD.inv(lon, lat, far_lon, far_lat)[2])


def nearest_points(one: Points, other: Points) -> tuple[Points, Points, Points]:
    """Return the least straight distance of outlines (n, p, 3) and (n, q, 3), and the points between which it lies.

    Outlines that cross each other have no such point; see `intersections`.
    """
    distance, corner, foot = _corner_to_side(one, other)
    back, far_corner, far_foot = _corner_to_side(other, one)
    nearer = back < distance
    start = np.where(nearer[:, None], far_foot, corner)
    end = np.where(nearer[:, None], far_corner, foot)
    return np.minimum(distance, back), start, end


def intersections(one: Points, other: Points) -> tuple[Points, NDArray[np.bool_], Points]:
    """Return what pairs of near outlines (n, p, 3) share: area in m², whether they meet, and the smaller one's area.

    Each pair is laid flat on the tangent plane between its middles, where areas of neighbours are true.
    """
    middle = (one.mean(axis=1) + other.mean(axis=1)) / 2
    up = middle / np.linalg.norm(middle, axis=1, keepdims=True)
    # Any direction that is not up serves; the axis that is least along it is always one.
    axis = np.zeros_like(up)
    axis[np.arange(len(up)), np.abs(up).argmin(axis=1)] = 1
    right = np.cross(axis, up)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    plane = np.stack([right, np.cross(up, right)], axis=2)
    flat = [shapely.polygons((outline - middle[:, None]) @ plane) for outline in (one, other)]
    least = np.minimum(shapely.area(flat[0]), shapely.area(flat[1]))
    return shapely.area(shapely.intersection(*flat)), shapely.intersects(*flat), least


def _corner_to_side(corners: Points, outline: Points) -> tuple[Points, Points, Points]:
    """Return the least distance from the corners of one outline to the sides of another, that corner and its foot."""
    sides = np.roll(outline, -1, axis=1) - outline
    away = corners[:, :, None] - outline[:, None]
    lengths = np.maximum(np.einsum("nqi,nqi->nq", sides, sides), 1e-12)
    along = np.clip(np.einsum("npqi,nqi->npq", away, sides) / lengths[:, None], 0, 1)
    away -= along[..., None] * sides[:, None]
    squared = np.einsum("npqi,npqi->npq", away, away)
    best = squared.reshape(len(squared), -1).argmin(axis=1)
    rows, (corner, side) = np.arange(len(squared)), np.unravel_index(best, squared.shape[1:])
    foot = outline[rows, side] + along[rows, corner, side][:, None] * sides[rows, side]
    return np.sqrt(squared[rows, corner, side]), corners[rows, corner], foot
