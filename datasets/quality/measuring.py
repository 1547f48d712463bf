"""Measuring all chips, by several processes, in order and with bounded memory.

The processes are started anew (`spawn`), not forked: a flow run has threads of Prefect and of numerical libraries, and
a fork of such a process may hang. Each takes a batch of chips at a time, and only a few batches are under way, so that
memory does not grow with the dataset.
"""

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context

from terralab.catalog.errors import LabError
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store, open_store
from terralab.datasets.quality.chip_source import ChipSource
from terralab.datasets.quality.measures import ChipMeasures, measure_chip

_BATCH = 16
_AHEAD = 4
_FEW = 200
_MOST = 16
_PR_SET_PDEATHSIG = 1
_store: Store | None = None


def measure_all(
    settings: Settings, store: Store, sources: Iterable[ChipSource], total: int, processes: int | None = None
) -> Iterator[tuple[ChipSource, ChipMeasures]]:
    """Yield every chip with its measures, in the order of the sources.

    Args:
        settings: the lab's, by which the processes open the store.
        store: the lab's.
        sources: the chips.
        total: how many they are; few are measured in this process.
        processes: how many; by default as many as this process may use.

    Raises:
        LabError: a process died, such as for want of memory.
    """
    workers = min(processes or len(os.sched_getaffinity(0)), _MOST)
    if workers == 1 or total < _FEW:
        yield from ((source, measure_chip(store, source)) for source in sources)
        return
    waiting: deque[tuple[list[ChipSource], Future[list[ChipMeasures]]]] = deque()
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(settings,))
    try:
        for batch in _batches(sources):
            waiting.append((batch, pool.submit(_measure, batch)))
            if len(waiting) >= _AHEAD * workers:
                yield from _finished(*waiting.popleft())
        while waiting:
            yield from _finished(*waiting.popleft())
    except BrokenProcessPool as error:
        raise LabError("a process that measured chips died, perhaps for want of memory; repeat the command") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(batch: list[ChipSource], future: Future[list[ChipMeasures]]) -> Iterator[tuple[ChipSource, ChipMeasures]]:
    return zip(batch, future.result(), strict=True)


def _batches(sources: Iterable[ChipSource]) -> Iterator[list[ChipSource]]:
    iterator = iter(sources)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _start(settings: Settings) -> None:
    """Prepare a process: it ends with its parent, and leaves Ctrl-C to it."""
    global _store  # what a process of the pool keeps between its batches
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _store = open_store(settings, holds=True)


def _measure(batch: list[ChipSource]) -> list[ChipMeasures]:
    assert _store is not None  # `_start` ran first
    return [measure_chip(_store, source) for source in batch]
