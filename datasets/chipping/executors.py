"""Where chips are cut: in this process, in processes of this machine, or on a Ray cluster."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from terralab.catalog.errors import SetupProblem

Job = TypeVar("Job")
Result = TypeVar("Result")


class Engine(StrEnum):
    """Where the work is done."""

    SERIAL = "serial"
    PROCESSES = "processes"
    RAY = "ray"


class Executor(Protocol):
    """Does jobs, and gives their results in the order of the jobs."""

    def map(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield `work(job)` for each job; `work` is a function of a module, and jobs and results can be pickled."""
        ...


class SerialExecutor:
    """Does one job after the other in this process."""

    def map(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield `work(job)` for each job."""
        yield from map(work, jobs)


class ProcessExecutor:
    """Does jobs in processes of this machine.

    Args:
        workers: processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def map(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield `work(job)` for each job."""
        # Spawned, not forked: this process has threads and open connections to the database.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._workers, mp_context=context)
        try:
            yield from pool.map(work, jobs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class RayExecutor:
    """Does jobs as tasks of a Ray cluster: the one that RAY_ADDRESS names, else one that it starts on this machine.

    The asset store must be reachable from every node.

    Raises:
        SetupProblem: Ray is not installed.
    """

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise SetupProblem(
                "engine ray: Ray is not installed; install it with `pip install ray`, or use the engine processes"
            ) from error
        self._ray: Any = ray

    def map(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield `work(job)` for each job."""
        ray = self._ray
        started_here = not ray.is_initialized()
        if started_here:
            ray.init(log_to_driver=False)
        try:
            remote = ray.remote(work)
            yield from (ray.get(reference) for reference in [remote.remote(job) for job in jobs])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        finally:
            if started_here:
                ray.shutdown()


def executor_of(engine: Engine, workers: int | None = None) -> Executor:
    """Return the executor of an engine.

    Args:
        engine: where the work is done.
        workers: processes; by default one for each core.
    """
    if engine is Engine.RAY:
        return RayExecutor()
    count = workers or os.cpu_count() or 1
    return SerialExecutor() if engine is Engine.SERIAL or count == 1 else ProcessExecutor(count)
