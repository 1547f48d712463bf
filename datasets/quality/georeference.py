"""Whether a grid can be where it says it is."""

from terralab.extensions.raster import Grid

_NULL_ISLAND = 0.01  # degrees
_UTM_NORTH, _UTM_SOUTH = range(32601, 32661), range(32701, 32761)


def georeference_problem(grid: Grid, bounds: tuple[float, float, float, float]) -> str | None:
    """Return what is wrong with where a chip lies, None where nothing is.

    Args:
        grid: the chip's grid.
        bounds: west, south, east, north in degrees.
    """
    a, b, c, d, e, f = grid.transform
    west, south, east, north = bounds
    if (a, b, c, d, abs(e), f) == (1, 0, 0, 0, 1, 0):
        return "its transform is the identity: it has no georeference"
    if a <= 0 or e >= 0 or b or d:
        return "its grid is rotated or flipped"
    if max(abs(west), abs(east), abs(south), abs(north)) < _NULL_ISLAND:
        return "it lies at 0° N, 0° E, where files without a place end up"
    if not (-180 <= west <= 180 and -90 <= south < north <= 90):
        return "it lies outside the Earth"
    zone = _utm_zone(grid.crs)
    if zone is None:
        return None
    middle = (west + east) / 2 if east - west < 180 else 180.0
    away = abs((middle - zone + 180) % 360 - 180)
    if away > 9 and abs(south) < 84:
        return f"it lies {away:.0f}° from the middle of its UTM zone: longitude and latitude, or the zone, are mixed up"
    return None


def _utm_zone(crs: str) -> float | None:
    """Return the longitude of the middle of a UTM zone."""
    code = int(crs.removeprefix("EPSG:")) if crs.removeprefix("EPSG:").isdigit() else 0
    if code in _UTM_NORTH or code in _UTM_SOUTH:
        return code % 100 * 6 - 183.0
    return None
