"""Stratified assignment: every class in its share in every part.

Where each chip is of one class, how many chips of each class go into each part is rounded so that no class and no part
is off by a whole chip (controlled rounding, Bacharach 1966; the constraints are those of a transport problem, so a
corner of the linear programme is whole numbers). Where chips have several labels or pixels of several classes, the
groups of the rarest class are assigned first, each to the part that lacks most of it (iterative stratification,
Sechidis, Tsoumakas and Vlahavas 2011).
"""

import numpy as np

from terralab.datasets.splitting.groups import Groups
from terralab.datasets.splitting.proportions import Numbers, evened
from terralab.datasets.splitting.recipe import Parts

_NOISE = 1e-9
_SWAPS = 20_000


def stratified(groups: Groups, shares: Numbers, seed: int) -> Parts:
    """Return the part of each group."""
    random = np.random.default_rng([seed, 0x57A7])
    classes = _with_unlabelled(groups.classes)
    present = classes > 0
    if (groups.sizes == groups.sizes[0]).all() and (present.sum(axis=1) == 1).all() and _even(classes):
        return _by_quota(present.argmax(axis=1), shares, random)
    parts = evened(groups.sizes, shares, _iterative(groups.sizes, classes, shares, random), random)
    return _swapped(groups.sizes, classes, shares, parts, random)


def _with_unlabelled(classes: Numbers) -> Numbers:
    """Return class counts in which a group without any label is of a class of its own."""
    none = classes.sum(axis=1) == 0
    return np.concatenate([classes, none[:, None].astype(np.float64)], axis=1) if none.any() else classes


def _even(classes: Numbers) -> bool:
    return all(len(np.unique(column[column > 0])) <= 1 for column in classes.T)


def _by_quota(labels: Parts, shares: Numbers, random: np.random.Generator) -> Parts:
    quotas = _quotas(np.bincount(labels), shares, random)
    parts = np.empty(len(labels), np.int64)
    for label, quota in enumerate(quotas):
        members = random.permutation(np.flatnonzero(labels == label))
        parts[members] = np.repeat(np.arange(len(shares)), quota)
    return parts


def _quotas(counts: Parts, shares: Numbers, random: np.random.Generator) -> Parts:
    """Return how many of each class go into each part (classes, parts): every entry and sum is rounded up or down."""
    from scipy.optimize import linprog

    wanted = counts[:, None] * shares
    size = wanted.size
    cells = np.arange(size).reshape(wanted.shape)
    rows, columns = np.zeros((len(counts), size)), np.zeros((len(shares), size))
    for number, own in enumerate(cells):
        rows[number, own] = 1
    for number, own in enumerate(cells.T):
        columns[number, own] = 1
    totals = wanted.sum(axis=0)
    found = linprog(
        random.random(size),
        A_ub=np.concatenate([columns, -columns]),
        b_ub=np.concatenate([np.ceil(totals - _NOISE), -np.floor(totals + _NOISE)]),
        A_eq=rows,
        b_eq=counts,
        bounds=np.stack([np.floor(wanted + _NOISE).ravel(), np.ceil(wanted - _NOISE).ravel()], axis=1),
        method="highs-ds",
    )
    quotas: Parts = np.rint(found.x).astype(np.int64).reshape(wanted.shape)
    return quotas


def _iterative(sizes: Numbers, classes: Numbers, shares: Numbers, random: np.random.Generator) -> Parts:
    lacking = shares[:, None] * classes.sum(axis=0)
    room = shares * sizes.sum()
    parts = np.full(len(sizes), -1, np.int64)
    shuffled = random.permutation(len(sizes))
    for number in np.argsort((classes > 0).sum(axis=0), kind="stable"):
        members = shuffled[(classes[shuffled, number] > 0) & (parts[shuffled] < 0)]
        for group in members[np.argsort(-classes[members, number], kind="stable")]:
            open_parts = room > 0
            part = int(np.argmax(np.where(open_parts, lacking[:, number], -np.inf)))
            parts[group] = part
            lacking[part] -= classes[group]
            room[part] -= sizes[group]
    return parts


def _swapped(sizes: Numbers, classes: Numbers, shares: Numbers, parts: Parts, random: np.random.Generator) -> Parts:
    """Exchange groups of equal size between two parts as long as that brings the classes nearer to their shares."""
    parts = parts.copy()
    scale = 1 / np.maximum(classes.sum(axis=0), 1)
    lacking = shares[:, None] * classes.sum(axis=0)
    np.subtract.at(lacking, parts, classes)
    lacking *= scale
    for one, other in random.integers(len(sizes), size=(_SWAPS, 2)):
        giver, taker = parts[one], parts[other]
        if giver == taker or sizes[one] != sizes[other]:
            continue
        change = (classes[one] - classes[other]) * scale
        before = np.square(lacking[giver]).sum() + np.square(lacking[taker]).sum()
        after = np.square(lacking[giver] + change).sum() + np.square(lacking[taker] - change).sum()
        if after < before:
            parts[one], parts[other] = taker, giver
            lacking[giver] += change
            lacking[taker] -= change
    return parts
