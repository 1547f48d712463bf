"""The lab's processes under supervisord: configuration, start, stop and questions.

Supervisord starts a process again when it dies, waits longer after each failure, rotates the logs, and answers by
XML-RPC on a unix socket that only the lab's owner can open. Its own files live in `TERRALAB_HOME/run`.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from terralab.infra.errors import StartFailed
from terralab.infra.home import LabHome

MARKER = "TERRALAB_SUPERVISED_HOME"
_LOG_BYTES = "10MB"
_RESTARTS = "20"
_STOP_WITHIN_S = 40


@dataclass(frozen=True)
class Program:
    """One process of the lab.

    Attributes:
        name: the service's name.
        command: program and arguments.
        directory: where it runs.
        user: account that runs it, None for the caller's.
        starts_first: whether it starts together with supervisord; others are started by name.
        stop_signal: what asks it to end.
    """

    name: str
    command: Sequence[str]
    directory: Path
    user: str | None = None
    starts_first: bool = False
    stop_signal: str = "TERM"


@dataclass(frozen=True)
class ProgramState:
    """What supervisord says of a program.

    Attributes:
        state: RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL, STOPPING or UNKNOWN.
        pid: its process id, None where it does not run.
        started: when it was started last, seconds since 1970.
        restarts: how often it ended unasked since supervisord started.
        last_exit: how it ended the last time, such as `terminated by SIGKILL`.
    """

    state: str
    pid: int | None
    started: float
    restarts: int
    last_exit: str | None


class Supervisor:
    """The lab's supervisord.

    Args:
        home: the lab's.
    """

    def __init__(self, home: LabHome) -> None:
        self._home = home
        self._configuration = home.run / "supervisord.conf"
        self._log = home.logs / "supervisord.log"
        self._pid_file = home.run / "supervisord.pid"

    def start(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Start supervisord in the background with the programs that start first.

        Args:
            programs: all of the lab's.
            environment: variables for every program, besides the caller's.

        Raises:
            StartFailed: supervisord does not start.
        """
        self._write_configuration(programs)
        self._log.unlink(missing_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)],
            env={**inherited, **environment, MARKER: str(self._home.folder)},
            capture_output=True,
            text=True,
            cwd=self._home.run,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise StartFailed(f"the supervisor does not start: {' '.join(reason)}; see {self._log}")
        self._wait_until(self.is_running)

    def is_running(self) -> bool:
        """Say whether supervisord answers."""
        try:
            self._call("getState")
        except (OSError, Fault):
            return False
        return True

    def states(self) -> dict[str, ProgramState]:
        """Return the state of every program by name; none where supervisord does not answer."""
        try:
            found = self._call("getAllProcessInfo")
        except (OSError, Fault):
            return {}
        exits = self._exits()
        return {info["name"]: _state(info, exits.get(info["name"], [])) for info in found}

    def start_program(self, name: str) -> None:
        """Start a program that does not run; return at once."""
        if self.states()[name].state in {"STOPPED", "EXITED", "FATAL"}:
            self._call("startProcess", name, False)

    def stop(self) -> None:
        """End all programs and supervisord itself, and wait for that.

        Raises:
            StartFailed: it does not end.
        """
        pid = self._pid()
        self._call("shutdown")
        self._wait_until(lambda: not self.is_running() and (pid is None or not psutil.pid_exists(pid)))

    def orphans(self) -> list[psutil.Process]:
        """Return processes of this lab that outlived their supervisord, oldest first."""
        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = [process for process in psutil.process_iter() if process.pid not in own and self._is_ours(process)]
        return sorted(found, key=lambda process: process.create_time())

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARKER) == str(self._home.folder)
        except (psutil.Error, OSError):
            return False

    def _pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _call(self, method: str, *arguments: Any) -> Any:
        # The address is only a name here: the transport talks to the socket.
        transport = SupervisorTransport(None, None, f"unix://{self._home.socket()}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def _wait_until(self, condition: Any) -> None:
        deadline = time.monotonic() + _STOP_WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                raise StartFailed(f"the supervisor does not answer in time; see {self._log}")
            time.sleep(0.05)

    def _exits(self) -> dict[str, list[str]]:
        """Return how each program ended unasked, from supervisord's log of this start."""
        try:
            text = self._log.read_text(errors="replace")
        except OSError:
            return {}
        exits: dict[str, list[str]] = {}
        for name, how in re.findall(r"exited: (\w+) \((.*?)(?:; not expected)?\)$", text, flags=re.MULTILINE):
            exits.setdefault(name, []).append(how)
        return exits

    def _write_configuration(self, programs: Sequence[Program]) -> None:
        configuration = RawConfigParser()
        socket, run = self._home.socket(), self._home.run
        sections: dict[str, dict[str, str]] = {
            "unix_http_server": {"file": str(socket), "chmod": "0700"},
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
            "supervisord": {
                "logfile": str(self._log),
                "logfile_maxbytes": _LOG_BYTES,
                "logfile_backups": "2",
                "pidfile": str(self._pid_file),
                "childlogdir": str(run),
                "directory": str(run),
                # Without it supervisord warns root that it keeps root's rights, which it needs to start PostgreSQL.
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
            **{f"program:{program.name}": self._program_section(program) for program in programs},
        }
        for name, values in sections.items():
            # Supervisord expands `%`.
            configuration[name] = {key: value.replace("%", "%%") for key, value in values.items()}
        with self._configuration.open("w") as file:
            configuration.write(file)

    def _program_section(self, program: Program) -> dict[str, str]:
        return {
            "command": shlex.join(program.command),
            "directory": str(program.directory),
            "autostart": str(program.starts_first).lower(),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": _RESTARTS,
            "stopsignal": program.stop_signal,
            "stopwaitsecs": "15",
            # Programs that start helpers of their own take them along.
            "stopasgroup": str(program.stop_signal == "TERM").lower(),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(self._home.logs / f"{program.name}.log"),
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": "3",
            **({"user": program.user} if program.user else {}),
        }


def _state(info: dict[str, Any], exits: list[str]) -> ProgramState:
    return ProgramState(
        state=info["statename"],
        pid=info["pid"] or None,
        started=float(info["start"]),
        restarts=len(exits),
        last_exit=exits[-1] if exits else info["spawnerr"] or None,
    )
