"""Outlines of chips on the globe, and their boxes in their own coordinate systems."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from terralab.datasets.splitting.chip_place import ChipPlace
from terralab.datasets.splitting.globe import Points, intersections, nearest_points, to_degrees, to_globe

BEND = 0.25
"""Metres by which a side, straight between its points, leaves the ground at most."""

_STRAIGHT = 2000.0
_TOUCH_PIXELS = 0.25
_OVERLAP_SHARE = 1e-3
_SEAM, _POLE = 175.0, 88.0  # degrees


@dataclass(frozen=True)
class Outlines:
    """The ground of sites.

    Attributes:
        rings: points (m, p, 3) along each outline, geocentric.
        systems: number of each site's coordinate system; -1 where its sides do not run along the axes, and near
            180° and the poles, where neighbours may lie at opposite ends of a map.
        boxes: left, lower, right, upper in that system (m, 4).
        pixels: side of a pixel, metres.
        native_pixels: side of a pixel in the units of that system.
    """

    rings: Points
    systems: NDArray[np.int64]
    boxes: Points
    pixels: Points
    native_pixels: Points

    @classmethod
    def of(cls, places: Sequence[ChipPlace]) -> tuple["Outlines", NDArray[np.bool_]]:
        """Return the outlines of those places that lie on the globe, and which do."""
        rings, known = _rings(places)
        chosen = [place for place, found in zip(places, known, strict=True) if found]
        corners = np.array([place.corners() for place in chosen], np.float64).reshape(-1, 4, 2)
        codes: dict[str, int] = {}
        systems = [codes.setdefault(place.grid.crs, len(codes)) if _upright(place) else -1 for place in chosen]  # type: ignore[union-attr]
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        rows = np.maximum([place.extent[0] for place in chosen], 1)
        rings = rings[known]
        lon, lat = to_degrees(rings.mean(axis=1))
        inner = (np.abs(lon) < _SEAM) & (np.abs(lat) < _POLE)
        parts = rings.shape[1] // 4
        pixels = np.linalg.norm(rings[:, 0] - rings[:, 3 * parts], axis=1) / rows
        return cls(rings, np.where(inner, systems, -1), boxes, pixels, (boxes[:, 3] - boxes[:, 1]) / rows), known

    def neighbours(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Say which pairs of sites (k, 2) touch or overlap, and which overlap."""
        near, overlaps = np.zeros(len(pairs), np.bool_), np.zeros(len(pairs), np.bool_)
        systems = self.systems[pairs]
        flat = (systems[:, 0] == systems[:, 1]) & (systems[:, 0] >= 0)
        near[flat], overlaps[flat] = self._on_one_map(pairs[flat])
        near[~flat], overlaps[~flat] = self._on_the_globe(pairs[~flat])
        return near, overlaps

    def _on_one_map(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        one, other = self.boxes[pairs[:, 0]], self.boxes[pairs[:, 1]]
        sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
        areas = np.minimum((one[:, 2:] - one[:, :2]).prod(axis=1), (other[:, 2:] - other[:, :2]).prod(axis=1))
        pixel = self.native_pixels[pairs].min(axis=1)
        gap = np.linalg.norm(np.minimum(sides, 0), axis=1)
        near: NDArray[np.bool_] = gap <= _TOUCH_PIXELS * pixel
        overlaps: NDArray[np.bool_] = np.maximum(sides, 0).prod(axis=1) > _OVERLAP_SHARE * areas
        return near, overlaps

    def _on_the_globe(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if not len(pairs):
            return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        one, other = self.rings[pairs[:, 0]], self.rings[pairs[:, 1]]
        shared, meets, least = intersections(one, other)
        touches = nearest_points(one, other)[0] <= _TOUCH_PIXELS * self.pixels[pairs].min(axis=1)
        near: NDArray[np.bool_] = meets | touches
        overlaps: NDArray[np.bool_] = shared > _OVERLAP_SHARE * least
        return near, overlaps


def _upright(place: ChipPlace) -> bool:
    return place.grid is not None and place.grid.transform[1] == 0 == place.grid.transform[3]


def _rings(places: Sequence[ChipPlace]) -> tuple[Points, NDArray[np.bool_]]:
    """Return an outline (m, p, 3) for each place, and whether it lies on the globe."""
    corners = np.array([place.corners() for place in places], np.float64).reshape(-1, 4, 2)
    ends = _geocentric(places, corners)
    with np.errstate(invalid="ignore"):
        sides = np.linalg.norm(ends - np.roll(ends, -1, axis=1), axis=2)
    longest = float(np.nanmax(np.where(np.isfinite(sides), sides, 0), initial=0))
    parts = int(np.clip(np.ceil(longest / _STRAIGHT), 1, 64))
    steps = np.arange(parts) / parts
    following = np.roll(corners, -1, axis=1)
    points = corners[:, :, None] + steps[:, None] * (following - corners)[:, :, None]
    rings = _geocentric(places, points.reshape(len(places), 4 * parts, 2))
    known = np.asarray(np.isfinite(rings.reshape(len(places), 12 * parts)).all(axis=1), np.bool_)
    return rings, known


def _geocentric(places: Sequence[ChipPlace], points: Points) -> Points:
    """Return points (m, p, 2), each in its place's own coordinates, as geocentric ones (m, p, 3)."""
    found = np.full((*points.shape[:2], 3), np.nan)
    systems: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        assert place.grid is not None
        systems.setdefault(place.grid.crs, []).append(number)
    for crs, members in systems.items():
        try:
            to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        except ProjError:
            continue
        lon, lat = to_lonlat.transform(points[members, :, 0], points[members, :, 1])
        known = np.isfinite(lon) & np.isfinite(lat)
        found[members] = np.where(known[..., None], to_globe(np.where(known, lon, 0), np.where(known, lat, 0)), np.nan)
    return found
