"""Which chips come together in a batch: f(seed, epoch) and the chips alone.

Nothing depends on how far another random generator has come, so a training that was killed goes on as if nothing had
happened. A batch carries its epoch, so that worker processes that outlive an epoch turn the chips by the right one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """Positions of chips in a dataset, and the epoch that they are read in."""

    epoch: int
    positions: list[int]


class EpochBatches:
    """The batches of an epoch: a shuffled order, cut into nearly equal parts.

    Batches are of nearly equal size (41 chips by 8: 6 batches of 7 or 6), so none is dropped and none holds a single
    chip, for which batch normalisation would have no variance at coarse levels (3 chips by 2: one batch of 3).

    Lightning calls `set_epoch` before every epoch, also after a resume.

    Args:
        count: of chips.
        batch_size: largest number of chips in a batch.
        seed: of the order.
        shares: probability of each chip, where chips are drawn with repetition; None for every chip once.
    """

    def __init__(self, count: int, batch_size: int, seed: int, shares: NDArray[np.float64] | None = None) -> None:
        self._count, self._seed, self._shares = count, seed, shares
        self._epoch = 0
        wanted = -(-count // batch_size)
        self._batches = min(wanted, max(count // 2, 1)) if batch_size > 1 else wanted

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and turns come next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Batch]:
        random = np.random.default_rng([self._seed, self._epoch])
        if self._shares is None:
            order = random.permutation(self._count)
        else:
            order = random.choice(self._count, self._count, p=self._shares)
        for part in np.array_split(order, self._batches):
            yield Batch(self._epoch, [int(position) for position in part])


def batches_in_order(count: int, batch_size: int) -> list[list[int]]:
    """Return the positions 0 … count - 1 in batches."""
    return [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]


def class_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how likely each chip is drawn where every class is to be seen alike often.

    It is the chance of a chip when first a class is drawn, all alike, and then one of its labelled pixels (labels), all
    alike. Classes without a pixel take no part.

    Args:
        counts: (chips, classes) labelled pixels, or labels.
    """
    totals = counts.sum(axis=0)
    present = totals > 0
    shares = (counts[:, present] / totals[present]).mean(axis=1)
    return np.asarray(shares / shares.sum(), np.float64)
