"""Back up a lab, destroy it, restore it: the same counts, the same hash of every item, the same bytes."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from dulwich.repo import Repo
from typer.testing import CliRunner

from terralab.catalog.errors import AlreadyExists, AssetCorrupt, InvalidInput, ServiceUnavailable
from terralab.catalog.migration import migrate
from terralab.catalog.publish import publish
from terralab.catalog.settings import Settings
from terralab.catalog.store import key_of
from terralab.catalog.store_check import check_store
from terralab.catalog.workspace import Workspace
from terralab.datasets.dvc_repository import VersionRepository, dvc_file
from terralab.datasets.tracked_trees import tracked_trees
from terralab.infra.backup import Tellers, back_up, restore
from terralab.infra.cli.app import app
from terralab.infra.errors import AlreadyRunning
from terralab.infra.home import LabHome
from terralab.infra.postgres import postmaster_pid
from terralab.infra.supervision import Supervisor
from terralab.infra.temporary_database import database_for_a_while
from tests.catalog.backup.test_snapshot import contents
from tests.catalog.conftest import fill
from tests.catalog.s3_server import s3_server
from tests.catalog.test_publish import imagery
from tests.conftest import execute

SILENT = Tellers(lambda step: None, lambda done, total: None)


def terralab(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def with_the_rest(lab: Workspace) -> str:
    """Give a lab a dataset version and Prefect's records; return the version's commit."""
    settings = lab.settings
    stored = [lab.store.put_bytes(f"chip {number}".encode(), "c", "md5") for number in range(3)]
    files = [
        {"relpath": f"images/{one.checksum}.tif", "md5": one.checksum.removeprefix("d50110"), "size": one.size}
        for one in stored
    ]
    repository = VersionRepository(settings.versions_folder, lab.store, settings.work_folder / "dvc")
    trees = repository.write_trees(files)
    commit = repository.commit("flood", "v1.0.0", {"chips.dvc": dvc_file(trees)})
    (settings.versions_folder / "flood" / "chips").mkdir()
    (settings.versions_folder / "flood" / "chips" / "big.tif").write_bytes(bytes(100_000))
    prefect = LabHome(settings).prefect
    prefect.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(prefect / "prefect.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE flow_run (name text)")
        database.execute("INSERT INTO flow_run VALUES ('onboard')")
    return commit


def item_hashes(lab: Workspace) -> dict[tuple[str, str], bytes]:
    with lab.catalog.connection() as connection:
        rows = connection.execute("SELECT collection, id, hash FROM lab.items").fetchall()
    return {(row[0], row[1]): bytes(row[2]) for row in rows}


def state(lab: Workspace) -> dict[str, Any]:
    """Return everything that a restore is to give back."""
    with Repo(str(lab.settings.versions_folder)) as repository:
        tags = {name.decode(): sha.decode() for name, sha in repository.refs.as_dict(b"refs/tags").items()}
    with sqlite3.connect(LabHome(lab.settings).prefect / "prefect.db") as database:
        runs = database.execute("SELECT name FROM flow_run").fetchall()
    rows = contents(lab.catalog)
    del rows["pgstac.searches"]  # the search below is noted there
    return {
        "rows": rows,
        "items": item_hashes(lab),
        "found": {item["id"]: item for item in lab.catalog.search()},
        "counts": lab.catalog.counts(),
        "files": {entry.name: entry.size for entry in lab.store.objects()},
        "tags": tags,
        "trees": tracked_trees(lab.settings.versions_folder),
        "runs": runs,
    }


def emptied(postgres: str, lab: Workspace) -> None:
    """Destroy a lab: its database and its home folder."""
    name = lab.catalog.url.rsplit("/", 1)[1]
    execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")
    execute(postgres, f"CREATE DATABASE {name}")
    shutil.rmtree(lab.settings.lab.home)


def test_back_up_destroy_restore(workspace: Workspace, postgres: str, tmp_path: Path) -> None:
    lab = fill(workspace)
    commit = with_the_rest(lab)
    before = state(lab)
    made = terralab("backup", str(tmp_path / "backup"), "--copy", "--json")
    assert made.exit_code == 0, made.output
    said = json.loads(made.stdout)
    assert said["items"]["flood-v1"] == 4
    assert said["tables"]["lab.items"]["rows"] == len(before["items"]) == 12
    assert (said["files"]["count"], said["files"]["included"]) == (len(before["files"]), True)
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    emptied(postgres, lab)
    done = terralab("restore", str(tmp_path / "backup"))
    assert done.exit_code == 0, done.output
    assert "every row and file is as in the backup" in done.stderr
    after = state(lab)
    assert {key: after[key] == before[key] for key in before} == dict.fromkeys(before, True)
    assert after["tags"] == {"flood/v1.0.0": commit}
    assert not (lab.settings.versions_folder / "flood" / "chips").exists(), "DVC makes it again from the store"
    assert check_store(lab, trees=after["trees"]).intact
    assert publish(lab, [imagery()]) == 0


def test_the_private_cluster_is_backed_up_and_restored_while_the_lab_stands_still(home: LabHome, postgres: str) -> None:
    folder = home.folder.parent / "backup"
    settings = Settings()
    with database_for_a_while(settings):
        migrate(settings.database_url)
        lab = fill(Workspace(settings))
        with_the_rest(lab)
        before = state(lab)
    assert postmaster_pid(home.postgres.resolve()) is None, "it runs for a while only"
    with pytest.raises(ServiceUnavailable):
        lab.catalog.counts()
    back_up(settings, folder, None, True, SILENT)
    assert postmaster_pid(home.postgres.resolve()) is None
    cluster = home.postgres.resolve().parent if home.postgres.is_symlink() else None
    shutil.rmtree(home.folder)
    if cluster is not None:
        shutil.rmtree(cluster, ignore_errors=True)  # it lay elsewhere
    restore(settings, folder, False, SILENT)
    assert postmaster_pid(home.postgres.resolve()) is None
    with database_for_a_while(settings):
        after = state(Workspace(settings))
    assert {key: after[key] == before[key] for key in before} == dict.fromkeys(before, True)
    execute(postgres, "CREATE DATABASE elsewhere")
    elsewhere = Settings()
    elsewhere.database.database_url = f"{postgres}/elsewhere"
    elsewhere.lab.home = home.folder.parent / "elsewhere"
    restore(elsewhere, folder, False, SILENT)
    after = state(Workspace(elsewhere))
    assert {key: after[key] == before[key] for key in before} == dict.fromkeys(before, True)
    execute(postgres, "DROP DATABASE elsewhere WITH (FORCE)")


def test_a_lab_that_has_something_is_replaced_by_force_only(workspace: Workspace, tmp_path: Path) -> None:
    lab = fill(workspace)
    with_the_rest(lab)
    before = state(lab)
    back_up(lab.settings, tmp_path / "backup", None, True, SILENT)
    publish(lab, [{**imagery(), "id": "later"}])
    changed = contents(lab.catalog)
    with pytest.raises(AlreadyExists, match=r"has collections already; --force"):
        restore(lab.settings, tmp_path / "backup", False, SILENT)
    assert contents(lab.catalog) == changed
    restore(lab.settings, tmp_path / "backup", True, SILENT)
    after = state(lab)
    assert {key: after[key] == before[key] for key in before} == dict.fromkeys(before, True)
    kept = [path.name for path in lab.settings.lab.home.iterdir() if ".before-restore-" in path.name]
    assert len(kept) == 1, "the repository of versions that was there is kept"
    with lab.catalog.connection() as connection:
        connection.execute("DELETE FROM collections")
    with pytest.raises(AlreadyExists, match="has dataset versions"):
        restore(lab.settings, tmp_path / "backup", False, SILENT)


def test_a_lab_that_runs_is_not_restored(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = fill(workspace)
    back_up(lab.settings, tmp_path / "backup", None, True, SILENT)
    monkeypatch.setattr(Supervisor, "is_running", lambda self: True)
    with pytest.raises(AlreadyRunning, match="terralab down"):
        restore(lab.settings, tmp_path / "backup", True, SILENT)


def test_folders_that_are_no_place_for_a_backup(workspace: Workspace, tmp_path: Path) -> None:
    lab = fill(workspace)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(InvalidInput, match=r"other things, such as thesis\.txt"):
        back_up(lab.settings, tmp_path / "full", None, True, SILENT)
    back_up(lab.settings, tmp_path / "backup", None, True, SILENT)
    with pytest.raises(AlreadyExists, match="holds a backup already"):
        back_up(lab.settings, tmp_path / "backup", None, True, SILENT)
    (tmp_path / "backup" / "manifest.json").unlink()  # as if it had broken off
    with pytest.raises(InvalidInput, match="is no backup"):
        restore(lab.settings, tmp_path / "backup", True, SILENT)
    back_up(lab.settings, tmp_path / "backup", None, True, SILENT)
    assert isinstance(terralab("restore", str(tmp_path / "full")).exception, InvalidInput)


def test_a_bucket_is_backed_up_by_name_or_whole(workspace: Workspace, tmp_path: Path) -> None:
    with s3_server() as server:
        settings = Settings()
        settings.store = server.settings("lab")
        lab = fill(Workspace(settings))
        names = back_up(settings, tmp_path / "names", None, True, SILENT)
        whole = back_up(settings, tmp_path / "whole", True, True, SILENT)
        assert (names.files.included, whole.files.included) == (False, True)
        assert not (tmp_path / "names" / "store").exists()
        before = contents(lab.catalog)
        restore(settings, tmp_path / "names", True, SILENT)
        assert contents(lab.catalog) == before
        gone = next(lab.store.objects()).name
        server.client.delete_object(Bucket="lab-bucket", Key=f"lab/{key_of(gone)}")
        with pytest.raises(AssetCorrupt, match=gone):
            restore(settings, tmp_path / "names", True, SILENT)
        assert contents(lab.catalog) == before
        restore(settings, tmp_path / "whole", True, SILENT)
        assert contents(lab.catalog) == before
        assert check_store(lab).intact
