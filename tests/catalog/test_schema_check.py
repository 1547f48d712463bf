"""A database that lost something is told; the drill of what a plain pg_restore does."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from terralab.catalog.database import Catalog
from terralab.catalog.errors import SetupProblem
from terralab.catalog.migration import migrate
from terralab.catalog.schema_check import check_objects
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.infra.doctor import examine
from tests.conftest import execute, postgres_bin


@pytest.fixture
def plain(postgres: str) -> Iterator[str]:
    """Yield the address of a database for a plain restore."""
    execute(postgres, "CREATE DATABASE plain")
    yield f"{postgres}/plain"
    execute(postgres, "DROP DATABASE plain WITH (FORCE)")


def test_a_whole_database_is_whole(lab: Workspace) -> None:
    with lab.catalog.connection() as connection:
        assert check_objects(connection) > 200


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        ("DROP TRIGGER lab_forget_item ON pgstac.items", "the trigger lab_forget_item on pgstac.items"),
        ("DROP TABLE pgstac.searches CASCADE", "the table pgstac.searches"),
        ("DROP TABLE lab.files CASCADE", "the table lab.files"),
        ("ALTER TABLE pgstac.items DROP CONSTRAINT items_collections_fk", "the constraint items_collections_fk"),
        ("DROP FUNCTION pgstac.search CASCADE", r"the function pgstac.search\(_search jsonb\)"),
    ],
)
def test_every_loss_is_named(lab: Workspace, loss: str, named: str) -> None:
    with lab.catalog.connection() as connection:
        connection.execute(loss.encode())
        with pytest.raises(SetupProblem, match=named):
            check_objects(connection)


def test_items_without_their_collection_are_told(lab: Workspace) -> None:
    with lab.catalog.connection() as connection:
        connection.execute("SET LOCAL session_replication_role = 'replica'")
        connection.execute("DELETE FROM collections WHERE id = 'models'")
        with pytest.raises(SetupProblem, match=r"collections that are lost, models"):
            check_objects(connection)


def test_drill_a_plain_restore_breaks_pgstac_and_the_doctor_says_so(
    lab: Workspace, plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = tmp_path / "lab.dump"
    subprocess.run([postgres_bin() / "pg_dump", "-Fc", "-f", dump, lab.catalog.url], check=True)
    restored = subprocess.run([postgres_bin() / "pg_restore", "-d", plain, dump], capture_output=True, text=True)
    assert "st_makeenvelope" in restored.stderr, "the reason why it cannot"
    with Catalog(plain).connection() as connection:
        assert connection.execute("SELECT count(*) FROM pgstac.items").fetchone() == (12,), "the items are there"
        with pytest.raises(SetupProblem, match=r"the table pgstac\.collections.*terralab restore"):
            check_objects(connection)
    for url, well in ((plain, False), (lab.catalog.url, True)):
        monkeypatch.setenv("TERRALAB_DATABASE_URL", url)
        found = {finding.check: finding for finding in examine(Settings())}["database objects"]
        assert found.ok == well
        assert ("pgstac.collections" in found.text) != well


def test_a_schema_without_rows_is_no_lab(lab: Workspace, plain: str, tmp_path: Path) -> None:
    dump = tmp_path / "lab.dump"
    subprocess.run([postgres_bin() / "pg_dump", "-Fc", "-n", "pgstac", "-f", dump, lab.catalog.url], check=True)
    subprocess.run([postgres_bin() / "pg_restore", "-d", plain, dump], capture_output=True)
    with Catalog(plain).connection() as connection, pytest.raises(SetupProblem, match="not the lab's own tables"):
        check_objects(connection)


def test_an_update_notes_anew(lab: Workspace) -> None:
    with lab.catalog.connection() as connection:
        connection.execute("UPDATE lab.installed SET hash = 'older'")
        connection.execute("DELETE FROM lab.objects WHERE kind = 'table'")
    migrate(lab.catalog.url)
    with lab.catalog.connection() as connection:
        assert check_objects(connection) > 200
        connection.execute("DROP TABLE pgstac.searches CASCADE")
        with pytest.raises(SetupProblem):
            check_objects(connection)
