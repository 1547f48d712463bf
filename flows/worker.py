"""The lab's Prefect worker: every flow run is a process of its own, forked from a warm one.

There are two warm processes: `light`, ready within seconds, for runs that only read and write data, and `torch`, which
imports TerraTorch in the background (20 s, once) for tuning and prediction. A deployment says which by the job variable
`imports`.

Prefect's own process runner does the rest: it stops the process when a run is cancelled, and marks the run crashed when
the process ends by a signal or an error outside the flow.
"""

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Literal

import anyio
import anyio.abc
import anyio.to_thread
from prefect.client.schemas.objects import FlowRun
from prefect.flows import Flow, load_flow_from_flow_run
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from pydantic import Field

from terralab.catalog.errors import LabError
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.extensions.lab import RunStatus
from terralab.flows.reconcile import close_items_of
from terralab.flows.warm_process import refuse_unsafe_checkpoints

Imports = Literal["light", "torch"]

LIGHT_MODULES = (
    "prefect.flow_engine",
    "rasterio",
    "terralab.flows.features",
    "terralab.flows.in_lab",
    "terralab.flows.ingest",
    "terralab.flows.onboard",
    "terralab.flows.split",
    "terralab.flows.version",
)
TORCH_MODULES = (
    "prefect.flow_engine",
    "rasterio",
    "torch",
    "lightning.pytorch",
    "terratorch.tasks",
    "terralab.flows.in_lab",
    "terralab.flows.tune",
    "terralab.flows.predict",
    "terralab.flows.validate",
    "terralab.flows.tuning.job",
    "terralab.flows.tuning.checkpoints",
    "terralab.flows.inference.network",
)
_log = logging.getLogger("terralab.worker")


class LabJob(BaseJobConfiguration):
    """How one flow run is executed."""

    imports: Imports = Field(default="torch", description="Which warm process the run is forked from.")


class LabVariables(BaseVariables):
    """What a deployment may say about its runs."""

    imports: Imports = Field(default="torch", description="Which warm process the run is forked from.")


class LabWorkerResult(BaseWorkerResult):
    """How a flow run's process ended."""


class WarmProcess:
    """The worker's end of a warm process (`terralab.flows.warm_process`); starts again by itself when it died.

    Args:
        modules: what it imports.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pids: dict[str, asyncio.Future[int]] = {}
        self._exits: dict[str, asyncio.Future[int]] = {}
        self._reader_task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self.ready = False

    async def start(self) -> None:
        """Start the process where it does not run; its imports go on in the background."""
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return
            ours, theirs = socket.socketpair()
            command = [sys.executable, "-m", "terralab.flows.warm_process", str(theirs.fileno()), *self._modules]
            self._process = await asyncio.create_subprocess_exec(*command, pass_fds=[theirs.fileno()])
            theirs.close()
            reader, self._writer = await asyncio.open_connection(sock=ours)
            self._reader_task = asyncio.create_task(self._read(reader))

    async def fork(self, run: str, environment: dict[str, str]) -> tuple[int, asyncio.Future[int]]:
        """Start a flow run and return its process id and its coming exit code.

        Waits until the imports are done.
        """
        await self.start()
        assert self._writer is not None
        loop = asyncio.get_running_loop()
        pid, ended = loop.create_future(), loop.create_future()
        self._pids[run], self._exits[run] = pid, ended
        self._writer.write(json.dumps({"run": run, "environment": environment}).encode() + b"\n")
        await self._writer.drain()
        return await pid, ended

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            message = json.loads(line)
            self.ready = True
            if "pid" in message:
                self._pids.pop(message["run"]).set_result(message["pid"])
            elif "exit" in message:
                self._exits.pop(message["run"]).set_result(message["exit"])
        self.ready = False
        for waiting in self._pids.values():
            waiting.set_exception(RuntimeError("the process that runs are forked from has died"))
        for waiting in self._exits.values():
            # Its runs died with it, by the same signal of the kernel.
            waiting.set_result(-9)
        self._pids, self._exits = {}, {}


class ForkedRun:
    """A forked flow run as Prefect's runner wants to see a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None


