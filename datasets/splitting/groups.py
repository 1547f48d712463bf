"""Groups of chips that are assigned together: what shares ground or pixels is never divided."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.recipe import Parts

_BLOCK_SIZES = ((4, 64), (2, 8))
"""(block size, least number of blocks) in the order of preference; else single chips."""

_DEGREE = 111_320.0  # metres along a meridian


@dataclass(frozen=True)
class Groups:
    """Groups, and what an assignment of them is judged by.

    Attributes:
        names: of the groups, ascending.
        of_chip: the group of each chip, -1 for chips in none.
        sizes: chips of each group.
        classes: class counts (groups, classes).
        middles: geocentric middle of each group (groups, 3); 0 where it has no place.
        edges: pairs of groups (k, 2) that should rather stay together, since their chips are neighbours.
        weights: how many pairs of neighbours each edge stands for.
    """

    names: list[str]
    of_chip: NDArray[np.int64]
    sizes: NDArray[np.float64]
    classes: NDArray[np.float64]
    middles: NDArray[np.float64]
    edges: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, plan: GroundPlan, names: Sequence[str | None]) -> "Groups":
        """Return the groups that the chips' group names make; chips with None are in no group."""
        known = np.array([name is not None for name in names])
        unique, inverse = np.unique(np.array([name or "" for name in names])[known], return_inverse=True)
        of_chip = np.full(len(names), -1, np.int64)
        of_chip[known] = inverse.ravel()
        count, own = len(unique), of_chip[known]
        sizes = np.bincount(own, minlength=count).astype(np.float64)
        pixels = class_table(plan)[known]
        classes = np.zeros((count, pixels.shape[1]))
        np.add.at(classes, own, pixels)
        middles = np.zeros((count, 3))
        placed = known & plan.placed
        np.add.at(middles, of_chip[placed], plan.middles[plan.site_of[placed]])
        middles /= np.maximum(np.bincount(of_chip[placed], minlength=count), 1)[:, None]
        edges, weights = _touching(plan, of_chip)
        return cls(unique.tolist(), of_chip, sizes, classes, middles, edges, weights)

    def spread(self, parts: Parts) -> Parts:
        """Return the part of each chip from that of each group."""
        found: Parts = np.append(parts, -1)[self.of_chip]
        return found

    @property
    def chip_names(self) -> list[str]:
        """Return the group's name of each chip, empty for chips in none."""
        return [self.names[number] if number >= 0 else "" for number in self.of_chip]


def class_table(plan: GroundPlan) -> NDArray[np.float64]:
    """Return the class counts (chips, classes), classes by name."""
    names = class_names(plan)
    table = [[place.class_counts.get(name, 0) for name in names] for place in plan.places]
    return np.array(table, np.float64).reshape(len(plan.places), len(names))


def class_names(plan: GroundPlan) -> list[str]:
    """Return the names of all classes, ascending."""
    return sorted({name for place in plan.places for name in place.class_counts})


def single_names(plan: GroundPlan) -> list[str | None]:
    """Return each chip's own id."""
    return [place.id for place in plan.places]


def attribute_names(plan: GroundPlan) -> list[str | None]:
    """Return the value of the property that chips are grouped by."""
    return [place.group for place in plan.places]


def choose_block_size(plan: GroundPlan) -> int:
    """Return the block size that suits the number of chips."""
    for size, least in _BLOCK_SIZES:
        if len({name for name in block_names(plan, size) if name is not None}) >= least:
            return size
    return 1


def block_names(plan: GroundPlan, block_size: int) -> list[str | None]:
    """Return each chip's block: of its scene, or of a grid on the ground where it tells no window in a scene."""
    reach = block_size * float(np.median(plan.sides)) if len(plan.sides) else 1.0
    cells = cell_names(plan, reach)
    names: list[str | None] = []
    for number, place in enumerate(plan.places):
        if place.window is None or place.grid is None or not place.scenes:
            names.append(cells[number])
            continue
        row, column = place.window[0] // place.grid.shape[0], place.window[1] // place.grid.shape[1]
        names.append(f"{place.scenes[0]}-b{row // block_size:03d}-{column // block_size:03d}")
    return names


