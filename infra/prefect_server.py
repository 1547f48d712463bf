"""The Prefect server and its settings, which reach the server, the worker and every flow run by the environment.

Prefect keeps its records in SQLite in the home folder, not in the lab's PostgreSQL: it was ready equally fast (6 s
warm; a first start with migrations 8–10 s), needs no rights to make another database where TERRALAB_DATABASE_URL is
given, and can start while PostgreSQL still comes up. One worker and one flow run per job stay far below the load
where SQLite's single writer matters, and its write-ahead log survives `kill -9`.

Prefect is how work is started and watched; what the lab believes is in the catalog.
"""

import sys

from terralab.catalog.settings import Settings
from terralab.infra.home import LabHome

WORK_POOL = "terralab"
WORKER_NAME = "lab"
WORKER_HEARTBEAT_S = 10


def server_command(settings: Settings) -> list[str]:
    """Return the command that runs the server in the foreground.

    All of its services stay on: the scheduler and the late-run marker serve schedules, the foreman marks silent workers
    offline, the event services feed the pages and cancellation, the vacuum removes old events.
    """
    address = ["--host", settings.prefect.host, "--port", str(settings.prefect.port)]
    return [sys.executable, "-m", "prefect", "server", "start", *address]


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables that configure Prefect for this lab."""
    home = LabHome(settings)
    return {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_URL": settings.prefect.api_url,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home.prefect / 'prefect.db'}",
        **_privacy(),
        **_doors(settings),
        **_results(home),
        **_pace(),
    }


def _privacy() -> dict[str, str]:
    """Nothing is sent anywhere."""
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    }


def _doors(settings: Settings) -> dict[str, str]:
    """Keep web pages of other origins, open in the user's browser, from starting runs."""
    return {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": settings.prefect.url,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
    }


def _results(home: LabHome) -> dict[str, str]:
    """Results are JSON files in the home folder; the default serializer is pickle, which runs code when read."""
    return {
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home.prefect / "results"),
    }


def _pace() -> dict[str, str]:
    """Poll a local server often, so that a submitted run starts within a second."""
    return {
        "PREFECT_WORKER_QUERY_SECONDS": "0.5",
        "PREFECT_WORKER_PREFETCH_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": str(WORKER_HEARTBEAT_S),
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "5",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
    }
