"""The `worker` service: deploy the flows, close what died, then do the work.

Run as `python -m terralab.infra.worker_process` under the lab's supervisor. It ends at once when it is told to stop,
and takes its runs along; the next start closes them as crashed. So stopping the lab is quick, and there is only one
way by which a run can be interrupted.
"""

import asyncio
import logging
import sys

import httpx
from prefect.client.orchestration import get_client

from terralab.catalog.errors import LabError
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.flows.reconcile import reconcile
from terralab.flows.warm_process import refuse_unsafe_checkpoints
from terralab.flows.worker import LabWorker
from terralab.infra.deployments import deploy_flows
from terralab.infra.prefect_server import WORK_POOL, WORKER_NAME

_PATIENCE_S = 120
_log = logging.getLogger("terralab.worker")


def main() -> int:
    """Run the worker until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        refuse_unsafe_checkpoints()
        asyncio.run(_work(Settings()))
    except LabError as error:
        _log.error("%s", error)
        return 1
    return 0


async def _work(settings: Settings) -> None:
    await _wait_for_server(settings.prefect.api_url)
    async with get_client() as client:
        deployed = await deploy_flows(client, WORK_POOL)
        _log.info("deployed: %s", ", ".join(deployed) or "nothing changed")
        await reconcile(client, Workspace(settings), WORK_POOL)
    worker = LabWorker(work_pool_name=WORK_POOL, name=WORKER_NAME, limit=settings.worker.runs)
    await worker.start(printer=_log.info)


async def _wait_for_server(api_url: str) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(_PATIENCE_S * 5):
            try:
                (await http.get(f"{api_url}/health")).raise_for_status()
                return
            except httpx.HTTPError:
                await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
