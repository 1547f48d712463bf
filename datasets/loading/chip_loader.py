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
from torch.utils.data import DataLoader

from terralab.datasets.loading.chip_dataset import ChipDataset, Index

_AHEAD = 2


class ChipLoader(DataLoader[dict[str, Any]]):
    """A DataLoader of whole batches.

    Args:
        chips: what to read.
        batches: which chips come together; its `set_epoch`, where it has one, is Lightning's to call.
        workers: threads that read ahead; 0 for none.
    """

    def __init__(self, chips: ChipDataset, batches: Any, workers: int = 0) -> None:
        # The private generator keeps the loader from drawing its base seed from the global one at every epoch.
        super().__init__(
            chips,  # type: ignore[arg-type]
            sampler=batches,
            batch_size=None,
            generator=torch.Generator().manual_seed(0),
        )
        self._chips, self._threads = chips, workers
        self._pins = torch.cuda.is_available()

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
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
        batch = self._chips[index]
        return _pinned(batch) if self._pins else batch


def _pinned(value: Any) -> Any:
    """Return a batch in memory that a GPU reads by itself."""
    if isinstance(value, dict):
        return {key: _pinned(part) for key, part in value.items()}
    return value.pin_memory() if isinstance(value, Tensor) else value
