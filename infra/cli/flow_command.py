"""A command that runs a flow: submit, show progress on standard error, print the result.

On a terminal the step and its bar are drawn in place; elsewhere each step is one line, so that logs stay readable.
"""

import sys
from typing import TYPE_CHECKING, Any

import typer

from terralab.infra.cli.exit_codes import INTERRUPTED
from terralab.infra.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from terralab.infra.flow_client import FlowResult

_WARNING = 30


def run_and_print(flow: str, parameters: dict[str, Any], as_json: bool) -> "FlowResult":
    """Run a flow in the lab and print what it made.

    Args:
        flow: the flow's name.
        parameters: the flow's; None leaves one to the flow's default.
        as_json: print one JSON object instead of a table.
    """
    result = run_shown(flow, parameters)
    if as_json:
        print_json(vars(result))
    else:
        print_result(result)
    return result


def run_shown(flow: str, parameters: dict[str, Any]) -> "FlowResult":
    """Run a flow in the lab with its progress on standard error, and return what it made."""
    from terralab.catalog.settings import Settings
    from terralab.infra.flow_client import run_flow

    try:
        if not sys.stderr.isatty():
            return run_flow(Settings(), flow, parameters, LineWatcher(flow))
        with BarWatcher(flow) as watcher:
            return run_flow(Settings(), flow, parameters, watcher)
    except KeyboardInterrupt:
        say(f"{flow}: cancelled")
        raise typer.Exit(INTERRUPTED) from None


def print_result(result: "FlowResult") -> None:
    """Print what a flow made, and its metrics."""
    rows = [("made", name) for name in result.produced]
    rows += [("run", result.run), ("seconds", f"{result.seconds:.1f}{' (done before)' if result.reused else ''}")]
    rows += [(name, f"{value:.4g}") for name, value in result.metrics.items()]
    rows += [("warning", text) for text in result.details.get("warnings", [])]
    print_table(("", ""), rows)


class LineWatcher:
    """Progress as lines, for logs and pipes.

    Args:
        flow: the flow's name.
    """

    def __init__(self, flow: str) -> None:
        self._flow = flow
        self._steps: set[str] = set()

    def state(self, name: str) -> None:
        """Say nothing: the steps tell more."""

    def step(self, name: str, percent: float) -> None:
        """Say a step once."""
        if name not in self._steps:
            self._steps.add(name)
            say(f"{self._flow}: {name}")

    def log(self, level: int, message: str) -> None:
        """Say warnings."""
        if _WARNING <= level < _WARNING + 10:
            say(f"{self._flow}: warning: {message}")


class BarWatcher:
    """Progress drawn in place with rich.

    Args:
        flow: the flow's name.
    """

    def __init__(self, flow: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._flow = flow
        self._task = self._progress.add_task(f"{flow}: starting", total=None)

    def __enter__(self) -> "BarWatcher":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def state(self, name: str) -> None:
        """Show the state until there is a step."""
        if self._progress.tasks[0].total is None:
            self._progress.update(self._task, description=f"{self._flow}: {name.lower()}")

    def step(self, name: str, percent: float) -> None:
        """Show the step and its part done."""
        self._progress.update(self._task, description=f"{self._flow}: {name}", completed=percent, total=100)

    def log(self, level: int, message: str) -> None:
        """Show warnings above the bar."""
        if _WARNING <= level < _WARNING + 10:
            self._progress.console.print(f"warning: {message}", markup=False)
