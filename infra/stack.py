"""Starting and stopping the whole lab.

Prefect (the slowest to come up) and PostgreSQL start at once; the web process and the worker start when the database is
migrated. Starting is done when every service has answered. What goes wrong on the way stops everything again and is
one error.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence

import psutil

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.database import Catalog
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.migration import migrate
from terralab.catalog.settings import Settings
from terralab.flows.warm_process import refuse_unsafe_checkpoints
from terralab.infra.errors import AlreadyRunning, PortBusy, StartFailed
from terralab.infra.home import LabHome
from terralab.infra.postgres import postmaster_pid, private_cluster, remove_stale_pid_file
from terralab.infra.services import environment, programs
from terralab.infra.status import ServiceStatus, services_status
from terralab.infra.supervision import Supervisor

READY_WITHIN_S = 120
_DATABASE_WITHIN_S = 60
_ENDED_WITHIN_S = 20
_TAIL_LINES = 3
_POLL_S = 0.4
_ATTEMPTS = 2

Tell = Callable[[str], None]


def up(settings: Settings, tell: Tell) -> dict[str, ServiceStatus]:
    """Start the lab and return when every service has answered.

    Args:
        settings: the lab's.
        tell: takes short lines about what is being done.

    Raises:
        AlreadyRunning: every service runs already.
        PortBusy: another program has the web's or Prefect's port.
        FolderUnwritable: the home folder cannot be used.
        SetupProblem: PostgreSQL or PostGIS is missing.
        VersionMismatch: the database holds another pgstac.
        StartFailed: a service does not come up; the message names it and its last words.
    """
    refuse_unsafe_checkpoints()
    home = LabHome(settings)
    home.prepare()
    kept_secret(home.secrets, TOKEN)
    supervisor = Supervisor(home)
    with home.lock():
        if supervisor.is_running():
            return _complete(settings, supervisor, tell)
        end_orphans(home, supervisor, tell)
        check_ports(settings)
        try:
            return _start(settings, home, supervisor, tell)
        except BaseException:
            if supervisor.is_running():
                supervisor.stop()
            raise


def down(settings: Settings, tell: Tell) -> bool:
    """Stop the lab, and processes that an earlier one left behind; return False where nothing ran."""
    home = LabHome(settings)
    supervisor = Supervisor(home)
    if not home.run.is_dir():
        return False
    with home.lock():
        if supervisor.is_running():
            tell("stopping")
            supervisor.stop()
            return True
        return end_orphans(home, supervisor, tell)


def end_orphans(home: LabHome, supervisor: Supervisor, tell: Tell) -> bool:
    """End what a killed supervisor left behind, PostgreSQL by its own orderly way; return whether there was any."""
    data = home.postgres.resolve()
    server = postmaster_pid(data)
    orphans = [process for process in supervisor.orphans() if process.pid != server]
    if server is not None:
        tell(f"ending a PostgreSQL (process {server}) that an earlier start left behind")
        os.kill(server, signal.SIGINT)
        orphans.append(psutil.Process(server))
    elif remove_stale_pid_file(data):
        tell("removed a stale PostgreSQL pid file")
    others = [process for process in orphans if process.pid != server]
    if others:
        tell(f"ending {len(others)} processes that an earlier start left behind")
    for process in others:
        _quietly(process.terminate)
    _, stubborn = psutil.wait_procs(orphans, timeout=_ENDED_WITHIN_S)
    for process in stubborn:
        _quietly(process.kill)
    return bool(orphans)


def check_ports(settings: Settings) -> None:
    """Check that the ports of the web process and Prefect are free.

    Raises:
        PortBusy: one is not; the message says who has it and what to set.
    """
    wanted = (
        (settings.web.host, settings.web.port, "TERRALAB_WEB_PORT"),
        (settings.prefect.host, settings.prefect.port, "TERRALAB_PREFECT_PORT"),
    )
    for host, port, variable in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise PortBusy(
                    f"{host}:{port} cannot be used ({error.strerror}{_listener(port)});"
                    f" stop what uses it, or set {variable} to another port"
                ) from error


def _start(settings: Settings, home: LabHome, supervisor: Supervisor, tell: Tell) -> dict[str, ServiceStatus]:
    if settings.database.database_url:
        # A database that cannot be used is known before anything is started.
        migrate(settings.database_url)
        supervisor.start(programs(settings, home, None), environment(settings))
    else:
        cluster = private_cluster(home)
        supervisor.start(programs(settings, home, cluster), environment(settings))
        tell("database")
        _wait_for_database(settings, home, supervisor)
        migrate(settings.database_url)
    for name in ("web", "worker"):
        supervisor.start_program(name)
    return _wait_until_healthy(settings, home, supervisor, tell)


def _complete(settings: Settings, supervisor: Supervisor, tell: Tell) -> dict[str, ServiceStatus]:
    """Start what does not run in a lab whose supervisor does."""
    services = services_status(settings, supervisor.states())
    if all(service.healthy for service in services.values()):
        raise AlreadyRunning(f"the lab in {settings.lab.home} runs already, at {settings.web.url}")
    for name in supervisor.states():
        supervisor.start_program(name)
    return _wait_until_healthy(settings, LabHome(settings), supervisor, tell)


def _wait_for_database(settings: Settings, home: LabHome, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + _DATABASE_WITHIN_S
    while True:
        try:
            with Catalog(settings.database_url).connection() as connection:
                connection.execute("SELECT 1")
            return
        except ServiceUnavailable as error:
            _refuse_fatal(home, supervisor, ["postgres"])
            if time.monotonic() > deadline:
                raise StartFailed(f"PostgreSQL does not answer: {error}{_last_words(home, 'postgres')}") from error
        time.sleep(0.1)


def _wait_until_healthy(
    settings: Settings, home: LabHome, supervisor: Supervisor, tell: Tell
) -> dict[str, ServiceStatus]:
    deadline, told = time.monotonic() + READY_WITHIN_S, ""
    while True:
        states = supervisor.states()
        services = services_status(settings, states)
        waiting = [name for name, service in services.items() if not service.healthy]
        if not waiting:
            return services
        _refuse_fatal(home, supervisor, waiting)
        if (line := f"waiting for {', '.join(waiting)}") != told:
            tell(line)
            told = line
        if time.monotonic() > deadline:
            name = waiting[0]
            raise StartFailed(f"{name} does not answer: {services[name].problem}{_last_words(home, name)}")
        time.sleep(_POLL_S)


def _refuse_fatal(home: LabHome, supervisor: Supervisor, names: Sequence[str]) -> None:
    """Raise where supervisord keeps failing to start one of the services."""
    states = supervisor.states()
    for name in names:
        state = states.get(name)
        if state is not None and (state.state == "FATAL" or state.restarts >= _ATTEMPTS):
            raise StartFailed(f"{name} does not start ({state.last_exit}){_last_words(home, name)}")


def _last_words(home: LabHome, name: str) -> str:
    """Return the end of a service's log, in one line, and where to read more."""
    path = home.logs / f"{name}.log"
    lines = path.read_text(errors="replace").strip().splitlines()[-_TAIL_LINES:] if path.is_file() else []
    said = f": {' | '.join(line.strip() for line in lines)[:400]}" if lines else ""
    return f"{said}; see `terralab logs {name}`"


def _listener(port: int) -> str:
    """Return who listens on a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()}, process {connection.pid}"
    except psutil.Error:
        return ""
    return ""


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        # It ended by itself meanwhile.
        return
