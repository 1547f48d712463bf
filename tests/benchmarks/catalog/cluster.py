"""A private PostgreSQL for the benchmark: both systems in one cluster, in databases of their own, with fsync on."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from terralab.infra.postgres import free_port, server_binaries

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    "effective_cache_size": "4GB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "timezone": "UTC",
}
_ACCOUNT = "postgres"


class Cluster:
    """A running server.

    Args:
        port: on 127.0.0.1.

    Attributes:
        filled: databases that this run has filled.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.filled: set[str] = set()

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://{_ACCOUNT}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement outside a transaction and return its rows."""
        return self.execute_with(statement, (), database)

    def execute_with(
        self, statement: str, values: Sequence[object], database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run a statement with values outside a transaction and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def has(self, database: str) -> bool:
        """Say whether there is a database of a name."""
        with psycopg.connect(self.url("postgres")) as connection:
            return (
                connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone() is not None
            )

    def create(self, database: str, template: str | None = None) -> str:
        """Make a database, dropping one of the same name, and return its address."""
        self.drop(database)
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._administer(statement)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, where there is one."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def active(self, database: str) -> int:
        """Return how many statements run in a database."""
        with psycopg.connect(self.url("postgres")) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle'", (database,)
            ).fetchone()
        return int(row[0]) if row else 0

    def size(self, database: str) -> int:
        """Return the bytes of a database on disk."""
        with psycopg.connect(self.url("postgres")) as connection:
            row = connection.execute("SELECT pg_database_size(%s)", (database,)).fetchone()
        return int(row[0]) if row else 0

    def version(self) -> str:
        """Return the versions of PostgreSQL and PostGIS that is installed for it."""
        server = self.execute("SHOW server_version")[0][0]
        postgis = self.execute("SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'")
        return f"{server}, PostGIS {postgis[0][0] if postgis else 'missing'}"

    def _administer(self, statement: sql.Composable) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Run the cluster of a folder, made now if there is none yet, and stop it at the end.

    Args:
        folder: where its data lie; the account `postgres` must be able to reach it where root runs the benchmark.
    """
    binaries, data, port = server_binaries(), folder / "postgres" / "data", free_port()
    if not data.is_dir():
        data.parent.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(data.parent, _ACCOUNT)
        _server(data.parent, f"{binaries}/initdb", "-D", str(data), "-A", "trust", "-U", _ACCOUNT, "-E", "UTF8")
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    options += f" -p {port} -k {data.parent} -c listen_addresses=127.0.0.1"
    log = data.parent / "log"
    _server(
        data.parent, f"{binaries}/pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "-t", "120", "start"
    )
    try:
        yield Cluster(port)
    finally:
        _server(data.parent, f"{binaries}/pg_ctl", "-D", str(data), "-m", "fast", "-w", "-t", "120", "stop")


def _server(folder: Path, *command: str) -> None:
    """Run one of PostgreSQL's programs; it refuses to run as root."""
    account = ["runuser", "-u", _ACCOUNT, "--"] if os.geteuid() == 0 else []
    subprocess.run([*account, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL)
