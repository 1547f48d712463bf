"""Where all chips of a dataset lie, which of them are neighbours, and how far apart sets of them are.

Chips of one grid, such as those of a place at many dates, are one site, so a long time series costs no more than one
date. Sites are looked for in trees of their middles; outlines are compared only for those that can be near enough.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from terralab.datasets.splitting.chip_place import ChipPlace
from terralab.datasets.splitting.globe import (
    Points,
    intersections,
    nearest_points,
    on_the_ground,
    to_degrees,
)
from terralab.datasets.splitting.outlines import BEND, Outlines

Indices = NDArray[np.int64]

_AT_ONCE = 20_000
_FIRST_TRIES = 64


class GroundPlan:
    """All chips of a dataset on the ground.

    Args:
        places: at least one chip; they are kept in the order of their ids, whatever order they come in.

    Attributes:
        places: the chips.
        site_of: the site of each chip, -1 for chips that have no place on the ground.
        outlines: points (m, p, 3) along the outline of each site, geocentric.
    """

    def __init__(self, places: Sequence[ChipPlace]) -> None:
        self.places = sorted(places, key=lambda place: place.id)
        keys: dict[object, int] = {}
        own = [
            -1 if place.grid is None else keys.setdefault((place.grid, place.extent), len(keys))
            for place in self.places
        ]
        self.site_of = np.array(own, np.int64)
        first = np.full(len(keys), -1, np.int64)
        for number in range(len(own) - 1, -1, -1):
            if own[number] >= 0:
                first[own[number]] = number
        self._outlines, known = Outlines.of([self.places[number] for number in first])
        self.outlines = self._outlines.rings
        if len(known):  # chips whose coordinates lead nowhere on the globe have no place
            self.site_of = np.where(self.site_of >= 0, np.where(known, np.cumsum(known) - 1, -1)[self.site_of], -1)

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Say which chips have a place on the ground."""
        return self.site_of >= 0

    @cached_property
    def middles(self) -> Points:
        """Return the middles of the sites (m, 3), geocentric."""
        found: Points = self.outlines.mean(axis=1)
        return found

    @cached_property
    def radii(self) -> Points:
        """Return how far the sites reach from their middles, metres."""
        found: Points = np.linalg.norm(self.outlines - self.middles[:, None], axis=2).max(axis=1, initial=0)
        return found

    @cached_property
    def sides(self) -> Points:
        """Return the length of the sites' sides, metres."""
        found: Points = self.radii * np.sqrt(2)
        return found

    @cached_property
    def degrees(self) -> Points:
        """Return longitude and latitude of the sites' middles (m, 2)."""
        return np.stack(to_degrees(self.middles), axis=1)

    @cached_property
    def neighbours(self) -> tuple[Indices, NDArray[np.bool_]]:
        """Return pairs (k, 2) of different sites that touch or overlap, and which of them overlap."""
        pairs, overlaps = [np.empty((0, 2), np.int64)], [np.empty(0, np.bool_)]
        everything = np.arange(len(self.outlines))
        for found in self._candidates(everything, everything, float(self._outlines.pixels.max(initial=0))):
            chosen = found[found[:, 0] < found[:, 1]]
            near, shared = self._outlines.neighbours(chosen)
            pairs.append(chosen[near])
            overlaps.append(shared[near])
        return np.concatenate(pairs), np.concatenate(overlaps)

    def distance(self, some: Indices, others: Indices) -> float | None:
        """Return the least distance on the ground in metres between two sets of sites; None where one is empty."""
        if not len(some) or not len(others):
            return None
        if len(np.intersect1d(some, others)):
            return 0.0
        near, partner = cKDTree(self.middles[others]).query(self.middles[some])
        least = near - self.radii[some] - self.radii[others][partner]
        first = np.argsort(least, kind="stable")[:_FIRST_TRIES]
        best, ends = self._least(np.stack([some[first], others[partner[first]]], axis=1))
        widest = float(self.radii[others].max())
        some = some[near - self.radii[some] - widest <= best]
        for pairs in self._candidates(some, others, best):
            found, found_ends = self._least(pairs)
            if found < best:
                best, ends = found, found_ends
        return 0.0 if best <= 0 else float(on_the_ground(ends[:1], ends[1:])[0])

    def within(self, some: Indices, others: Indices, metres: float) -> Indices:
        """Return those of `some` sites that lie nearer than `metres` to any of `others`."""
        if not len(some) or not len(others):
            return np.empty(0, np.int64)
        near = cKDTree(self.middles[others]).query(self.middles[some])[0]
        inside = near < metres
        unsure = some[~inside & (near <= metres + BEND + self.radii[some] + self.radii[others].max())]
        found = [some[inside]]
        for pairs in self._candidates(unsure, others, metres + BEND):
            found.append(np.unique(pairs[self._apart(pairs) < metres + BEND, 0]))
        return np.unique(np.concatenate(found))

    def _least(self, pairs: Indices) -> tuple[float, Points]:
        """Return the least distance of pairs of sites, and the two points between which it lies."""
        if not len(pairs):
            return np.inf, np.empty((2, 3))
        distance, start, end = nearest_points(self.outlines[pairs[:, 0]], self.outlines[pairs[:, 1]])
        distance = np.where(self._meet(pairs), 0, distance)
        best = int(distance.argmin())
        return float(distance[best]), np.stack([start[best], end[best]])

    def _apart(self, pairs: Indices) -> Points:
        distance = nearest_points(self.outlines[pairs[:, 0]], self.outlines[pairs[:, 1]])[0]
        return np.where(self._meet(pairs), 0, distance)

    def _meet(self, pairs: Indices) -> NDArray[np.bool_]:
        between = np.linalg.norm(self.middles[pairs[:, 0]] - self.middles[pairs[:, 1]], axis=1)
        close = between <= self.radii[pairs[:, 0]] + self.radii[pairs[:, 1]]
        met = np.zeros(len(pairs), np.bool_)
        if close.any():
            met[close] = intersections(self.outlines[pairs[close, 0]], self.outlines[pairs[close, 1]])[1]
        return met

    def _candidates(self, some: Indices, others: Indices, reach: float) -> Iterator[Indices]:
        """Yield pairs (k, 2) of different sites that may be nearer than `reach`, in portions.

        Sites are looked for among those of like size, so that one huge site does not make all others look near.
        """
        if not len(some) or not len(others):
            return
        for one in self._of_like_size(some):
            for other in self._of_like_size(others):
                tree = cKDTree(self.middles[other])
                far = reach + self.radii[one].max() + self.radii[other].max()
                for begin in range(0, len(one), _AT_ONCE // 8):
                    part = one[begin : begin + _AT_ONCE // 8]
                    found = cKDTree(self.middles[part]).sparse_distance_matrix(tree, far, output_type="ndarray")
                    left, right = part[found["i"]], other[found["j"]]
                    chosen = (found["v"] <= reach + self.radii[left] + self.radii[right]) & (left != right)
                    pairs = np.stack([left[chosen], right[chosen]], axis=1)
                    for start in range(0, len(pairs), _AT_ONCE):
                        yield pairs[start : start + _AT_ONCE]

    def _of_like_size(self, sites: Indices) -> list[Indices]:
        octave = np.floor(np.log2(np.maximum(self.radii[sites], 1e-3))).astype(np.int64)
        return [sites[octave == value] for value in np.unique(octave)]
