"""Which coordinate system a place on the globe is cut in: its UTM zone, or the polar one beyond 84° N and 80° S.

The zones are those of the military grid, with its exceptions in Norway and Svalbard, because Sentinel-2 and HLS deliver
their tiles in them.
"""

import itertools
import math
from functools import lru_cache

from shapely import Polygon, box

UTM_NORTH_END, UTM_SOUTH_END = 84.0, -80.0
_BANDS = (UTM_SOUTH_END, 0.0, 56.0, 64.0, 72.0, UTM_NORTH_END)
_POLAR_NORTH, _POLAR_SOUTH = "EPSG:5041", "EPSG:5042"  # WGS 84 / UPS with axes east and north, like UTM


def native_crs(longitude: float, latitude: float) -> str:
    """Return the code of the coordinate system of a place.

    Args:
        longitude: degrees, any number; 180 is -180.
        latitude: degrees, -90 to 90.
    """
    if not -90 <= latitude <= 90 or not math.isfinite(longitude):
        raise ValueError(f"{longitude}, {latitude} is no longitude and latitude")
    if latitude >= UTM_NORTH_END:
        return _POLAR_NORTH
    if latitude < UTM_SOUTH_END:
        return _POLAR_SOUTH
    zone = utm_zone(longitude, latitude)
    return f"EPSG:{32600 + zone if latitude >= 0 else 32700 + zone}"


def utm_zone(longitude: float, latitude: float) -> int:
    """Return the number of the UTM zone, 1 to 60."""
    wrapped = wrapped_longitude(longitude)
    if 56 <= latitude < 64 and 3 <= wrapped < 12:
        return 32
    if 72 <= latitude < UTM_NORTH_END and 0 <= wrapped < 42:
        return next(zone for end, zone in ((9, 31), (21, 33), (33, 35), (42, 37)) if wrapped < end)
    return math.floor((wrapped + 180) / 6) + 1


def wrapped_longitude(longitude: float) -> float:
    """Return the longitude from -180 up to, but without, 180."""
    if -180 <= longitude < 180:  # as it is: the remainder below would round
        return longitude
    wrapped = math.fmod(longitude + 180, 360)
    return (wrapped + 360 if wrapped < 0 else wrapped) - 180


def short_name(crs: str) -> str:
    """Return a part of an id that names a coordinate system: `32n`, `33s`, `ups-n`, or the code's digits.

    Raises:
        ValueError: the system has no code.
    """
    if crs in (_POLAR_NORTH, _POLAR_SOUTH):
        return "upsn" if crs == _POLAR_NORTH else "upss"
    code = crs.removeprefix("EPSG:")
    if not code.isdigit():
        raise ValueError("the coordinate system has no EPSG code; give one that has")
    number = int(code)
    if 32601 <= number <= 32660:
        return f"{number - 32600:02d}n"
    if 32701 <= number <= 32760:
        return f"{number - 32700:02d}s"
    return f"e{number}"


@lru_cache(maxsize=1)
def zone_areas() -> tuple[tuple[str, Polygon], ...]:
    """Return the coordinate systems of the globe, each with a box of degrees where it is native."""
    areas = [(_POLAR_NORTH, box(-180, UTM_NORTH_END, 180, 90)), (_POLAR_SOUTH, box(-180, -90, 180, UTM_SOUTH_END))]
    for bottom, top in itertools.pairwise(_BANDS):
        middle = (bottom + top) / 2
        for zone, steps in itertools.groupby(range(-180, 180, 3), key=lambda west: utm_zone(west + 1.5, middle)):
            wests = list(steps)
            code = f"EPSG:{32600 + zone if middle >= 0 else 32700 + zone}"
            areas.append((code, box(wests[0], bottom, wests[-1] + 3, top)))
    return tuple(areas)
