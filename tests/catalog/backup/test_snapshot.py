"""A backup gives back exactly what was there, in any database, or changes nothing."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from terralab.catalog.access.file_access import note_upload
from terralab.catalog.access.keys import create_key
from terralab.catalog.backup.database import indexes_of, partitions_of, write_database
from terralab.catalog.backup.files import restore_files
from terralab.catalog.backup.manifest import Manifest, StoredFiles
from terralab.catalog.backup.restore import ASIDE, has_catalog, restore_database
from terralab.catalog.backup.snapshot import take_snapshot
from terralab.catalog.backup.tables import Rows, hash_rows, tables_of, use_plain_text
from terralab.catalog.database import Catalog
from terralab.catalog.errors import AssetCorrupt, InvalidInput, ServiceUnavailable, SetupProblem, VersionMismatch
from terralab.catalog.migration import PGSTAC_VERSION, install_pgstac, pgstac_version
from terralab.catalog.publish import publish
from terralab.catalog.refresh import differences
from terralab.catalog.schema_check import check_objects
from terralab.catalog.store import key_of
from terralab.catalog.store_check import check_store
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import write_items
from terralab.catalog.writing_collections import delete_collection
from terralab.extensions.imagery import scene_item
from terralab.extensions.item import StoredFile
from tests.catalog.conftest import GRID, fill
from tests.catalog.test_publish import BANDS, imagery, scene
from tests.conftest import execute


@pytest.fixture
def full_lab(workspace: Workspace) -> Workspace:
    """Return a lab with everything that a database can hold: partitions by month, own queryables, keys, audit."""
    lab = fill(workspace)
    stored = lab.store.put_bytes(b"bytes", "a.tif")
    publish(lab, [imagery()])
    with lab.catalog.connection() as connection:
        connection.execute("UPDATE collections SET partition_trunc = 'month' WHERE id = 'imagery'")
        connection.execute("SELECT upsert_queryable('eo:cloud_cover', '{\"type\": \"number\"}', 'to_float', 'BTREE')")
        note_upload(connection, stored.checksum, "ann")
    items = []
    for month in (1, 2, 2, 12):
        when = datetime(2021, month, len(items) + 1, tzinfo=UTC)
        item = scene_item(
            id=f"scene-{len(items)}",
            collection_id="imagery",
            footprint=GRID.footprint(when),
            grid=GRID,
            image=stored,
            bands=BANDS,
            properties={"description": "tab\tbackslash\\ line\nbreak ü 🛰 \\N"},
        )
        items.append(item)
    publish(lab, [], items)
    changed = imagery()
    changed["item_assets"]["image"]["title"] = "Other"
    publish(lab, [changed])  # pgstac keeps both states of what items have in common
    with lab.catalog.connection() as connection:
        write_items(connection, [{**items[0], "properties": {**items[0]["properties"], "gsd": 10}}])
        connection.execute("UPDATE items SET private = '{\"note\": 1}' WHERE id = 'scene-1'")
    create_key(lab.catalog, "ann", ["write"], ["floods"], None)
    return lab


@pytest.fixture
def empty(postgres: str) -> Iterator[Catalog]:
    """Yield a database with nothing in it."""
    execute(postgres, "CREATE DATABASE restored")
    yield Catalog(f"{postgres}/restored")
    execute(postgres, "DROP DATABASE restored WITH (FORCE)")


def contents(catalog: Catalog) -> dict[str, Rows]:
    """Return what every table holds."""
    with catalog.connection() as connection:
        use_plain_text(connection)
        tables = [*tables_of(connection, "pgstac"), *tables_of(connection, "lab")]
        return {f"{table.schema}.{table.name}": hash_rows(connection, table) for table in tables}


def structure(catalog: Catalog) -> dict[str, Any]:
    """Return everything else: partitions, indexes, triggers, functions, sequences, constraints, grants."""
    queries = {
        "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger"
        " WHERE NOT tgisinternal AND tgrelid::regclass::text ~ '^(pgstac[.]|lab[.]|[a-z_0-9]+$)' ORDER BY 1, 2",
        "functions": "SELECT p.oid::regprocedure::text, md5(prosrc) FROM pg_proc p"
        " JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname IN ('pgstac', 'lab') ORDER BY 1",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(c.oid) FROM pg_constraint c"
        " JOIN pg_namespace n ON n.oid = connamespace WHERE nspname IN ('pgstac', 'lab') ORDER BY 1, 2",
        "columns": "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attgenerated,"
        " attidentity FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('pgstac', 'lab') AND attnum > 0 AND relkind IN ('r', 'p') AND NOT attisdropped"
        " AND relpersistence = 'p' ORDER BY 1, 2",
        "grants": "SELECT nspname, relname, relacl::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('pgstac', 'lab') AND relkind IN ('r', 'p', 'v') ORDER BY 1, 2",
    }
    with catalog.connection() as connection:
        found = {name: connection.execute(query.encode()).fetchall() for name, query in queries.items()}
        return {**found, "partitions": partitions_of(connection), "indexes": indexes_of(connection)}


def backed_up(lab: Workspace, folder: Path, *, include_files: bool = True, link: bool = False) -> Manifest:
    manifest = take_snapshot(
        lab,
        folder,
        include_files=include_files,
        link=link,
        tell_step=lambda name: None,
        tell_files=lambda done, total: None,
    )
    manifest.write(folder)
    return Manifest.read(folder)


def restored(catalog: Catalog, folder: Path) -> None:
    manifest = Manifest.read(folder)
    manifest.check(folder)
    restore_database(catalog, manifest, folder, lambda name: None)


def test_everything_comes_back_in_an_empty_database(full_lab: Workspace, empty: Catalog, tmp_path: Path) -> None:
    manifest = backed_up(full_lab, tmp_path / "backup")
    assert not has_catalog(empty)
    restored(empty, tmp_path / "backup")
    assert has_catalog(empty)
    assert contents(empty) == contents(full_lab.catalog)
    found, wanted = structure(empty), structure(full_lab.catalog)
    for what in wanted:
        assert found[what] == wanted[what], what
    assert manifest.counts["imagery"] == 4
    assert len([one for one in manifest.partitions if one.collection == "imagery"]) == 3
    assert any("eo:cloud_cover" in one for one in manifest.indexes)
    for lab in (empty, full_lab.catalog):
        assert list(differences(lab)) == []
    searched = [{item["id"]: item for item in lab.search(collections=["imagery"])} for lab in (empty, full_lab.catalog)]
    assert searched[0] == searched[1]


def test_the_restored_database_works(full_lab: Workspace, empty: Catalog, tmp_path: Path) -> None:
    backed_up(full_lab, tmp_path / "backup")
    restored(empty, tmp_path / "backup")
    lab = Workspace(full_lab.settings, empty.url)
    new = {**lab.catalog.item("imagery", "scene-1"), "id": "new"}
    assert publish(lab, [{**imagery(), "id": "imagery-2", "title": "Second"}], [new]) == 1
    with empty.connection() as connection:
        # the triggers are there
        connection.execute("UPDATE items SET content = content || '{\"x\": 1}' WHERE id = 'new'")
        assert connection.execute("SELECT DISTINCT id FROM lab.stale").fetchall() == [("new",)], (
            "the triggers are there"
        )
        keys = connection.execute("SELECT key FROM collections ORDER BY key").fetchall()
    assert len(set(keys)) == len(keys)
    create_key(empty, "bob", ["read"], [], None)


def test_a_full_database_is_replaced_and_nothing_of_it_is_left(
    full_lab: Workspace, empty: Catalog, tmp_path: Path
) -> None:
    backed_up(full_lab, tmp_path / "first")
    before = contents(full_lab.catalog)
    publish(full_lab, [{**imagery(), "id": "later", "title": "Later"}])
    assert contents(full_lab.catalog) != before
    restored(full_lab.catalog, tmp_path / "first")
    assert contents(full_lab.catalog) == before
    with full_lab.catalog.connection() as connection:
        left = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%before_restore'").fetchall()
        assert left == []


def test_a_restore_that_fails_changes_nothing(full_lab: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    manifest = backed_up(full_lab, folder)
    before, built = contents(full_lab.catalog), structure(full_lab.catalog)
    tables = [
        dataclasses.replace(entry, rows=Rows(entry.rows.count, "0" * 64)) if entry.table.name == "api_keys" else entry
        for entry in manifest.tables
    ]
    wrong = [
        (dataclasses.replace(manifest, tables=tables), "lab.api_keys has 1 rows"),
        (dataclasses.replace(manifest, indexes=manifest.indexes[1:]), "indexes are not those"),
        (dataclasses.replace(manifest, partitions=manifest.partitions[::-1]), "pgstac made the partition|partitions"),
    ]
    for changed, message in wrong[:2]:
        with pytest.raises(AssetCorrupt, match=message):
            restore_database(full_lab.catalog, changed, folder, lambda name: None)
        assert contents(full_lab.catalog) == before
        assert structure(full_lab.catalog) == built
    newer = dataclasses.replace(manifest, versions={**manifest.versions, "pgstac": "99.0.0"})
    with pytest.raises(VersionMismatch, match="newer"):
        restore_database(full_lab.catalog, newer, folder, lambda name: None)
    assert contents(full_lab.catalog) == before


def test_what_a_killed_restore_leaves_is_told(full_lab: Workspace, tmp_path: Path) -> None:
    backed_up(full_lab, tmp_path / "backup")
    with full_lab.catalog.connection() as connection:
        connection.execute(f"ALTER SCHEMA lab RENAME TO lab{ASIDE}")
    with pytest.raises(SetupProblem, match=r"lab_before_restore.*Rename it back"):
        restored(full_lab.catalog, tmp_path / "backup")


def test_a_damaged_backup_is_refused(full_lab: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    manifest = backed_up(full_lab, folder)
    manifest.check(folder)
    path = folder / "database" / "pgstac.collections.copy.zst"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(AssetCorrupt, match=r"pgstac\.collections\.copy\.zst is missing or damaged"):
        Manifest.read(folder).check(folder)
    path.unlink()
    with pytest.raises(AssetCorrupt, match="missing or damaged"):
        Manifest.read(folder).check(folder)
    text = json.loads((folder / "manifest.json").read_text())
    for wrong in ("{", "[]", json.dumps({**text, "format": 2}), json.dumps({**text, "tables": 1})):
        (folder / "manifest.json").write_text(wrong)
        with pytest.raises(InvalidInput, match=r"damaged|format"):
            Manifest.read(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(InvalidInput, match="is no backup"):
        Manifest.read(folder)


@pytest.mark.parametrize("link", [True, False])
def test_the_files_come_back(full_lab: Workspace, tmp_path: Path, link: bool) -> None:
    folder = tmp_path / "backup"
    tree = full_lab.store.put_bytes(b"[]", "tree", "md5", ".dir").checksum + ".dir"
    every = {entry.name: entry.size for entry in full_lab.store.objects()}
    manifest = backed_up(full_lab, folder, link=link)
    assert (manifest.files.count, manifest.files.size) == (len(every), sum(every.values()))
    assert manifest.files.missing == []
    inodes = [(root / key_of(tree)).stat().st_ino for root in (full_lab.store.folder, folder / "store")]
    assert (inodes[0] == inodes[1]) == link
    names = list(every)
    full_lab.store.remove(names[1:])
    assert restore_files(full_lab.store, folder, manifest.files, lambda done, total: None) == len(every) - 1
    assert {entry.name: entry.size for entry in full_lab.store.objects()} == every
    assert check_store(full_lab).intact


def test_files_that_were_gone_or_damaged_already_are_told(full_lab: Workspace, tmp_path: Path) -> None:
    names = [entry.name for entry in full_lab.store.objects()]
    gone, damaged = names[0], names[1]
    full_lab.store.remove([gone])
    path = full_lab.store.open_name(damaged)
    size = path.stat().st_size
    path.chmod(0o644)
    path.write_bytes(bytes(size))
    manifest = backed_up(full_lab, tmp_path / "backup")
    assert set(manifest.files.missing) == {gone, damaged}
    full_lab.store.remove(names)
    restore_files(full_lab.store, tmp_path / "backup", manifest.files, lambda done, total: None)
    assert {entry.name for entry in full_lab.store.objects()} == set(names[2:])


def test_a_damaged_file_of_a_backup_is_not_restored(full_lab: Workspace, tmp_path: Path) -> None:
    manifest = backed_up(full_lab, tmp_path / "backup")
    name = next(full_lab.store.objects()).name
    path = tmp_path / "backup" / "store" / key_of(name)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    full_lab.store.remove([name])
    with pytest.raises(AssetCorrupt, match=name):
        restore_files(full_lab.store, tmp_path / "backup", manifest.files, lambda done, total: None)
    assert full_lab.store.size(name) is None


def test_writers_and_a_backup_do_not_disturb_each_other(full_lab: Workspace, empty: Catalog, tmp_path: Path) -> None:
    before = contents(full_lab.catalog)
    items = [full_lab.catalog.item("imagery", f"scene-{number}") for number in range(4)]
    written = []

    def write_meanwhile(step: str) -> None:
        """Make collections, and items whose times widen a partition or need another one."""
        number = len(written)
        publish(full_lab, [{**imagery(), "id": f"during-{number}", "title": "During"}])
        item = items[number % 4]
        moment = datetime(2021 + number % 2, item_month(item), 1 + number % 28, tzinfo=UTC)
        new = scene_item(
            id=f"during-{number}",
            collection_id="imagery",
            footprint=GRID.footprint(moment),
            grid=GRID,
            image=StoredFile(item["assets"]["image"]["href"], 5, item["assets"]["image"]["file:checksum"]),
            bands=BANDS,
        )
        publish(full_lab, [], [new])
        written.append(step)

    manifest = take_snapshot(
        full_lab,
        tmp_path / "backup",
        include_files=False,
        link=False,
        tell_step=write_meanwhile,
        tell_files=lambda done, total: None,
    )
    assert len(written) > 10
    assert full_lab.catalog.find_item("imagery", "during-1") is not None
    manifest.write(tmp_path / "backup")
    restored(empty, tmp_path / "backup")
    found = contents(empty)
    # Where partitions were widened meanwhile, their statistics may be those of before or after.
    assert {name: found[name] for name in before} == before


def item_month(item: dict[str, Any]) -> int:
    return int(item["properties"]["datetime"][5:7])


def test_a_collection_that_goes_during_a_backup_is_told(full_lab: Workspace, tmp_path: Path) -> None:
    def delete_meanwhile(step: str) -> None:
        if step == "pgstac._items_1":
            with full_lab.catalog.connection() as connection:
                for (name,) in connection.execute("SELECT id FROM collections").fetchall():
                    delete_collection(connection, name)

    with pytest.raises(ServiceUnavailable, match="was deleted during the backup; repeat"):
        take_snapshot(
            full_lab,
            tmp_path / "backup",
            include_files=False,
            link=False,
            tell_step=delete_meanwhile,
            tell_files=lambda done, total: None,
        )


def test_a_backup_of_another_version_is_loaded_and_updated(full_lab: Workspace, empty: Catalog, tmp_path: Path) -> None:
    manifest = backed_up(full_lab, tmp_path / "backup")
    steps: list[str] = []
    restore_database(empty, dataclasses.replace(manifest, schema="older"), tmp_path / "backup", steps.append)
    assert "update" in steps
    found, wanted = contents(empty), contents(full_lab.catalog)
    for name in ("pgstac.collections", "lab.api_keys", "lab.uploads", "lab.files"):
        assert found[name] == wanted[name], name
    assert list(differences(empty)) == []
    assert structure(empty)["triggers"] == structure(full_lab.catalog)["triggers"]


def test_an_older_pgstac_is_loaded_in_its_version_and_updated(
    workspace: Workspace, empty: Catalog, postgres: str, tmp_path: Path
) -> None:
    old = Catalog(f"{postgres}/old_pgstac")
    execute(postgres, "CREATE DATABASE old_pgstac")
    try:
        install_pgstac(old.url, "0.9.10")
        item = {**scene(workspace.store.put_bytes(b"bytes", "a.tif")), "links": []}
        with old.connection() as connection:
            connection.execute("SELECT create_collection(%s::jsonb)", (json.dumps({**imagery(), "links": []}),))
            connection.execute("SELECT create_item(%s::jsonb)", (json.dumps(item),))
            connection.execute("CREATE SCHEMA lab")
            connection.execute("CREATE TABLE lab.installed (hash text)")
            connection.execute("INSERT INTO lab.installed VALUES ('older')")
        found = write_database(old, tmp_path / "backup", lambda name: None)
        manifest = Manifest(
            created="2026-01-01T00:00:00Z",
            versions={"pgstac": "0.9.10"},
            schema=found.schema,
            counts=found.counts(),
            tables=found.tables,
            partitions=found.partitions,
            indexes=found.indexes,
            files=StoredFiles("", 0, 0, False),
            checksums={},
        )
        assert manifest.counts == {"imagery": 1}
        restore_database(empty, manifest, tmp_path / "backup", lambda name: None)
    finally:
        execute(postgres, "DROP DATABASE old_pgstac WITH (FORCE)")
    assert pgstac_version(empty.url) == PGSTAC_VERSION
    assert empty.item("imagery", "scene-1")["assets"] == item["assets"]
    assert list(differences(empty)) == []
    with empty.connection() as connection:
        assert check_objects(connection) > 200


def test_another_user_of_the_database_stops_a_restore(full_lab: Workspace, tmp_path: Path) -> None:
    backed_up(full_lab, tmp_path / "backup")
    before = contents(full_lab.catalog)
    with psycopg.connect(full_lab.catalog.url) as other:
        other.execute("SELECT count(*) FROM pgstac.collections")
        with pytest.raises(ServiceUnavailable):
            restored(full_lab.catalog, tmp_path / "backup")
        other.rollback()
    assert contents(full_lab.catalog) == before
