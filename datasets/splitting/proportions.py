"""Assignments of groups whose sizes are as wanted within one group, by construction."""

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.splitting.recipe import Parts

Numbers = NDArray[np.float64]


def runs(weights: Numbers, shares: Numbers) -> Parts:
    """Cut a sequence of groups into runs of the wanted shares of its weight, and number them.

    Each group goes where its middle falls, so each cut is off by at most half a group.
    """
    middles = np.cumsum(weights) - weights / 2
    found: Parts = np.searchsorted(np.cumsum(shares)[:-1] * weights.sum(), middles, side="right")
    return found


def dealt(sizes: Numbers, shares: Numbers, random: np.random.Generator) -> Parts:
    """Give each group, largest first, to the part that lacks most.

    No part then differs from its share by a whole group: it is over by less than the group it got last, and what it
    lacks at the end it lacked already when the others got their last group.
    """
    order = random.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    lacking = shares * sizes.sum()
    parts = np.empty(len(sizes), np.int64)
    for group in order:
        part = int(np.argmax(np.where(shares > 0, lacking, -np.inf)))
        parts[group] = part
        lacking[part] -= sizes[group]
    return parts


def beyond_one_group(sizes: Numbers, shares: Numbers, parts: Parts) -> float:
    """Return by how many chips the worst part differs from its share by more than the largest group; 0 for none."""
    held = np.bincount(parts[parts >= 0], sizes[parts >= 0], minlength=len(shares))
    return max(float(np.abs(held - shares * held.sum()).max() - sizes.max()), 0.0)


def evened(sizes: Numbers, shares: Numbers, parts: Parts, random: np.random.Generator) -> Parts:
    """Move groups from parts that have too much to parts that lack more than a group, until none does."""
    parts = parts.copy()
    lacking = shares * sizes.sum() - np.bincount(parts, sizes, minlength=len(shares))
    largest = sizes.max()
    while np.abs(lacking).max() > largest + 1e-9:
        giver, taker = int(np.argmin(lacking)), int(np.argmax(lacking))
        members = np.flatnonzero(parts == giver)
        group = members[random.integers(len(members))]
        parts[group] = taker
        lacking[giver] += sizes[group]
        lacking[taker] -= sizes[group]
    return parts


def trimmed(sizes: Numbers, shares: Numbers, parts: Parts) -> Parts:
    """Leave out groups of parts that have too much, until every part is within one group of its share.

    Args:
        sizes: chips that each group still has.
        shares: wanted.
        parts: of each group, -1 for those left out already.
    """
    parts = np.where(sizes > 0, parts, -1)
    while (parts >= 0).any() and beyond_one_group(np.where(parts >= 0, sizes, 0), shares, parts) > 0:
        held = np.bincount(parts[parts >= 0], sizes[parts >= 0], minlength=len(shares))
        part = int(np.argmax(held - shares * held.sum()))
        members = np.flatnonzero(parts == part)
        parts[members[np.argmin(sizes[members])]] = -1
    return parts
