"""Closing what died: runs that Prefect or the catalog still believe to be under way, though their process is gone.

A killed worker cannot report, and Prefect never notices by itself: such a run would stay RUNNING for ever. So the
worker does this first when it starts. It is the only worker of its pool and its runs die with it, so every run that
is not merely scheduled, and whose process does not exist, has crashed.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psutil
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import format_time
from terralab.extensions.lab import ERROR_PROP, FINISHED_PROP, FLOW_RUN_PROP, STATUS_PROP, RunStatus
from terralab.extensions.run import RUNS_COLLECTION

CRASHED_MESSAGE = "the process of this run ended without a word (killed, or the machine stopped)"
_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
# This Prefect client sends `null` for what is not given, which this FastAPI refuses: limits and orders must be given.
_MANY = 200
_log = logging.getLogger("terralab.reconcile")


async def reconcile(client: PrefectClient, workspace: Workspace, work_pool: str) -> None:
    """Close dead flow runs of a work pool in Prefect, and the catalog's runs whose flow run has ended or is unknown."""
    for flow_run in await _flow_runs_under_way(client, work_pool):
        if not process_exists(flow_run):
            await _close_flow_run(client, flow_run)
    unfinished = list(running_items(workspace))
    ids = [str(item["properties"].get(FLOW_RUN_PROP, "")) for item in unfinished]
    alive = await _still_under_way(client, [given for given in ids if given])
    close_items(workspace, (item for item, given in zip(unfinished, ids, strict=True) if given not in alive))


def process_exists(flow_run: FlowRun) -> bool:
    """Say whether the process that a flow run was started in still runs: same number, started before the run did."""
    try:
        process = psutil.Process(int(flow_run.infrastructure_pid or ""))
    except (ValueError, psutil.Error):
        return False
    begun = flow_run.start_time or flow_run.created
    return process.status() != psutil.STATUS_ZOMBIE and (
        begun is None or process.create_time() <= begun.timestamp() + 5
    )


def running_items(workspace: Workspace) -> Iterable[dict[str, Any]]:
    """Return the run items that the catalog says are under way."""
    under_way = {"op": "=", "args": [{"property": STATUS_PROP}, RunStatus.RUNNING.value]}
    return workspace.catalog.search(collections=[RUNS_COLLECTION], filter=under_way)


def close_items_of(workspace: Workspace, flow_run: str, status: RunStatus) -> int:
    """Close the run items that a flow run left under way when its process ended."""
    return close_items(
        workspace,
        (item for item in running_items(workspace) if item["properties"].get(FLOW_RUN_PROP) == flow_run),
        status,
    )


def close_items(workspace: Workspace, items: Iterable[dict[str, Any]], status: RunStatus = RunStatus.CRASHED) -> int:
    """Mark run items as crashed (or cancelled) and return how many there were."""
    closed = [_closed(item, status) for item in items]
    if closed:
        publish(workspace, items=closed)
        _log.warning("closed as %s: %s", status.value, ", ".join(item["id"] for item in closed))
    return len(closed)


def _closed(item: dict[str, Any], status: RunStatus) -> dict[str, Any]:
    message = CRASHED_MESSAGE if status is RunStatus.CRASHED else "stopped by the user"
    properties = {
        **item["properties"],
        STATUS_PROP: status.value,
        FINISHED_PROP: format_time(datetime.now(UTC)),
        ERROR_PROP: {"code": status.value, "message": message},
    }
    return {**item, "properties": properties}


async def _flow_runs_under_way(client: PrefectClient, work_pool: str) -> list[FlowRun]:
    return await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[work_pool])),
        sort=FlowRunSort.ID_DESC,
        limit=_MANY,
    )


async def _close_flow_run(client: PrefectClient, flow_run: FlowRun) -> None:
    cancelling = flow_run.state is not None and flow_run.state.is_cancelling()
    state: State[None] = Cancelled(message=CRASHED_MESSAGE) if cancelling else Crashed(message=CRASHED_MESSAGE)
    await client.set_flow_run_state(flow_run.id, state, force=True)
    _log.warning("flow run %s (%s) is closed as %s", flow_run.name, flow_run.id, state.name)


async def _still_under_way(client: PrefectClient, ids: list[str]) -> set[str]:
    if not ids:
        return set()
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId.model_validate({"any_": ids[:_MANY]})),
        sort=FlowRunSort.ID_DESC,
        limit=_MANY,
    )
    return {str(run.id) for run in found if run.state is not None and not run.state.is_final()}
