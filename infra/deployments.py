"""Deployments: every flow in `prefect.yaml`, registered at the lab's Prefect server.

`prefect deploy --all` would do the same, but as a process of its own that imports Prefect once more; the worker,
which has to import it anyway, does it before it takes work. Each deployment carries a version that follows from the
file and from the code of the flows, so a second start finds that nothing changed and asks the server one question.
"""

import hashlib
import logging
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.sorting import DeploymentSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound

from terralab.flows.worker import LabWorker

_MANY = 200
_log = logging.getLogger("terralab.deployments")


async def deploy_flows(client: PrefectClient, work_pool: str) -> list[str]:
    """Make the work pool and deploy all flows, where that is not done yet.

    Returns:
        Names of the deployments that were made or changed.
    """
    await _ensure_work_pool(client, work_pool)
    entries, code = declared_deployments(), code_version()
    current = {
        found.name
        for found in await client.read_deployments(limit=_MANY, sort=DeploymentSort.NAME_ASC)
        if found.version == code
    }
    missing = [entry for entry in entries if entry["name"] not in current]
    return [entry["name"] for entry in missing if await _deploy(entry, code)]


def declared_deployments() -> list[dict[str, Any]]:
    """Return the deployments that `prefect.yaml` declares."""
    text = files("terralab.infra").joinpath("prefect.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load(text)["deployments"])


def code_version() -> str:
    """Return a version that changes with `prefect.yaml`, the flows' modules or the package."""
    state = hashlib.sha256(version("terralab").encode())
    flows = [entry for entry in files("terralab.flows").iterdir() if entry.name.endswith(".py")]
    for source in [files("terralab.infra").joinpath("prefect.yaml"), *_by_name(flows)]:
        state.update(source.read_bytes())
    return f"{version('terralab')}+{state.hexdigest()[:12]}"


def _by_name(entries: Sequence[Traversable]) -> list[Traversable]:
    return sorted(entries, key=lambda entry: entry.name)


async def _ensure_work_pool(client: PrefectClient, name: str) -> None:
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        template = LabWorker.get_default_base_job_template()
        await client.create_work_pool(WorkPoolCreate(name=name, type=LabWorker.type, base_job_template=template))


async def _deploy(entry: dict[str, Any], code: str) -> bool:
    """Deploy one flow; one that cannot be imported is reported and must not keep the others from working."""
    try:
        deployment = RunnerDeployment.from_entrypoint(
            entry["entrypoint"],
            name=entry["name"],
            description=entry["description"],
            tags=entry["tags"],
            version=code,
            work_pool_name=entry["work_pool"]["name"],
            job_variables=entry["work_pool"]["job_variables"],
        )
    except ImportError:
        _log.exception("%s is not deployed: %s cannot be imported", entry["name"], entry["entrypoint"])
        return False
    await deployment.aapply()
    return True
