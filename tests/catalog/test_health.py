import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from terralab.catalog.app import create_app
from terralab.catalog.readiness import Readiness
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import lock_items
from tests.catalog.conftest import Server
from tests.small_disk import small_disk


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    """Yield a client of an empty lab's web process."""
    with TestClient(create_app(workspace.settings)) as client:
        yield client


def failed_parts(client: TestClient) -> dict[str, str]:
    """Return what fails, checked to be a problem document that names it."""
    answer = client.get("/readyz")
    document = answer.json()
    assert (answer.status_code, document["code"], answer.headers["retry-after"]) == (503, "service_unavailable", "5")
    failed = {name: part["problem"] for name, part in document["parts"].items() if part["status"] == "failed"}
    assert all(f"{name}: {reason}" in document["detail"] for name, reason in failed.items())
    return failed


def test_ready_names_every_part_with_its_time(server: Server, shared_lab: Workspace) -> None:
    before = list(shared_lab.store.objects())
    answer = server.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    parts = answer.json()["parts"]
    assert {name: part["status"] for name, part in parts.items()} == {"search": "ok", "database": "ok", "store": "ok"}
    assert all(part["ms"] > 0 for part in parts.values())
    assert (parts["database"]["pgstac"], parts["database"]["stale_items"]) == ("0.10.0", 0)
    assert answer.headers["cache-control"] == "no-store"
    assert list(shared_lab.store.objects()) == before
    assert server.get("/livez").json() == {"status": "alive"}


def test_a_search_that_fails_is_not_ready(client: TestClient, workspace: Workspace) -> None:
    with psycopg.connect(workspace.catalog.url) as connection:
        connection.execute("ALTER TABLE lab.items RENAME TO lost")
        connection.execute("ALTER FUNCTION pgstac.search(jsonb) RENAME TO lost")
    assert "503" in failed_parts(client)["search"]


def test_a_store_that_is_no_folder_is_not_ready(client: TestClient, workspace: Workspace) -> None:
    workspace.store.folder.parent.mkdir(parents=True, exist_ok=True)
    workspace.store.folder.write_text("not a folder")
    assert failed_parts(client).keys() == {"store"}


def test_a_store_that_cannot_be_written_is_not_ready(client: TestClient, workspace: Workspace) -> None:
    with small_disk(workspace.store.folder) as disk:
        assert client.get("/readyz").status_code == 200
        disk.leave(0)
        assert "no space left" in failed_parts(client)["store"]
        disk.empty()
        assert client.get("/readyz").status_code == 200
        subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
        assert "Read-only" in failed_parts(client)["store"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lab.installed SET hash = 'of another version'",
        "INSERT INTO pgstac.migrations (version, datetime) VALUES ('0.9.11', now() + '1 minute')",
    ],
)
def test_tables_of_another_version_are_not_ready(client: TestClient, workspace: Workspace, statement: str) -> None:
    with psycopg.connect(workspace.catalog.url) as connection:
        connection.execute(statement)
    failed = failed_parts(client)
    assert failed.keys() == {"database"}
    assert "terralab up" in failed["database"]


def test_items_that_wait_for_the_read_model_are_a_note(client: TestClient, workspace: Workspace) -> None:
    with psycopg.connect(workspace.catalog.url) as holding, psycopg.connect(workspace.catalog.url) as connection:
        # The background refresh waits for the item's lock, so that the row stays while we ask.
        lock_items(holding, [("scenes", "a")])
        connection.execute("INSERT INTO lab.stale VALUES ('scenes', 'a')")
        connection.commit()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        part = answer.json()["parts"]["database"]
        assert (part["status"], part["stale_items"]) == ("degraded", 1)


def test_a_part_that_hangs_is_asked_once_and_said_to_hang() -> None:
    asked = 0

    async def hang() -> Mapping[str, Any]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.2)
        return {}

    async def fine() -> Mapping[str, Any]:
        return {"x": 1}

    async def run() -> None:
        readiness = Readiness({"disk": hang, "other": fine}, longest=0.02)
        for parts in await asyncio.gather(*(readiness.parts() for _ in range(5))):
            assert parts["disk"].problem == "did not answer within 0.02 s"
            assert parts["other"].to_dict()["x"] == 1
        assert asked == 1
        await asyncio.sleep(0.3)
        await readiness.parts()
        assert asked == 2

    asyncio.run(run())
