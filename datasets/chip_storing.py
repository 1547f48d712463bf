"""Storing the small files of chips, many at once: a flush of its own for each takes longer than cutting the chip."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from terralab.catalog.store import Store
from terralab.extensions.item import StoredFile

CHIP_ALGORITHM = "md5"
"""Chips are stored by MD5, so that the store is the DVC cache of their versions."""

_FILES_AT_ONCE = 256
_THREADS = 8
Job = TypeVar("Job")
Result = TypeVar("Result")
Thing = TypeVar("Thing")


def stored_chips(
    store: Store, chips: Iterable[tuple[Thing, Sequence[tuple[Path, str]]]]
) -> Iterator[tuple[Thing, list[StoredFile]]]:
    """Yield each chip with its stored files, in their order; while some are stored, the next ones are made.

    Args:
        store: takes the files.
        chips: each with its files in a `scratch` folder of the store, and the names that users see.
    """

    def store_batch(
        batch: Sequence[tuple[Thing, Sequence[tuple[Path, str]]]],
    ) -> list[tuple[Thing, list[StoredFile]]]:
        files = iter(store.put_many([file for _, own in batch for file in own], CHIP_ALGORITHM))
        return [(thing, [next(files) for _ in own]) for thing, own in batch]

    for batch in in_threads(store_batch, _batches(chips), ahead=2, threads=1):
        yield from batch


def in_threads(
    work: Callable[[Job], Result], jobs: Iterable[Job], ahead: int, threads: int = _THREADS
) -> Iterator[Result]:
    """Yield `work(job)` in the order of the jobs, with at most `ahead` of them under way."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batches(
    chips: Iterable[tuple[Thing, Sequence[tuple[Path, str]]]],
) -> Iterator[list[tuple[Thing, Sequence[tuple[Path, str]]]]]:
    batch: list[tuple[Thing, Sequence[tuple[Path, str]]]] = []
    count = 0
    for chip in chips:
        batch.append(chip)
        count += len(chip[1])
        if count >= _FILES_AT_ONCE:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch
