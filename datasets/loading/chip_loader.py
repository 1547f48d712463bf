"""Batches made ahead of the training by threads of its own process.

Numpy lets other threads run while it copies and scales, so threads read as well as processes do, and a batch need not
be copied from one process to another, which takes longer than making it.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from terralab.datasets.loading.chip_dataset import ChipDataset, Index

_AHEAD = 2


class ChipLoader:
    """The batches of an epoch, as Lightning and any loop take them.

    It is no `DataLoader`: Lightning would take one apart and build it anew around single chips.

    Args:
        chips: what to read.
        batches: which chips come together.
        workers: threads that read ahead; 0 for none.

    Attributes:
        dataset: the chips.
        sampler: the batches; its `set_epoch`, where it has one, is Lightning's to call.
        batch_sampler: None, as of a `DataLoader` of whole batches; Lightning looks at it.
    """

    batch_sampler: None = None

    def __init__(self, chips: ChipDataset, batches: Any, workers: int = 0) -> None:
        self.dataset, self.sampler, self._threads = chips, batches, workers
        self._pins = torch.cuda.is_available()

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the batches of an epoch, in order."""
        if self._threads == 0:
            yield from map(self._batch, self.sampler)
            return
        waiting: deque[Future[dict[str, Any]]] = deque()
        pool = ThreadPoolExecutor(self._threads, "chips")
        try:
            for index in self.sampler:
                waiting.append(pool.submit(self._batch, index))
                if len(waiting) > self._threads + _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batch(self, index: Index) -> dict[str, Any]:
        batch = self.dataset[index]
        return _pinned(batch) if self._pins else batch


def _pinned(value: Any) -> Any:
    """Return a batch in memory that a GPU reads by itself."""
    if isinstance(value, dict):
        return {key: _pinned(part) for key, part in value.items()}
    return value.pin_memory() if isinstance(value, Tensor) else value
