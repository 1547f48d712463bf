"""Progress of long work: one small interface, seen in a terminal (rich) or in Prefect (logs and artifacts).

Plain functions take a `Progress` and know nothing of who watches.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Element = TypeVar("Element")


class Progress(Protocol):
    """What long work tells those who wait."""

    def step(self, name: str) -> None:
        """Begin a named step, such as `chips`."""

    def advance(self, done: int, total: int) -> None:
        """Say how far the current step is: `done` of `total` units of real size."""

    def message(self, text: str) -> None:
        """Say something worth reading."""

    def table(self, key: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
        """Show a table."""

    def image(self, key: str, title: str, href: str) -> None:
        """Show a stored image; `href` is its `asset://` reference."""


class LogProgress:
    """Progress to the log, for functions that are called without Prefect."""

    def __init__(self) -> None:
        self._log = logging.getLogger("terralab")

    def step(self, name: str) -> None:
        """Log the step's name."""
        self._log.info("%s", name)

    def advance(self, done: int, total: int) -> None:
        """Log at debug level."""
        self._log.debug("%d of %d", done, total)

    def message(self, text: str) -> None:
        """Log the text."""
        self._log.info("%s", text)

    def table(self, key: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
        """Log the rows."""
        for row in rows:
            self._log.info("%s: %s", title, row)

    def image(self, key: str, title: str, href: str) -> None:
        """Log the reference."""
        self._log.info("%s: %s", title, href)


def tracked(progress: Progress, elements: Sequence[Element] | Iterable[Element], total: int) -> Iterator[Element]:
    """Yield `elements` and advance `progress` after each."""
    for done, element in enumerate(elements, start=1):
        yield element
        progress.advance(done, total)
