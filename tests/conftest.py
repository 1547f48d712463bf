"""Fixtures for all tests: a throwaway PostgreSQL per session, a pgstac database and a lab home per test."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from terralab.catalog.migration import migrate
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace

ROOT = Path(__file__).parents[1]
TEMPLATE = "pgstac_template"
DURABILITY_OFF = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


def postgres_bin() -> Path:
    """Find the newest installed server; `pg_ctl` is rarely on PATH in Debian."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    on_path = shutil.which("pg_ctl")
    if not found and not on_path:
        pytest.skip("PostgreSQL server binaries are not installed")
    return found[-1].parent if found else Path(str(on_path)).parent


def as_server_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root, so drop to the `postgres` account."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Yield the URL of an empty server, without a database name."""
    binaries, home = postgres_bin(), Path(tempfile.mkdtemp(prefix="pg-"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
    port, data = free_port(), str(home / "data")
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 {DURABILITY_OFF}"

    def server(*arguments: str) -> None:
        subprocess.run(as_server_user(list(arguments)), check=True, cwd=home, stdout=subprocess.DEVNULL)

    server(f"{binaries}/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
    server(f"{binaries}/pg_ctl", "-D", data, "-l", f"{home}/log", "-o", options, "-w", "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        server(f"{binaries}/pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


def execute(url: str, statement: str) -> None:
    """Run one administrative statement outside a transaction."""
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """Migrate pgstac once; every test clones the result (about 40 ms)."""
    execute(postgres, f"CREATE DATABASE {TEMPLATE}")
    migrate(f"{postgres}/{TEMPLATE}")
    return TEMPLATE


@pytest.fixture
def database_url(postgres: str, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a private, empty pgstac database."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"{postgres}/{name}"
    execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def workspace(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a lab with an empty catalog and store, which `Workspace()` also finds by the environment."""
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TERRALAB_DATABASE_URL", database_url)
    schemas = official_schemas()
    if schemas is not None:
        monkeypatch.setenv("TERRALAB_SCHEMAS", str(schemas))
    return Workspace(Settings())


def official_schemas() -> Path | None:
    """Return the folder of official STAC schemas, where the machine has it."""
    folder = Path(os.environ.get("TERRALAB_TEST_SCHEMAS", ROOT.parent / "shared" / "schemas"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real imagery, or skip."""
    folder = Path(os.environ.get("TERRALAB_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real test data is not at {folder}; set TERRALAB_TEST_DATA")
    return folder
