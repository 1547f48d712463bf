"""The systems under test, each one as its users run it: ours, stock at its defaults, stock at its best tuning."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from terralab.infra.postgres import free_port
from tests.benchmarks.catalog.cluster import Cluster
from tests.benchmarks.catalog.databases import OURS, STOCK, TUNED

_START_SECONDS = 120
_SETTLE_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A web process that answers.

    Attributes:
        system: ours, stock or tuned.
        url: of the API's landing page, without a slash at the end.
        database: name of its database.
        process: the web process, workers among its children.
        cluster: of its database.
    """

    system: str
    url: str
    database: str
    process: psutil.Process
    cluster: Cluster

    def settle(self) -> None:
        """Wait until nothing that was asked before is still being answered.

        Raises:
            TimeoutError: the server is busy for a minute.
        """
        deadline, quiet = time.monotonic() + _SETTLE_SECONDS, 0
        while quiet < 3:
            quiet = quiet + 1 if self.cluster.active(self.database) == 0 and self._cpu_share() < 0.1 else 0
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.system} is still busy {_SETTLE_SECONDS} s after its last request")

    def cpu_seconds(self) -> float:
        """Return the processor time of the web processes so far."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def memory(self) -> int:
        """Return the resident bytes of the web processes."""
        return sum(int(process.memory_info().rss) for process in (self.process, *self.process.children(recursive=True)))

    def _cpu_share(self) -> float:
        before = self.cpu_seconds()
        time.sleep(0.05)
        return (self.cpu_seconds() - before) / 0.05


@contextmanager
def serving(system: str, cluster: Cluster, database: str, folder: Path, **environment: str) -> Iterator[Server]:
    """Run one system over its database.

    Args:
        system: `ours`, `stock` or `tuned`.
        cluster: of the database.
        database: its name.
        folder: for the lab's home and logs.
        environment: further variables.
    """
    port = free_port()
    command = [*_COMMANDS[system], "--factory", "--host", "127.0.0.1", "--port", str(port), *_FAST, "--no-access-log"]
    variables = {**clean_environment(), **_environment(system, cluster, database, folder), **environment}
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{system}.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *command], env=variables, cwd=folder, stdout=output, stderr=output
        )
        root = f"http://127.0.0.1:{port}"
        url = f"{root}/stac" if system == OURS else root
        try:
            _wait(url, started, log)
            yield Server(system, url, database, psutil.Process(started.pid), cluster)
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


_FAST = ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
_STOCK_APP = "stac_fastapi.pgstac.app:create_app"
_COMMANDS = {
    OURS: ["terralab.infra.web:create_app", "--no-proxy-headers"],
    STOCK: [_STOCK_APP],
    TUNED: [_STOCK_APP, "--workers", "2"],
}


def _environment(system: str, cluster: Cluster, database: str, folder: Path) -> Mapping[str, str]:
    if system == OURS:
        return {
            "TERRALAB_HOME": str(folder / "home"),
            "TERRALAB_DATABASE_URL": cluster.url(database),
            "TERRALAB_ACCESS_OPEN_READS": "true",
            "OMP_NUM_THREADS": "1",
        }
    stock = {
        "PGUSER": "postgres",
        "PGPASSWORD": "unused",  # the cluster trusts this machine; stac-fastapi wants one to be named
        "PGHOST": "127.0.0.1",
        "PGPORT": str(cluster.port),
        "PGDATABASE": database,
    }
    return {**stock, "USE_API_HYDRATE": "TRUE"} if system == TUNED else stock


def clean_environment() -> dict[str, str]:
    """Return our environment without the settings of any lab or database."""
    root = str(Path(__file__).parents[3])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TERRALAB_", "PG", "POSTGRES_"))}
    return {**kept, "PYTHONPATH": root}


def _wait(url: str, started: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if started.poll() is not None:
            raise RuntimeError(f"{url} did not start: {log.read_text(errors='replace')[-2000:]}")
        try:
            if httpx.get(f"{url}/collections", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer after {_START_SECONDS} s: {log.read_text(errors='replace')[-2000:]}")
