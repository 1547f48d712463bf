"""Runs in the catalog: every flow writes a run item when it starts and closes it when it ends, well or badly.

A run's id follows from its inputs, parameters and code version. Work that already succeeded is found by that id and not
done again; a run whose process died stays `running` until the worker that starts next closes it as `crashed`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prefect.runtime import flow_run

from terralab.catalog.errors import LabError, OutOfSpace, ServiceUnavailable
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import Footprint, item_link
from terralab.extensions.lab import (
    EXECUTION_REL,
    METRICS_PROP,
    PARAMS_PROP,
    PRODUCED_REL,
    STATUS_PROP,
    RunStatus,
    RunType,
)
from terralab.extensions.run import RUNS_COLLECTION, RunRecord, runs_collection


@dataclass(frozen=True)
class Outcome:
    """What a flow made.

    Attributes:
        run: id of the run item.
        produced: (collection, item) pairs.
        metrics: flat numbers.
        reused: True where an earlier run had done the work.
        details: whatever else a caller shows; JSON values.
    """

    run: str
    produced: list[tuple[str, str]]
    metrics: dict[str, float] = field(default_factory=dict)
    reused: bool = False
    details: dict[str, Any] = field(default_factory=dict)


def finished_run(workspace: Workspace, run_id: str) -> Outcome | None:
    """Return what the run of that id made, where it succeeded and all it made is still there; else None."""
    item = workspace.catalog.find_item(RUNS_COLLECTION, run_id)
    if item is None or item["properties"][STATUS_PROP] != RunStatus.SUCCEEDED:
        return None
    produced = [_pair(link["href"]) for link in item["links"] if link["rel"] == PRODUCED_REL]
    if any(workspace.catalog.find_item(*pair) is None for pair in produced):
        return None
    properties = item["properties"]
    return Outcome(
        run_id,
        produced,
        properties.get(METRICS_PROP) or {},
        reused=True,
        details=properties[PARAMS_PROP].get("details", {}),
    )


class RecordedRun:
    """A run under way; made by `recorded_run`."""

    def __init__(self, workspace: Workspace, record: RunRecord) -> None:
        self.workspace = workspace
        self.record = record

    @property
    def link(self) -> dict[str, Any]:
        """Return the `processing-execution` link that everything the run makes carries."""
        return item_link(EXECUTION_REL, RUNS_COLLECTION, self.record.id)

    def succeed(
        self,
        *,
        collections: Sequence[dict[str, Any]] = (),
        items: Sequence[dict[str, Any]] = (),
        produced: Sequence[tuple[str, str]],
        metrics: dict[str, float] | None = None,
        details: dict[str, Any] | None = None,
    ) -> Outcome:
        """Publish everything that was made together with the run's success, in one transaction.

        Args:
            collections: collections of the items.
            items: all that was made.
            produced: the items that the run item links (a dataset's chips are reached through their collection).
            metrics: flat numbers.
            details: JSON values that a rerun should give again.
        """
        self.record.status = RunStatus.SUCCEEDED
        self.record.finished = datetime.now(UTC)
        self.record.produced = list(produced)
        self.record.metrics = metrics or {}
        if details:
            self.record.params = {**self.record.params, "details": details}
        publish(
            self.workspace,
            [*collections, runs_collection(self.record.footprint)],
            [*items, self.record.to_item()],
        )
        return Outcome(self.record.id, list(produced), self.record.metrics, details=details or {})

    def close(self, status: RunStatus, code: str, message: str) -> None:
        """Write down that the run ended without success.

        Where the catalog cannot take it, the run stays open, for the worker that starts next to close: what ended the
        run is the error that the user must see.
        """
        self.record.status = status
        self.record.finished = datetime.now(UTC)
        self.record.error = {"code": code, "message": message}
        with suppress(ServiceUnavailable, OutOfSpace):
            publish(self.workspace, [runs_collection(self.record.footprint)], [self.record.to_item()])


@contextmanager
def recorded_run(
    workspace: Workspace,
    run_type: RunType,
    run_id: str,
    *,
    footprint: Footprint,
    params: dict[str, Any],
    inputs: Sequence[dict[str, Any]] = (),
    software: dict[str, str] | None = None,
    seed: int | None = None,
) -> Iterator[RecordedRun]:
    """Write a run item as `running`, and close it as `failed` or `cancelled` where the work raises.

    The work itself calls `RecordedRun.succeed`.

    Args:
        workspace: the lab.
        run_type: which flow.
        run_id: from `ids.derived_id`.
        footprint: of the data that the run works on.
        params: the flow's parameters, JSON values.
        inputs: `derived_from` links.
        software: name → version.
        seed: of random numbers.
    """
    record = RunRecord(
        run_id,
        run_type,
        RunStatus.RUNNING,
        footprint,
        datetime.now(UTC),
        params=params,
        inputs=inputs,
        software=software or {},
        seed=seed,
        flow_run=current_flow_run(),
    )
    run = RecordedRun(workspace, record)
    publish(workspace, [runs_collection(footprint)], [record.to_item()])
    try:
        yield run
    except LabError as error:
        run.close(RunStatus.FAILED, error.code, str(error))
        raise
    except KeyboardInterrupt:
        run.close(RunStatus.CANCELLED, "cancelled", "stopped by the user")
        raise
    except Exception as error:
        run.close(RunStatus.FAILED, "unexpected", f"{type(error).__name__}: {error}")
        raise


def current_flow_run() -> str | None:
    """Return the id of the Prefect flow run that this code runs in, None outside Prefect."""
    found = flow_run.get_id()
    return str(found) if found else None


def _pair(href: str) -> tuple[str, str]:
    _, collection, _, item = href.split("/")
    return collection, item
