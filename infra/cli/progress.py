"""Progress of long commands, on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Bar:
    """A line that says what is being done and how much of it; drawn on a terminal only.

    Args:
        progress: rich's, None where nothing is drawn.
        what: the first thing that is done.
    """

    def __init__(self, progress: Any, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None) if progress else None

    def __call__(self, done: int, total: int) -> None:
        """Say how many of how many are done."""
        if self._progress:
            self._progress.update(self._task, completed=done, total=total)

    def step(self, what: str) -> None:
        """Say what is being done."""
        if self._progress:
            self._progress.update(self._task, description=what)


@contextmanager
def progress_bar(what: str) -> Iterator[Bar]:
    """Yield a bar, which leaves no trace."""
    if not sys.stderr.isatty():
        yield Bar(None, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress, what)
