"""The private cluster: made once, with checksums and a password, as a user that PostgreSQL accepts."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from terralab.catalog.errors import SetupProblem
from terralab.catalog.settings import Settings
from terralab.infra import postgres
from terralab.infra.home import LabHome
from terralab.infra.postgres import PrivateCluster, postmaster_pid, private_cluster, remove_stale_pid_file


def start(cluster: PrivateCluster) -> subprocess.Popen[bytes]:
    prefix = ["runuser", "-u", cluster.user, "--"] if cluster.user else []
    return subprocess.Popen([*prefix, *cluster.command], stderr=subprocess.DEVNULL)


def answer(url: str, statement: str) -> str:
    for _ in range(100):
        try:
            with psycopg.connect(url) as connection:
                row = connection.execute(statement).fetchone()  # type: ignore[arg-type]
                return str(row[0]) if row else ""
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError("the cluster does not start")


def test_cluster_has_checksums_and_wants_a_password(home: LabHome) -> None:
    cluster = private_cluster(home)
    url = home.database_url_file.read_text().strip()
    server = start(cluster)
    try:
        assert answer(url, "SHOW data_checksums") == "on"
        assert answer(url, "SHOW listen_addresses") == "127.0.0.1"
        assert answer(url, "SHOW jit") == "off"
        password = str(urlsplit(url).password)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(password, "wrong"))
        assert postmaster_pid(cluster.data) is not None
    finally:
        subprocess.run(["kill", "-INT", str(postmaster_pid(cluster.data))], check=True)
        server.wait(20)
    assert private_cluster(home) == cluster


def test_a_port_taken_meanwhile_is_replaced(home: LabHome) -> None:
    before = private_cluster(home)
    with socket.socket() as other:
        other.bind(("127.0.0.1", before.port))
        other.listen()
        after = private_cluster(home)
    assert after.port != before.port
    assert f":{after.port}/" in home.database_url_file.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's homes are closed to the server's user")
def test_cluster_of_a_closed_home_lies_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRALAB_HOME", str(tmp_path / "home"))
    home = LabHome(Settings())
    home.prepare()
    home.folder.chmod(0o700)
    cluster = private_cluster(home)
    try:
        assert home.postgres.is_symlink()
        assert cluster.data.is_relative_to("/var/lib/terralab")
        assert cluster.data.owner() == "postgres"
    finally:
        shutil.rmtree(cluster.data.parent)


@pytest.mark.parametrize("pid", [999_999_999, os.getpid()], ids=["of no process", "of another program"])
def test_stale_pid_file_is_removed(tmp_path: Path, pid: int) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{pid}\n{tmp_path}\n")
    assert postmaster_pid(tmp_path) is None
    assert remove_stale_pid_file(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_missing_postgis_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_has_postgis", lambda binaries: False)
    with pytest.raises(SetupProblem, match=r"PostGIS is not installed.*TERRALAB_DATABASE_URL"):
        postgres.server_binaries()
