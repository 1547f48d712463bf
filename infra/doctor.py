"""`terralab doctor`: whether this machine has what the lab needs, one line for each check, with what to do."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from terralab.catalog.database import Catalog
from terralab.catalog.errors import LabError, ServiceUnavailable
from terralab.catalog.migration import PGSTAC_VERSION, pgstac_version
from terralab.catalog.schema_check import check_objects
from terralab.catalog.settings import Settings
from terralab.flows.warm_process import refuse_unsafe_checkpoints
from terralab.infra.home import LabHome
from terralab.infra.postgres import server_binaries
from terralab.infra.stack import check_ports
from terralab.infra.supervision import Supervisor

_GIB = 1024**3
_DISK_GIB = 5
_MEMORY_GIB = 4


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was looked at.
        ok: whether it is as it should be.
        text: what was found, and what to do where it is not.
    """

    check: str
    ok: bool
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Return what every check found."""
    checks: dict[str, Callable[[Settings], str]] = {
        "home folder": _home,
        "database": _database,
        "database objects": _objects,
        "ports": _ports,
        "checkpoint safety": _checkpoints,
        "disk": _disk,
        "memory": _memory,
        "packages": _packages,
    }
    return [_finding(name, check, settings) for name, check in checks.items()]


def _finding(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, True, check(settings))
    except LabError as error:
        return Finding(name, False, str(error))


def _home(settings: Settings) -> str:
    LabHome(settings).prepare()
    return f"{settings.lab.home} can be written"


def _database(settings: Settings) -> str:
    if not settings.database.database_url:
        return f"PostgreSQL with PostGIS in {server_binaries()}"
    found = pgstac_version(settings.database_url)
    if found not in (None, PGSTAC_VERSION):
        return (
            f"TERRALAB_DATABASE_URL holds pgstac {found}; `terralab up` updates it to {PGSTAC_VERSION} if it is older"
        )
    return f"TERRALAB_DATABASE_URL answers, pgstac {found or 'not there yet'}"


def _objects(settings: Settings) -> str:
    """Tell a database that lost tables or triggers, as one that a plain `pg_restore` made."""
    try:
        url = settings.database_url
        found = pgstac_version(url)
    except ServiceUnavailable:
        return "the database does not run; this is checked when it does"
    if found is None:
        return "there are none yet"
    with Catalog(url).connection() as connection:
        return f"all {check_objects(connection)} tables, triggers and functions are there"


def _ports(settings: Settings) -> str:
    if Supervisor(LabHome(settings)).is_running():
        return "the lab runs"
    check_ports(settings)
    return f"{settings.web.port} and {settings.prefect.port} are free"


def _checkpoints(settings: Settings) -> str:
    refuse_unsafe_checkpoints()
    return "torch refuses code in checkpoints"


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.lab.home).free / _GIB
    if free < _DISK_GIB:
        raise LabError(f"{free:.1f} GiB are free at {settings.lab.home}; make room for {_DISK_GIB} GiB or more")
    return f"{free:.0f} GiB free"


def _memory(settings: Settings) -> str:
    total = psutil.virtual_memory().total / _GIB
    if total < _MEMORY_GIB:
        raise LabError(f"this machine has {total:.1f} GiB; tuning a model needs {_MEMORY_GIB} GiB or more")
    return f"{total:.0f} GiB, {psutil.cpu_count()} cores"


def _packages(settings: Settings) -> str:
    from terralab.infra.status import versions

    return ", ".join(f"{name} {number}" for name, number in versions(None).items())
