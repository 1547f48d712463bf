"""What a figure rests on: the machine, the versions, the revision of the code."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.catalog.cluster import SETTINGS, Cluster

_PACKAGES = (
    "terralab",
    "stac-fastapi-pgstac",
    "stac-fastapi-api",
    "pypgstac",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "asyncpg",
    "orjson",
    "stac-geoparquet",
    "pyarrow",
)


def describe(cluster: Cluster) -> dict[str, Any]:
    """Return the machine and the versions as JSON."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "postgresql": cluster.version(),
        "postgresql_settings": SETTINGS,
        "wrk": _first_line(["wrk", "-v"]),
        "revision": _first_line(["git", "rev-parse", "HEAD"]),
        "changed_files": len(_lines(["git", "status", "--porcelain", "--untracked-files=no"])),
    }


def load_average() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _lines(command: list[str]) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return []
    return (done.stdout or done.stderr).strip().splitlines()


def _first_line(command: list[str]) -> str | None:
    return next(iter(_lines(command)), None)
