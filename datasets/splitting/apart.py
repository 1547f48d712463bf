"""Parts of a dataset that lie a given distance apart: no chip of one is nearer to a chip of another.

Clusters of chips that are farther from each other than that are assigned whole. A cluster that is too large is cut into
cells; chips at the cuts are left out, and then whole cells, until the parts have their proportions again.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from terralab.catalog.errors import TooFewChips
from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.groups import Groups, cell_names, merged
from terralab.datasets.splitting.proportions import Numbers, trimmed
from terralab.datasets.splitting.recipe import TRAIN, Parts
from terralab.datasets.splitting.search import Search

_CELL_CHIPS = 4
_CELLS_A_PART = 8
_ROUNDS = 5


@dataclass(frozen=True)
class Apart:
    """An assignment whose parts lie apart.

    Attributes:
        groups: that were assigned.
        parts: of each chip, -1 for those left out.
        near: chips left out since they are near another part.
        trimmed: chips left out to keep the proportions.
    """

    groups: Groups
    parts: Parts
    near: int
    trimmed: int


def split_apart(plan: GroundPlan, shares: Numbers, seed: int, metres: float) -> Apart:
    """Assign all chips that have a place so that different parts are at least `metres` apart.

    Raises:
        TooFewChips: there are fewer cells than parts.
    """
    groups = _clusters(plan, shares, metres)
    if len(groups.names) < np.count_nonzero(shares):
        raise TooFewChips(
            f"the chips form only {len(groups.names)} cells on the ground, fewer than the parts to split into;"
            " use smaller chips, a smaller --buffer, or more places"
        )
    wanted, best, least = shares, None, np.inf
    placed = int(plan.placed.sum())
    for _ in range(_ROUNDS):
        parts = groups.spread(Search(groups, wanted, seed).best())
        kept = leave_out_near(plan, parts, metres, len(shares))
        held = np.bincount(kept[kept >= 0], minlength=len(shares)) / max((kept >= 0).sum(), 1)
        cost = float(np.abs(held - shares).max()) + 1 - (kept >= 0).sum() / placed
        if best is None or cost < least:
            best, least = kept, cost
        if np.abs(held - shares).max() * placed < groups.sizes.max():
            break
        # What a part lost at its edges it gets more of in the next round.
        wanted = wanted * shares / np.maximum(held, shares / 4 + 1e-12)
        wanted /= wanted.sum()
    assert best is not None
    near = placed - int((best >= 0).sum())
    parts = _trimmed_groups(groups, shares, best)
    return Apart(groups, parts, near, placed - near - int((parts >= 0).sum()))


def leave_out_near(plan: GroundPlan, parts: Parts, metres: float, count: int) -> Parts:
    """Leave out chips that are nearer than `metres` to a kept chip of a later part: train gives way, the test never."""
    kept = parts.copy()
    for part in range(count - 2, TRAIN - 1, -1):
        kept = leave_out(plan, kept, kept == part, kept > part, metres)
    return kept


def leave_out(
    plan: GroundPlan, parts: Parts, some: NDArray[np.bool_], others: NDArray[np.bool_], metres: float
) -> Parts:
    """Leave out those of `some` chips that are nearer than `metres` to any of `others`."""
    own = np.unique(plan.site_of[some & plan.placed])
    sites = plan.within(own, np.unique(plan.site_of[others & plan.placed]), metres)
    return np.where(some & np.isin(plan.site_of, sites) & plan.placed, -1, parts)


def _trimmed_groups(groups: Groups, shares: Numbers, parts: Parts) -> Parts:
    """Leave out whole groups until the parts have their proportions."""
    of_chip, chosen = groups.of_chip, parts >= 0
    sizes = np.bincount(of_chip[chosen], minlength=len(groups.names)).astype(np.float64)
    of_group = np.full(len(groups.names), -1, np.int64)
    of_group[of_chip[chosen]] = parts[chosen]
    kept = trimmed(sizes, shares, of_group)
    return np.where(chosen & (groups.spread(kept) >= 0), parts, -1)


def _clusters(plan: GroundPlan, shares: Numbers, metres: float) -> Groups:
    """Return clusters that are small enough to be assigned whole, and the cells of the larger ones."""
    cells = Groups.of(plan, merged(plan, _cells(plan, len(shares), metres)))
    edges = _near_cells(plan, cells, metres)
    count = len(cells.names)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    large = np.bincount(label, cells.sizes) > shares[shares > 0].min() * cells.sizes.sum()
    first = np.full(label.max() + 1, count)
    np.minimum.at(first, label, np.arange(count))
    own = np.where(large[label], np.arange(count), first[label])
    names = [None if number < 0 else cells.names[own[number]] for number in cells.of_chip]
    groups = Groups.of(plan, names)
    number_of = {name: number for number, name in enumerate(groups.names)}
    renamed = np.array([number_of[cells.names[number]] for number in own])[edges]
    apart = np.unique(np.sort(renamed[renamed[:, 0] != renamed[:, 1]], axis=1), axis=0).reshape(-1, 2)
    return replace(groups, edges=apart, weights=np.ones(len(apart)))


def _cells(plan: GroundPlan, parts: int, metres: float) -> list[str | None]:
    """Return cells as wide as the distance, smaller where that makes too few."""
    least = float(np.median(plan.sides)) if len(plan.sides) else 1.0
    side = max(metres, _CELL_CHIPS * least)
    while True:
        names = cell_names(plan, side)
        if side <= least or len(set(names) - {None}) >= _CELLS_A_PART * parts:
            return names
        side /= 2


def _near_cells(plan: GroundPlan, cells: Groups, metres: float) -> NDArray[np.int64]:
    """Return pairs of cells (k, 2) with chips nearer than `metres` to each other."""
    of_site = np.full(len(plan.middles), -1, np.int64)
    of_site[plan.site_of[plan.placed]] = cells.of_chip[plan.placed]
    order = np.argsort(of_site, kind="stable")
    ends = np.searchsorted(of_site[order], np.arange(len(cells.names) + 1))
    members = [order[ends[number] : ends[number + 1]] for number in range(len(cells.names))]
    middles = np.array([plan.middles[own].mean(axis=0) for own in members])
    reaches = np.array([_reach(plan, own, middle) for own, middle in zip(members, middles, strict=True)])
    trees = [cKDTree(plan.middles[own]) for own in members]
    found = []
    for one, other in _pairs_in_reach(middles, reaches, metres):
        middle = float(trees[one].query(plan.middles[members[other]])[0].min())
        widest = float(plan.radii[members[one]].max() + plan.radii[members[other]].max())
        if middle < metres or (middle < metres + widest and len(plan.within(members[one], members[other], metres))):
            found.append((one, other))
    return np.array(found, np.int64).reshape(-1, 2)


def _reach(plan: GroundPlan, members: NDArray[np.int64], middle: Numbers) -> float:
    return float((np.linalg.norm(plan.middles[members] - middle, axis=1) + plan.radii[members]).max())


def _pairs_in_reach(middles: Numbers, reaches: Numbers, metres: float) -> list[tuple[int, int]]:
    pairs = cKDTree(middles).query_pairs(metres + 2 * reaches.max(), output_type="ndarray")
    between = np.linalg.norm(middles[pairs[:, 0]] - middles[pairs[:, 1]], axis=1)
    near = pairs[between <= metres + reaches[pairs].sum(axis=1)]
    return [(int(one), int(other)) for one, other in near[np.lexsort(near.T)]]
