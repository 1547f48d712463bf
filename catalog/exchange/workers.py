"""Processes that load pieces side by side, each with a connection of its own.

They take no notice of Ctrl-C: the process that started them lets them finish the piece at hand, so that none is half
done. Where there is only one piece, it is loaded in the process itself.
"""

import gc
import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from terralab.catalog.errors import LabError, ServiceUnavailable
from terralab.catalog.exchange.batch import BatchLoader
from terralab.catalog.exchange.chunks import Chunk
from terralab.catalog.exchange.journal import Journal
from terralab.catalog.exchange.prepared import BatchOptions
from terralab.catalog.exchange.results import ChunkResult
from terralab.catalog.exchange.stored_documents import FormChoice
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace

_STATEMENT_S = 3600.0
_LOCK_S = 300.0
_SETTINGS = {
    # A plan that was made while the catalog was empty would read all of it for each batch later.
    "plan_cache_mode": "force_custom_plan",
    # The trigger that counts items sees all rows of a statement at once.
    "work_mem": "64MB",
}


@dataclass(frozen=True)
class Task:
    """A piece to load: its number in the load, and whether it is stored or only checked."""

    number: int
    chunk: Chunk
    store: bool


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs; it travels to its process.

    Attributes:
        settings: of the lab.
        database_url: of the catalog.
        journal: of the load.
        options: how pieces are loaded.
        form: which form the documents have.
    """

    settings: Settings
    database_url: str
    journal: Journal
    options: BatchOptions
    form: FormChoice

    def loader(self) -> BatchLoader:
        """Return what loads pieces, with a connection that is kept."""
        workspace = Workspace(self.settings, self.database_url)
        workspace.catalog.open_pool(1, _STATEMENT_S, _LOCK_S, **_SETTINGS)
        form = self.form.form(workspace.store)
        return BatchLoader(workspace, form, self.journal, self.options)


class Workers(Protocol):
    """Takes pieces and gives results, in any order.

    Attributes:
        free: how many pieces can be handed over now.
    """

    @property
    def free(self) -> int: ...  # noqa: D102  # described above

    def submit(self, task: Task) -> None:
        """Hand a piece over; only where one is free."""
        ...

    def results(self) -> list[ChunkResult]:
        """Return what is done, after waiting for at least one; only where something was submitted.

        Raises:
            LabError: a piece could not be loaded.
        """
        ...


@contextmanager
def open_workers(setup: WorkerSetup, count: int) -> Iterator[Workers]:
    """Yield `count` processes, or for 1 this process itself; they are ended afterwards.

    Args:
        setup: what they need.
        count: how many.
    """
    if count == 1:
        here = _Here(setup)
        try:
            yield here
        finally:
            here.close()
        return
    context: Any = multiprocessing.get_context(_method())
    pipes = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, setup), daemon=True)
        process.start()
        theirs.close()
        pipes.append((process, ours))
    try:
        yield _Processes([pipe for _, pipe in pipes])
    finally:
        for _, pipe in pipes:
            # Which ends it after the piece at hand. (A closed pipe would not: forked processes hold each other's ends.)
            with suppress(OSError):
                pipe.send(None)
        for process, pipe in pipes:
            process.join()
            pipe.close()


class _Here:
    """Loads pieces in this process."""

    def __init__(self, setup: WorkerSetup) -> None:
        self.free = 1
        self._loader = setup.loader()
        self._done: list[ChunkResult] = []

    def close(self) -> None:
        self._loader.close()

    def submit(self, task: Task) -> None:
        self._done.append(self._loader.load(task.number, task.chunk, task.store))
        self.free = 0

    def results(self) -> list[ChunkResult]:
        done, self._done, self.free = self._done, [], 1
        return done


class _Processes:
    """Loads pieces in processes."""

    def __init__(self, pipes: list[Connection]) -> None:
        self._idle, self._busy = list(pipes), list[Connection]()

    @property
    def free(self) -> int:
        return len(self._idle)

    def submit(self, task: Task) -> None:
        pipe = self._idle.pop()
        pipe.send(task)
        self._busy.append(pipe)

    def results(self) -> list[ChunkResult]:
        found = []
        for pipe in wait(self._busy):
            assert isinstance(pipe, Connection)  # nothing else was given
            self._busy.remove(pipe)
            try:
                answer = pipe.recv()
            except EOFError:
                raise ServiceUnavailable(
                    "a process of the load ended unasked (out of memory?); repeat the command, which goes on from there"
                ) from None
            self._idle.append(pipe)
            if isinstance(answer, LabError):
                raise answer
            found.append(answer)
        return found


def _work(pipe: Connection, setup: WorkerSetup) -> None:
    """Load pieces until there is none left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Documents are trees, which need no collector; looking for cycles among millions of them takes a fifth of the time.
    gc.disable()
    loader = setup.loader()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        if task is None:
            return
        try:
            pipe.send(loader.load(task.number, task.chunk, task.store))
        except LabError as error:
            pipe.send(error)


def _method() -> str:
    """Return how processes are started: a fork is at once ready, but safe only where no other thread runs."""
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"
