"""What runs, and whether it really works: every service is asked, not only looked up in the process table."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

from terralab.catalog.database import Catalog
from terralab.catalog.errors import LabError
from terralab.catalog.migration import pgstac_version
from terralab.catalog.problems import PROBLEM_TYPE
from terralab.catalog.settings import Settings
from terralab.infra.home import LabHome
from terralab.infra.prefect_client import PrefectClient
from terralab.infra.prefect_server import WORK_POOL, WORKER_HEARTBEAT_S, WORKER_NAME
from terralab.infra.supervision import ProgramState, Supervisor

SERVICES = ("postgres", "web", "prefect", "worker")
_HEALTH_PATH = "/readyz"
_TIMEOUT_S = 5.0
_PACKAGES = ("terralab", "stac-fastapi-pgstac", "titiler-core", "prefect", "terratorch", "torch", "dvc")


@dataclass(frozen=True)
class ServiceStatus:
    """One service.

    Attributes:
        url: where it listens; for the database without user and password.
        healthy: whether it answered as it should.
        pid: its process id, None where it does not run or is not the lab's own.
        state: supervisord's word for it, or `external`.
        restarts: how often it ended unasked since the lab was started.
        last_exit: how it ended the last time.
        problem: why it is not healthy.
    """

    url: str
    healthy: bool
    pid: int | None
    state: str = "STOPPED"
    restarts: int = 0
    last_exit: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class LabStatus:
    """The whole lab.

    Attributes:
        services: by name.
        versions: of the packages and the database.
        counts: items in the catalog by kind.
        notes: what a person should know, such as processes that nobody supervises.
    """

    services: dict[str, ServiceStatus]
    versions: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Return whether every service is healthy."""
        return all(service.healthy for service in self.services.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return asdict(self)


def lab_status(settings: Settings) -> LabStatus:
    """Ask every service and return what they said."""
    supervisor = Supervisor(LabHome(settings))
    services = services_status(settings, supervisor.states())
    healthy = services["postgres"].healthy
    return LabStatus(
        services,
        versions=versions(settings.database_url if healthy else None),
        counts=Catalog(settings.database_url).counts() if healthy else {},
        notes=_notes(supervisor),
    )


def services_status(settings: Settings, states: dict[str, ProgramState]) -> dict[str, ServiceStatus]:
    """Return the status of every service, given what supervisord says."""
    checks: dict[str, tuple[str, Callable[[], None]]] = {
        "postgres": (_database_place(settings), lambda: _check_database(settings)),
        "web": (settings.web.url, lambda: _check_page(_local(settings.web.host, settings.web.port) + _HEALTH_PATH)),
        "prefect": (settings.prefect.url, lambda: _check_page(f"{settings.prefect.api_url}/health")),
        "worker": (f"{settings.prefect.url}/work-pools/work-pool/{WORK_POOL}", lambda: _check_worker(settings, states)),
    }
    external = {"postgres"} if settings.database.database_url else set()
    return {name: _service(name, *checks[name], states.get(name), name in external) for name in SERVICES}


def versions(database_url: str | None) -> dict[str, str]:
    """Return the versions of what the lab is made of; of the database where it answers."""
    found = {"python": python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            # A part that is not installed here, such as torch beside a tile server.
            continue
    return {**found, **_database_versions(database_url)} if database_url else found


def _service(
    name: str, url: str, check: Callable[[], None], state: ProgramState | None, external: bool
) -> ServiceStatus:
    if external:
        return _checked(ServiceStatus(url, True, None, state="external"), check)
    if state is None:
        return ServiceStatus(url, False, None, problem="not running")
    known = ServiceStatus(url, True, state.pid, state.state, state.restarts, state.last_exit)
    if state.state not in {"RUNNING", "STARTING"}:
        return ServiceStatus(**{**asdict(known), "healthy": False, "problem": state.last_exit or state.state.lower()})
    return _checked(known, check)


def _checked(known: ServiceStatus, check: Callable[[], None]) -> ServiceStatus:
    try:
        check()
    except (httpx.HTTPError, psycopg.Error, LabError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return ServiceStatus(**{**asdict(known), "healthy": False, "problem": reason})
    return known


def _check_page(url: str) -> None:
    answer = _http().get(url)
    if answer.headers.get("content-type") == PROBLEM_TYPE:
        raise LabError(answer.json()["detail"])
    answer.raise_for_status()


@cache
def _http() -> httpx.Client:
    # One client for all questions: making one reads the machine's certificates, 30 ms of work.
    return httpx.Client(timeout=_TIMEOUT_S)


@cache
def _prefect(api_url: str) -> PrefectClient:
    return PrefectClient(api_url, timeout=_TIMEOUT_S)


def _check_database(settings: Settings) -> None:
    with psycopg.connect(settings.database_url, connect_timeout=int(_TIMEOUT_S)) as connection:
        connection.execute("SELECT 1")


def _check_worker(settings: Settings, states: dict[str, ProgramState]) -> None:
    """Raise where the worker has not reported to Prefect since it was started, or not lately."""
    workers = _prefect(settings.prefect.api_url).workers(WORK_POOL)
    found = {worker["name"]: worker for worker in workers}
    heard = found.get(WORKER_NAME, {}).get("last_heartbeat_time")
    if heard is None:
        raise LabError("has not reported to Prefect yet")
    last = datetime.fromisoformat(heard)
    if last.timestamp() < states["worker"].started:
        raise LabError("has not reported to Prefect since it was started")
    age = (datetime.now(UTC) - last).total_seconds()
    if age > 4 * WORKER_HEARTBEAT_S:
        raise LabError(f"last reported to Prefect {age:.0f} s ago")


def _database_place(settings: Settings) -> str:
    try:
        parts = urlsplit(settings.database_url)
    except LabError:
        return ""
    return f"postgresql://{parts.hostname}:{parts.port or 5432}{parts.path}"


def _database_versions(url: str) -> dict[str, str]:
    with psycopg.connect(url, connect_timeout=int(_TIMEOUT_S)) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'postgis')"
        ).fetchone()
    server, postgis = row if row else ("", None)
    return {
        "postgresql": str(server).split(" ")[0],
        **({"postgis": str(postgis)} if postgis else {}),
        "pgstac": pgstac_version(url) or "none",
    }


def _local(host: str, port: int) -> str:
    """Return the address to ask a service at, which listens on `host`."""
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104


def _notes(supervisor: Supervisor) -> list[str]:
    if supervisor.is_running():
        return []
    orphans = supervisor.orphans()
    if not orphans:
        return ["the lab is not running; start it with `terralab up`"]
    pids = ", ".join(str(process.pid) for process in orphans)
    return [
        f"the supervisor is gone and left processes behind ({pids}); `terralab up` ends them and starts the lab again"
    ]
