"""Which processes make up the lab, by which commands, and the environment that they share."""

import sys

from terralab.catalog.settings import Settings
from terralab.infra import prefect_server
from terralab.infra.home import LabHome
from terralab.infra.postgres import PrivateCluster
from terralab.infra.supervision import Program


def programs(settings: Settings, home: LabHome, cluster: PrivateCluster | None) -> list[Program]:
    """Return the lab's processes.

    Args:
        settings: the lab's.
        home: the lab's.
        cluster: the private PostgreSQL, None where another database is used.
    """
    server = prefect_server.server_command(settings)
    made = [
        Program("prefect", server, home.prefect, starts_first=True),
        Program("web", _web_command(settings), home.folder),
        Program("worker", [sys.executable, "-m", "terralab.infra.worker_process"], home.folder),
    ]
    if cluster is None:
        return made
    # SIGINT is PostgreSQL's fast shutdown: it rolls back what is open and writes a checkpoint.
    command, data, user = cluster.command, cluster.data, cluster.user
    return [Program("postgres", command, data, user, starts_first=True, stop_signal="INT"), *made]


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of every service, besides what the caller's shell gives."""
    return {
        "TERRALAB_HOME": str(settings.lab.home),
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        **_quiet(),
        **_threads(),
        **_raster_safety(),
        **prefect_server.environment(settings),
    }


def _web_command(settings: Settings) -> list[str]:
    address = ["--host", settings.web.host, "--port", str(settings.web.port)]
    # Access logs of tiles would be most of the log; only a proxy on this machine may tell the client's address.
    quiet = ["--no-access-log", "--no-proxy-headers"]
    return [sys.executable, "-m", "uvicorn", "terralab.infra.web:create_app", "--factory", *address, *quiet]


def _quiet() -> dict[str, str]:
    """Return what keeps libraries from reporting use, or asking for newer versions, over the network."""
    return {
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }


def _threads() -> dict[str, str]:
    """Return one thread for each process; the worker gives TerraTorch runs more.

    Idle OpenMP threads sleep instead of spinning, which on shared cores made training nine times slower.
    """
    return {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def _raster_safety() -> dict[str, str]:
    """Return defence in depth for every raster that is opened: no sidecar files, no network, no foreign code."""
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_PAM_ENABLED": "NO",
        "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
        "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
        "GDAL_VRT_ENABLE_PYTHON": "NO",
        "GDAL_CACHEMAX": "256",
    }