class ForkStarter:
    """Prefect's strategy object for starting the process of a flow run."""

    def __init__(self, warm: WarmProcess, environment: dict[str, str], context: FlowRunExecutorContext) -> None:
        self._warm = warm
        self._environment = environment
        self._control = context.control_channel

    async def start(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Fork the run, report its process, and wait for its end."""
        port, token = self._control.register(flow_run.id)
        environment = {
            **self._environment,
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
            "PREFECT__CONTROL_PORT": str(port),
            "PREFECT__CONTROL_TOKEN": token,
        }
        pid, ended = await self._warm.fork(str(flow_run.id), environment)
        run = ForkedRun(pid)
        scope = create_isolated_termination_scope(pid)
        task_status.started(ProcessHandle(run, termination_scope=scope))  # type: ignore[arg-type]
        run.returncode = await ended


class LabWorker(BaseWorker[LabJob, LabVariables, LabWorkerResult]):
    """Runs flows in forked processes."""

    type = "terralab"
    job_configuration = LabJob
    job_configuration_variables = LabVariables
    _display_name = "TerraLab"
    _description = "Runs each flow in its own process, forked from one that has TerraTorch imported."

    async def setup(self) -> None:
        """Prepare the worker and its light warm process.

        Raises:
            SetupProblem: the environment switches off torch's protection against code in checkpoints.
        """
        refuse_unsafe_checkpoints()
        self._settings = Settings()
        self._warm = {"light": WarmProcess(LIGHT_MODULES), "torch": WarmProcess(TORCH_MODULES)}
        await super().setup()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Look for work; from the first look on, import in the background what runs need, the quick part first."""
        submitted = await super().get_and_submit_flow_runs()
        await self._warm["light"].start()
        if self._warm["light"].ready:
            await self._warm["torch"].start()
        return submitted

    async def run(
        self,
        flow_run: FlowRun,
        configuration: LabJob,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> LabWorkerResult:
        """Run a flow in a process of its own and return how that process ended."""
        async with FlowRunExecutorContext() as context, anyio.create_task_group() as group:
            starter = ForkStarter(self._warm[configuration.imports], self._environment(configuration), context)
            executor = context.create_executor(flow_run, starter, resolve_flow=_resolve_flow, propose_submitting=False)
            finished: list[Any] = []

            async def execute(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
                finished.append(await executor.submit(task_status=task_status))

            handle = await group.start(execute)
            if task_status is not None:
                task_status.started(handle.pid)
        await self._close_items(flow_run)
        result = finished[0]
        if result is None or result.status_code is None:
            raise RuntimeError("the flow run's process did not start")
        return LabWorkerResult(status_code=result.status_code, identifier=str(result.handle.pid))

    async def _close_items(self, flow_run: FlowRun) -> None:
        """Close the catalog's record of the run where the process ended before it could."""
        state = (await self.client.read_flow_run(flow_run.id)).state
        cancelled = state is not None and (state.is_cancelled() or state.is_cancelling())
        status = RunStatus.CANCELLED if cancelled else RunStatus.CRASHED
        try:
            await anyio.to_thread.run_sync(close_items_of, Workspace(self._settings), str(flow_run.id), status)
        except LabError as error:
            # The next start of the worker closes it.
            _log.warning("cannot close the items of flow run %s: %s", flow_run.id, error)

    def _environment(self, configuration: LabJob) -> dict[str, str]:
        """Return what differs from the worker's own environment."""
        cores = os.cpu_count() or 1
        threads = (self._settings.worker.threads or cores) if configuration.imports == "torch" else 1
        given = {name: value for name, value in configuration.env.items() if value is not None}
        return {"OMP_NUM_THREADS": str(threads), **given}


async def _resolve_flow(flow_run: FlowRun) -> Flow[..., Any]:
    return await load_flow_from_flow_run(flow_run)
