"""Starting a flow from the command line, watching it, and getting its result or its error.

The command line does no work itself: it asks Prefect to start the flow's deployment, as the Prefect pages do, shows
what the run reports, and turns its end into a result or into the one error that the flow meant.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from terralab.catalog.errors import LabError, error_by_code
from terralab.catalog.settings import Settings
from terralab.infra.errors import RunCancelled, RunCrashed
from terralab.infra.prefect_client import PrefectClient

_RESULT_KEY = "result"
_POLL_S = 0.3
_CANCEL_WITHIN_S = 45
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_WARNING = 30
# `in_lab` writes a lab error into the state's message as `[code] text`.
_CODED = re.compile(r"^\[(\w+)\] (.*)$", flags=re.DOTALL)


@dataclass(frozen=True)
class FlowResult:
    """What a flow run made.

    Attributes:
        run: `runs/<id>` of its run item.
        produced: `collection/item` or collection ids.
        metrics: flat numbers.
        reused: whether an earlier run had done the work.
        details: whatever else the flow says.
        flow_run: Prefect's id of the run.
        seconds: wall time from submission to the end.
    """

    run: str
    produced: list[str]
    metrics: dict[str, float] = field(default_factory=dict)
    reused: bool = False
    details: dict[str, Any] = field(default_factory=dict)
    flow_run: str = ""
    seconds: float = 0.0


class Watcher(Protocol):
    """Who is told what a run reports while it goes on."""

    def state(self, name: str) -> None:
        """Take the run's state, such as `Running`."""

    def step(self, name: str, percent: float) -> None:
        """Take a step's progress."""

    def log(self, level: int, message: str) -> None:
        """Take a log record."""


def run_flow(settings: Settings, flow: str, parameters: dict[str, Any], watcher: Watcher) -> FlowResult:
    """Run a flow in the lab and wait for its end; Ctrl-C cancels the run.

    Args:
        settings: the lab's.
        flow: its name, which is also its deployment's.
        parameters: the flow's; those that are None are left to the flow's defaults.
        watcher: is told of the progress.

    Raises:
        LabError: the error that the flow failed with.
        RunCrashed: the run's process died.
        RunCancelled: the run was cancelled by someone else.
        ServiceUnavailable: the lab does not answer.
        KeyboardInterrupt: the user cancelled it.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    begun = time.monotonic()
    with PrefectClient(settings.prefect.api_url) as client:
        run = str(client.start_run(f"{flow}/{flow}", given)["id"])
        try:
            record = _watch(client, run, watcher)
        except KeyboardInterrupt:
            _cancel(client, run, watcher)
            raise
        _refuse_failure(flow, record)
        return _result(client, run, time.monotonic() - begun)


def _watch(client: PrefectClient, run: str, watcher: Watcher, within: float | None = None) -> dict[str, Any]:
    """Follow a run until its end, or for `within` seconds, and return its last record."""
    seen_logs, begun = 0, time.monotonic()
    while True:
        record = client.flow_run(run)
        state = record["state"]
        watcher.state(str(state["name"]))
        seen_logs += _forward_logs(client.logs(run, seen_logs), watcher.log)
        for artifact in client.artifacts(run):
            if artifact["type"] == "progress":
                watcher.step(str(artifact["description"]), float(artifact["data"]))
        if state["type"] in _FINAL or (within is not None and time.monotonic() - begun > within):
            return record
        time.sleep(_POLL_S)


def _forward_logs(records: list[dict[str, Any]], tell: Callable[[int, str], None]) -> int:
    for record in records:
        # Prefect's own remarks are for its pages; a flow's error comes as the command's error.
        if record["name"] == "prefect.flow_runs" or record["level"] >= _WARNING:
            tell(int(record["level"]), str(record["message"]))
    return len(records)


def _cancel(client: PrefectClient, run: str, watcher: Watcher) -> None:
    try:
        client.cancel(run)
        _watch(client, run, watcher, within=_CANCEL_WITHIN_S)
    except KeyboardInterrupt:
        # A second Ctrl-C: the run is being stopped, only nobody waits for it.
        return


def _refuse_failure(flow: str, record: dict[str, Any]) -> None:
    state = record["state"]
    message = str(state.get("message") or "")
    if state["type"] == "FAILED":
        coded = _CODED.match(message)
        raise error_by_code(*coded.groups()) if coded else LabError(f"{flow} failed: {message}")
    if state["type"] == "CRASHED":
        raise RunCrashed(
            f"the {flow} run {record['name']} crashed: {_first_sentence(message)};"
            " repeat the command, finished steps are not done again"
        )
    if state["type"] == "CANCELLED":
        raise RunCancelled(f"the {flow} run {record['name']} was cancelled")


def _result(client: PrefectClient, run: str, seconds: float) -> FlowResult:
    found = [artifact for artifact in client.artifacts(run) if artifact["key"] == _RESULT_KEY]
    if not found:
        raise LabError(f"flow run {run} ended well but left no result; see its page in Prefect")
    return FlowResult(**json.loads(found[-1]["description"]), flow_run=run, seconds=round(seconds, 2))


def _first_sentence(message: str) -> str:
    return message.split(". ")[0].rstrip(".")
