"""The search for a good assignment of groups to splits or folds.

Many seeded assignments are made, by dealing, in random order and along random directions on the globe (which makes few
neighbours differ); the best is improved by swaps. The best has, in this order of weight: no empty part; sizes within
one group of the wanted ones; every class in every part; sizes near; class shares alike; few neighbours apart.
"""

import numpy as np

from terralab.datasets.splitting.groups import Groups
from terralab.datasets.splitting.proportions import Numbers, beyond_one_group, dealt, runs
from terralab.datasets.splitting.recipe import Parts

_CANDIDATE_STEPS, _MOST_CANDIDATES, _LEAST_CANDIDATES = 200_000, 256, 16
_SWAPS, _MOST_GROUPS_TO_SWAP = 3000, 1000
_COST_EMPTY, _COST_BEYOND, _COST_MISSING, _COST_SIZE, _COST_SHARES, _COST_TOUCHING = 1000.0, 100.0, 10.0, 4.0, 2.0, 1.0


class Search:
    """Looks for a good assignment.

    Args:
        groups: what is assigned.
        shares: wanted share of each part, adding up to 1.
        seed: of all random choices.
    """

    def __init__(self, groups: Groups, shares: Numbers, seed: int) -> None:
        self.groups, self.shares, self.seed = groups, shares, seed
        self.count = len(groups.sizes)
        classes = groups.classes
        self._class_shares = classes.sum(axis=0) / max(classes.sum(), 1)
        self._spread = (classes > 0).sum(axis=0) >= np.count_nonzero(shares)

    def best(self) -> Parts:
        """Return the part of each group."""
        tries = min(_MOST_CANDIDATES, max(_LEAST_CANDIDATES, _CANDIDATE_STEPS // self.count))
        start = min((self._candidate(number) for number in range(tries)), key=self.cost)
        return self._improved(start) if self.count <= _MOST_GROUPS_TO_SWAP else start

    def cost(self, parts: Parts) -> float:
        """Return how bad an assignment is; 0 is the best."""
        member = (parts[None, :] == np.arange(len(self.shares))[:, None]).astype(np.float64)
        sizes, pixels = member @ self.groups.sizes, member @ self.groups.classes
        wanted = self.shares > 0
        empty = np.count_nonzero(wanted & (sizes == 0)) + np.count_nonzero(~wanted & (sizes > 0))
        missing = np.count_nonzero(pixels[wanted][:, self._spread] == 0)
        beyond = beyond_one_group(self.groups.sizes, self.shares, parts)
        size_error = float(np.abs(sizes / sizes.sum() - self.shares).max())
        shares = pixels[wanted] / np.maximum(pixels[wanted].sum(axis=1, keepdims=True), 1)
        share_error = float(np.abs(shares - self._class_shares).sum(axis=1).mean()) / 2
        edges, weights = self.groups.edges, self.groups.weights
        apart = parts[edges[:, 0]] != parts[edges[:, 1]]
        return float(
            _COST_EMPTY * empty
            + _COST_BEYOND * beyond / sizes.sum()
            + _COST_MISSING * missing
            + _COST_SIZE * size_error
            + _COST_SHARES * share_error
            + _COST_TOUCHING * float(weights[apart].sum() / max(weights.sum(), 1))
        )

    def _candidate(self, number: int) -> Parts:
        """Deal the groups, or assign runs of them in random order or along a direction."""
        random = np.random.default_rng([self.seed, number])
        if number % 8 == 7:
            return dealt(self.groups.sizes, self.shares, random)
        direction, jitter = random.normal(size=3), random.choice([0.0, 0.1, 0.3])
        along = self.groups.middles @ (direction / np.linalg.norm(direction))
        along = (along - along.mean()) / (along.std() or 1) + jitter * random.normal(size=self.count)
        order = random.permutation(self.count) if number % 2 else np.argsort(along, kind="stable")
        sequence = random.permutation(len(self.shares))
        parts = np.empty(self.count, np.int64)
        parts[order] = sequence[runs(self.groups.sizes[order], self.shares[sequence])]
        return parts

    def _improved(self, parts: Parts) -> Parts:
        """Swap the parts of two groups, or move one, as long as it helps."""
        random = np.random.default_rng([self.seed, _MOST_CANDIDATES])
        best, cost = parts.copy(), self.cost(parts)
        for _ in range(_SWAPS):
            one, other = random.integers(self.count, size=2)
            if best[one] == best[other] and random.random() < 0.9:
                continue
            tried = best.copy()
            if best[one] == best[other]:  # a part that has no group yet cannot be reached by a swap
                tried[one] = random.choice(np.flatnonzero(self.shares > 0))
            else:
                tried[one] = best[other]
                if random.random() < 0.7:
                    tried[other] = best[one]
            found = self.cost(tried)
            if found < cost:
                best, cost = tried, found
        return best
