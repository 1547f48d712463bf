"""kill -9 of PostgreSQL, its postmaster and all of its processes, in the middle of an ingest over HTTP.

What was acknowledged is there afterwards; meanwhile the API says 503, never 500; it goes on by itself.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.app import create_app
from terralab.catalog.migration import migrate
from terralab.catalog.refresh import differences
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from tests.catalog.conftest import Server, serve
from tests.catalog.transactions.conftest import collection, item
from tests.conftest import as_server_user, free_port, official_schemas, postgres_bin

WRITERS = 4
BEFORE_SECONDS, DOWN_SECONDS, AFTER_SECONDS = 2.0, 2.0, 2.0
PATIENCE_SECONDS = 30.0


@dataclass
class Cluster:
    """A PostgreSQL of the test's own, which keeps what it acknowledged."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.home} -c listen_addresses=127.0.0.1 -c fsync=on"
        self._run("pg_ctl", "-D", f"{self.home}/data", "-l", f"{self.home}/log", "-o", options, "-w", "start")

    def initialise(self) -> None:
        self._run("initdb", "-D", f"{self.home}/data", "-A", "trust", "-U", "postgres")

    def kill(self) -> None:
        """Kill every process of it at once, as when the machine loses power."""
        postmaster = psutil.Process(int((self.home / "data" / "postmaster.pid").read_text().splitlines()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", f"{self.home}/data", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = as_server_user([f"{postgres_bin()}/{program}", *arguments])
        subprocess.run(command, check=True, cwd=self.home, stdout=subprocess.DEVNULL)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="pg-killed-"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres")
    made = Cluster(home, free_port())
    made.initialise()
    made.start()
    yield made
    made.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def ingested_lab(cluster: Cluster, tmp_path: Path) -> Workspace:
    migrate(cluster.url)
    settings = Settings()
    settings.database.database_url = cluster.url
    settings.lab.home = tmp_path / "home"
    settings.lab.schemas = official_schemas()
    lab = Workspace(settings)
    lab.catalog.write([collection()], [])
    return lab


class Ingest:
    """Writers that send items one by one until they are told to stop."""

    def __init__(self, lab: Workspace, url: str) -> None:
        token = kept_secret(lab.settings.secrets_folder, TOKEN)
        self._url, self._headers = f"{url}/stac/collections/places/items", {"Authorization": f"Bearer {token}"}
        self._end = threading.Event()
        self._failures: list[BaseException] = []
        self.acknowledged: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.last_503 = 0.0
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(WRITERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert self._failures == []

    def _send(self, writer: int) -> None:
        try:
            self._send_items(writer)
        except BaseException as error:
            self._failures.append(error)

    def _send_items(self, writer: int) -> None:
        count = 0
        with httpx.Client(headers=self._headers, timeout=30) as client:
            while not self._end.is_set():
                name = f"item-{writer}-{count}"
                # The same item until it is acknowledged: 409 says that it was stored when the connection broke.
                answer = client.post(self._url, json=item(name))
                self.answers[answer.status_code] += 1
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) > 0
                    self.last_503 = time.monotonic()
                    time.sleep(0.1)
                elif answer.status_code in (201, 409):
                    self.acknowledged.add(name)
                    count += 1


@pytest.fixture
def killed_server(ingested_lab: Workspace) -> Iterator[Server]:
    yield from serve(create_app(ingested_lab.settings))


def test_what_was_acknowledged_survives_and_the_api_says_503(
    cluster: Cluster, ingested_lab: Workspace, killed_server: Server
) -> None:
    ingest = Ingest(ingested_lab, killed_server.url)
    ingest.start()
    time.sleep(BEFORE_SECONDS)
    cluster.kill()
    before = len(ingest.acknowledged)
    reads = read_for(killed_server, DOWN_SECONDS)
    cluster.start()
    started = time.monotonic()
    time.sleep(AFTER_SECONDS)
    while len(ingest.acknowledged) <= before + WRITERS and time.monotonic() < started + PATIENCE_SECONDS:
        time.sleep(0.1)
    ingest.end()
    assert set(reads) == {503}
    assert set(ingest.answers) <= {201, 409, 503}
    assert ingest.answers[503] > 0
    assert before > 0
    assert len(ingest.acknowledged) > before + WRITERS  # it went on by itself
    assert ingest.last_503 - started < 5
    stored, audited = stored_in(cluster)
    assert ingest.acknowledged <= stored
    assert len(stored - ingest.acknowledged) <= WRITERS  # stored as the connection broke
    assert audited == stored
    assert list(differences(ingested_lab.catalog)) == []
    print(f"answers {dict(ingest.answers)}, acknowledged {len(ingest.acknowledged)}, stored {len(stored)}")


def read_for(server: Server, seconds: float) -> Counter[int]:
    """Read this and that for some time, and count the statuses."""
    seen, start = Counter[int](), time.monotonic()
    while time.monotonic() - start < seconds:
        for path in ("/collections/places/items", "/collections/places", "/search", "/collections"):
            seen[server.get(f"/stac{path}").status_code] += 1
    return seen


def stored_in(cluster: Cluster) -> tuple[set[str], set[str]]:
    """Return the ids of the items, and of those whose making is in the audit log."""
    with psycopg.connect(cluster.url) as connection:
        items = connection.execute("SELECT id FROM pgstac.items").fetchall()
        made = connection.execute("SELECT item FROM lab.audit WHERE action = 'create' AND item <> ''").fetchall()
    return {row[0] for row in items}, {row[0] for row in made}
