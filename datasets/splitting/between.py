"""What connects the parts of a split: ground, pixels, scenes and times that chips of different parts share."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.splitting.ground_plan import GroundPlan
from terralab.datasets.splitting.groups import twin_sets
from terralab.datasets.splitting.recipe import Parts, Split
from terralab.extensions.chips import SPLITS

PAIRS = {f"{SPLITS[one]}_{SPLITS[other]}": (one, other) for one, other in combinations(range(len(SPLITS)), 2)}
"""Pairs of splits by the name that the report gives them."""

Table = NDArray[np.int64]


@dataclass(frozen=True)
class Between:
    """Tables (parts, parts) of what chips of two parts have in common; the diagonal means nothing.

    Attributes:
        distance: least distance on the ground in metres; NaN where one part has no place on the ground.
        touching: pairs of chips with a common edge or corner.
        overlapping: pairs that share ground.
        duplicates: pairs with equal pixels, or that quality control found to be the same.
        same_scene: pairs from one scene, once for each scene that they share.
        same_time: pairs of one acquisition time.
    """

    distance: NDArray[np.float64]
    touching: Table
    overlapping: Table
    duplicates: Table
    same_scene: Table
    same_time: Table

    def of_splits(self, table: Table, split_of: Parts) -> dict[str, int]:
        """Return the pairs between splits where `split_of` says which split each part is."""
        return {
            name: int(table[np.ix_(split_of == one, split_of == other)].sum()) for name, (one, other) in PAIRS.items()
        }

    def distances(self, split_of: Parts) -> dict[str, float | None]:
        """Return the least distances between splits in metres; None where one has no place on the ground."""
        found: dict[str, float | None] = {}
        for name, (one, other) in PAIRS.items():
            metres = self.distance[np.ix_(split_of == one, split_of == other)]
            found[name] = None if np.isnan(metres).all() else round(float(np.nanmin(metres)), 2)
        return found


def measure_between(plan: GroundPlan, split: Split) -> Between:
    """Measure what connects the parts of a split."""
    count = split.fold_count or len(SPLITS)
    of_site = _table(plan.site_of, split.parts, len(plan.middles), count)
    pairs, overlaps = plan.neighbours
    touching = _across(of_site, pairs[~overlaps])
    overlapping = _across(of_site, pairs[overlaps]) + of_site.T @ of_site
    scenes = [(number, scene) for number, place in enumerate(plan.places) for scene in place.scenes]
    chips = np.array([number for number, _ in scenes], np.int64)
    times = [place.time or "" for place in plan.places]
    timed = np.flatnonzero([bool(time) for time in times])
    twins = twin_sets(plan)
    return Between(
        _distances(plan, of_site, touching + overlapping),
        touching,
        overlapping,
        _shared(twins, split.parts, count),
        _shared(_codes([scene for _, scene in scenes]), split.parts[chips], count),
        _shared(_codes([times[number] for number in timed]), split.parts[timed], count),
    )


def _table(labels: Parts, parts: Parts, rows: int, count: int) -> Table:
    """Return how many chips with each label each part has (labels, parts)."""
    chosen = (labels >= 0) & (parts >= 0)
    flat = np.bincount(labels[chosen] * count + parts[chosen], minlength=rows * count)
    return flat.reshape(rows, count).astype(np.int64)


def _shared(labels: Parts, parts: Parts, count: int) -> Table:
    table = _table(labels, parts, int(labels.max(initial=-1)) + 1, count)
    return table.T @ table


def _codes(texts: list[str]) -> Parts:
    return np.unique(np.array(texts, dtype=np.str_), return_inverse=True)[1].ravel()


def _across(of_site: Table, pairs: Parts) -> Table:
    one_way = of_site[pairs[:, 0]].T @ of_site[pairs[:, 1]]
    return one_way + one_way.T


def _distances(plan: GroundPlan, of_site: Table, neighbours: Table) -> NDArray[np.float64]:
    count = of_site.shape[1]
    found = np.full((count, count), np.nan)
    members = [np.flatnonzero(of_site[:, part]) for part in range(count)]
    for one, other in combinations(range(count), 2):
        # Chips that share an edge are some nanometres apart in floating point.
        metres = 0.0 if neighbours[one, other] else plan.distance(members[one], members[other])
        if metres is not None:
            found[one, other] = found[other, one] = metres
    return found
