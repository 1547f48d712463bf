"""The private cluster while the rest of the lab stands still, for a backup or a restore."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from terralab.catalog.database import Catalog
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.settings import Settings
from terralab.infra.errors import StartFailed
from terralab.infra.home import LabHome
from terralab.infra.postgres import PrivateCluster, private_cluster

_WAIT_S = 60


@contextmanager
def database_for_a_while(settings: Settings) -> Iterator[None]:
    """Have the lab's database answer; the private one is started where it does not run, and stopped again.

    The caller holds the home's lock where nothing else may start the lab meanwhile.

    Raises:
        SetupProblem: there is no private cluster, and none can be made.
        StartFailed: the cluster does not start.
        ServiceUnavailable: a database that is not the lab's own does not answer.
    """
    if settings.database.database_url or _answers(settings):
        yield
        return
    cluster = private_cluster(LabHome(settings))
    _pg_ctl(cluster, "start", "-o", f"-p {cluster.port}", "-l", str(cluster.data / "temporary.log"))
    try:
        yield
    finally:
        _pg_ctl(cluster, "stop", "-m", "fast")


def _answers(settings: Settings) -> bool:
    try:
        with Catalog(settings.database_url).connection() as connection:
            connection.execute("SELECT 1")
        return True
    except ServiceUnavailable:
        return False


def _pg_ctl(cluster: PrivateCluster, *arguments: str) -> None:
    command = [str(cluster.binaries / "pg_ctl"), "-D", str(cluster.data), "-w", "-t", str(_WAIT_S), *arguments]
    prefix = ["runuser", "-u", cluster.user, "--"] if cluster.user else []
    # A server would keep a pipe open for as long as it runs.
    silent = subprocess.DEVNULL
    done = subprocess.run([*prefix, *command], cwd="/", check=False, stdin=silent, stdout=silent, stderr=silent)
    if done.returncode != 0:
        raise StartFailed(f"the private PostgreSQL does not {arguments[0]}; see {cluster.data / 'temporary.log'}")
