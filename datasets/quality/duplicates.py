"""Chips that are there twice: equal in every pixel, or nearly so, found in time that grows linearly with the chips.

Near duplicates are looked for by locality-sensitive hashing (Charikar, STOC 2002): random planes through the origin
divide the descriptors, and two descriptors at a small angle are likely on the same side of all planes of a table. Only
chips that share a bucket of some table are compared.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.collected import Collected, Place

_SIMILAR = 0.985
_TABLES, _PLANES = 20, 20
_COMPARED = 32
_LEVEL = 0.3
_SAME_PLACE = 0.5
_BLOCK = 4096


@dataclass(frozen=True)
class Duplicates:
    """Pairs of chips by number, the lower first.

    Attributes:
        exact: equal in every pixel.
        near: nearly equal, and not exactly.
        again: nearly equal because they show the same place at other times, which is no fault.
    """

    exact: list[tuple[int, int]]
    near: list[tuple[int, int]]
    again: list[tuple[int, int]]


def find_duplicates(chips: Collected) -> Duplicates:
    """Return the duplicates of a dataset."""
    exact = list(_exact(chips))
    known = set(exact)
    near, again = [], []
    for pair in _similar(chips):
        if pair in known:
            continue
        one, other = (chips.places[number] for number in pair)
        if one.moment != other.moment and _overlap(one, other) > _SAME_PLACE:
            again.append(pair)
        else:
            near.append(pair)
    return Duplicates(exact, near, again)


def _exact(chips: Collected) -> Iterator[tuple[int, int]]:
    """Yield each chip that repeats an earlier one, with the first of its kind."""
    first: dict[str, int] = {}
    for number, hash in enumerate(chips.hashes):
        if hash and first.setdefault(hash, number) != number:
            yield first[hash], number


def _similar(chips: Collected) -> list[tuple[int, int]]:
    told = np.flatnonzero(np.any(chips.descriptors != 0, axis=1))
    if len(told) < 2:
        return []
    spread = np.nanstd(chips.means[told], axis=0)
    levels = chips.means[told] / np.where(spread > 0, spread, 1)
    found: set[tuple[int, int]] = set()
    for one, other in _candidates(chips.descriptors, told):
        for block in range(0, len(one), _BLOCK):
            some, others = one[block : block + _BLOCK], other[block : block + _BLOCK]
            left, right = (chips.descriptors[told[part]].astype(np.float32) for part in (some, others))
            alike = np.einsum("ij,ij->i", left, right) >= _SIMILAR
            alike &= np.nanmax(np.abs(levels[some] - levels[others]), axis=1) < _LEVEL
            ends = np.sort(np.stack([told[some[alike]], told[others[alike]]], axis=1), axis=1)
            found.update((int(low), int(high)) for low, high in ends)
    return sorted(found)


def _candidates(
    descriptors: NDArray[np.float16], told: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs that share a bucket, table by table; in a large bucket each chip meets only so many others."""
    random = np.random.default_rng(0)
    planes = random.normal(size=(descriptors.shape[1], _TABLES * _PLANES)).astype(np.float32)
    weights = 1 << np.arange(_PLANES, dtype=np.int64)
    codes = np.empty((len(told), _TABLES), np.int64)
    for block in range(0, len(told), _BLOCK):
        sides = descriptors[told[block : block + _BLOCK]].astype(np.float32) @ planes > 0
        codes[block : block + _BLOCK] = sides.reshape(-1, _TABLES, _PLANES) @ weights
    for table in range(_TABLES):
        order = np.argsort(codes[:, table], kind="stable")
        ordered = codes[order, table]
        for distance in range(1, _COMPARED + 1):
            same = ordered[:-distance] == ordered[distance:]
            if not same.any():
                break
            yield order[:-distance][same], order[distance:][same]


def across_splits(chips: Collected, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return those pairs whose chips are in different splits."""
    splits = [place.split for place in chips.places]
    return [(one, other) for one, other in pairs if splits[one] and splits[other] and splits[one] != splits[other]]


def clusters(pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Return groups of chips that pairs connect, largest first."""
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in pairs:
        parent[root(other)] = root(one)
    groups: dict[int, list[int]] = defaultdict(list)
    for number in sorted(parent):
        groups[root(number)].append(number)
    return sorted(groups.values(), key=lambda group: (-len(group), group))


def _overlap(one: Place, other: Place) -> float:
    """Return the shared area of two boxes over that of the smaller."""
    west, south = max(one.bounds[0], other.bounds[0]), max(one.bounds[1], other.bounds[1])
    east, north = min(one.bounds[2], other.bounds[2]), min(one.bounds[3], other.bounds[3])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one.bounds, other.bounds)]
    return max(0.0, east - west) * max(0.0, north - south) / min(areas) if min(areas) > 0 else 0.0