def cell_names(plan: GroundPlan, side: float) -> list[str | None]:
    """Return the cell that each chip lies in, of a grid of `side` metres on the ground; None without a place."""
    if not len(plan.middles):
        return [None] * len(plan.places)
    lon, lat = plan.degrees.T
    rows = np.floor((lat + 90) * _DEGREE / side).astype(np.int64)
    middle = np.clip((rows + 0.5) * side / _DEGREE - 90, -90, 90)
    columns = np.maximum(np.floor(360 * np.cos(np.radians(middle)) * _DEGREE / side), 1)
    own = np.floor((lon + 180) / 360 * columns).astype(np.int64)
    names = [f"g{row:05d}-{column:05d}" for row, column in zip(rows, own, strict=True)]
    return [names[site] if site >= 0 else None for site in plan.site_of]


def merged(plan: GroundPlan, names: Sequence[str | None]) -> list[str | None]:
    """Give groups whose chips overlap on the ground or have equal pixels one name, the first of theirs.

    Chips that merely touch stay apart. Chips in no group join none.
    """
    members = [number for number, name in enumerate(names) if name is not None]
    known = np.array([name for name in names if name is not None], dtype=np.str_)
    unique, codes = np.unique(known, return_inverse=True)
    if not len(unique):
        return list(names)
    chips, own = len(plan.places), np.array(members)
    first_site = chips + len(unique)
    first_twin = first_site + len(plan.middles)
    placed = own[plan.site_of[own] >= 0]
    twins = twin_sets(plan)
    twinned = own[twins[own] >= 0]
    pairs, overlapping = plan.neighbours
    ends = [
        np.stack([own, chips + codes.ravel()]),
        np.stack([placed, first_site + plan.site_of[placed]]),
        first_site + pairs[overlapping].T,
        np.stack([twinned, first_twin + twins[twinned]]),
    ]
    one, other = np.concatenate(ends, axis=1)
    count = first_twin + int(twins.max(initial=-1)) + 1
    _, label = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(count, count)), directed=False)
    least = np.full(count, len(unique))
    np.minimum.at(least, label[chips : chips + len(unique)], np.arange(len(unique)))
    found: list[str | None] = [None] * chips
    for number in members:
        found[number] = str(unique[least[label[number]]])
    return found


def twin_sets(plan: GroundPlan) -> NDArray[np.int64]:
    """Return the number of the set of equal chips that each chip is in, -1 for chips that are there once.

    Equal are chips whose first feature has the same bytes, and those that quality control found to be duplicates.
    """
    numbers = {place.id: number for number, place in enumerate(plan.places)}
    files: dict[str, int] = {}
    pairs = []
    for number, place in enumerate(plan.places):
        if place.checksum is not None:
            pairs.append((files.setdefault(place.checksum, number), number))
        pairs += [(numbers[other], number) for other in place.duplicate_of if other in numbers]
    ends = np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)
    count = len(plan.places)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    several = np.bincount(label, minlength=1) > 1
    found: NDArray[np.int64] = np.where(several, np.cumsum(several) - 1, -1)[label]
    return found


def _touching(plan: GroundPlan, of_chip: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of different groups (k, 2) and how many pairs of their sites touch."""
    of_site = np.full(len(plan.middles), -1, np.int64)
    placed = plan.placed
    of_site[plan.site_of[placed]] = of_chip[placed]
    pairs = np.sort(of_site[plan.neighbours[0]], axis=1)
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs[:, 0] >= 0)]
    edges, counts = np.unique(pairs, axis=0, return_counts=True)
    return edges.reshape(-1, 2), counts.astype(np.float64)
