"""Reading a backup into a database, aside of what is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from terralab.catalog.backup.database import Tell, indexes_of, one_value, partitions_of
from terralab.catalog.backup.manifest import Manifest, Partition
from terralab.catalog.backup.tables import (
    LAB,
    PGSTAC,
    StoredTable,
    Table,
    hash_rows,
    load_rows,
    tables_of,
    use_plain_text,
)
from terralab.catalog.database import Catalog
from terralab.catalog.errors import AssetCorrupt, SetupProblem
from terralab.catalog.migration import install_pgstac, migrate
from terralab.catalog.refresh import rebuild

ASIDE = "_before_restore"
_SEQUENCES = """
    SELECT * FROM (
        SELECT attname, pg_get_serial_sequence(%(table)s, attname) AS sequence FROM pg_attribute
        WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped) AS found
    WHERE sequence IS NOT NULL"""
_PARTITION_TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relispartition AND c.relkind = 'r'"""
_DROPPED_AT_ONCE = 50
_FIRST = "collections"  # others refer to it
_LAST = "pgstac_settings"  # they may put the making of partitions off
_CONFIGURED = ("queryables", _LAST)


def restore_database(catalog: Catalog, manifest: Manifest, folder: Path, tell: Tell) -> None:
    """Replace the schemas `pgstac` and `lab` by those of a backup, or leave them as they were.

    The present schemas are renamed, and dropped when the new ones have the rows that the manifest says. While it works,
    nothing else may use the database.

    Raises:
        AssetCorrupt: the rows that were loaded are not those that the manifest says.
        SetupProblem: an earlier restore was killed and its renamed schemas are in the way, or the backup was made by a
            version whose tables differ.
        VersionMismatch: the backup's pgstac is newer than this lab's.
        ServiceUnavailable: another program uses the database.
    """
    _set_aside(catalog)
    try:
        tell("schemas")
        install_pgstac(catalog.url, manifest.versions["pgstac"])
        with catalog.connection() as connection:
            _load_pgstac(connection, manifest, folder, tell)
        migrate(catalog.url)
        same = _schema(catalog) == manifest.schema
        with catalog.connection() as connection:
            _load(connection, manifest.tables_of(LAB), folder, tell)
            if same:
                _load_configured(connection, manifest, folder, tell)
        if not same:
            tell("update")
            migrate(catalog.url)
            rebuild(catalog)
    except BaseException:
        _drop(catalog, (PGSTAC, LAB))
        _rename(catalog, back=True)
        raise
    _drop(catalog, (PGSTAC + ASIDE, LAB + ASIDE))


def has_catalog(catalog: Catalog) -> bool:
    """Return whether a database holds any collection."""
    with catalog.connection() as connection:
        exists = connection.execute("SELECT to_regclass('pgstac.collections')").fetchone()
        if exists is None or exists[0] is None:
            return False
        row = connection.execute("SELECT EXISTS (SELECT FROM pgstac.collections)").fetchone()
        return bool(row and row[0])


def _schema(catalog: Catalog) -> str:
    with catalog.connection() as connection:
        return one_value(connection, "SELECT hash FROM lab.installed")


def _load_pgstac(connection: psycopg.Connection[Any], manifest: Manifest, folder: Path, tell: Tell) -> None:
    stored = manifest.tables_of(PGSTAC)
    plain = [entry for entry in stored if not entry.table.is_partition]
    first = [entry for entry in plain if entry.table.name == _FIRST]
    last = [entry for entry in plain if entry.table.name == _LAST]
    others = [entry for entry in plain if entry not in first and entry not in last]
    _load(connection, first, folder, tell)
    for partition in manifest.partitions:
        _make_partition(connection, partition)
        connection.commit()
    _load(connection, [entry for entry in stored if entry.table.is_partition], folder, tell)
    _load(connection, [*others, *last], folder, tell)


def _load_configured(connection: psycopg.Connection[Any], manifest: Manifest, folder: Path, tell: Tell) -> None:
    """Load once more what the migration sets to the lab's defaults; only an update may change it."""
    configured = [entry for entry in manifest.tables_of(PGSTAC) if entry.table.name in _CONFIGURED]
    _load(connection, configured, folder, tell)
    tell("indexes")
    for partition in manifest.partitions:
        connection.execute("SELECT maintain_partitions(%s)", (partition.name,))
        connection.commit()
    _compare(connection, manifest)


def _compare(connection: psycopg.Connection[Any], manifest: Manifest) -> None:
    for what, found, wanted in (
        ("partitions", partitions_of(connection), manifest.partitions),
        ("indexes", indexes_of(connection), manifest.indexes),
    ):
        odd = sorted({str(entry) for entry in found} ^ {str(entry) for entry in wanted})
        if odd:
            raise AssetCorrupt(f"the restored {what} are not those of the backup: {odd[0]}")


def _make_partition(connection: psycopg.Connection[Any], partition: Partition) -> None:
    row = connection.execute(
        "SELECT check_partition(%s, %s::tstzrange, %s::tstzrange)",
        (partition.collection, partition.dtrange, partition.edtrange),
    ).fetchone()
    if row is None or row[0] != partition.name:
        raise AssetCorrupt(f"pgstac made the partition {row and row[0]} in place of {partition.name}")


def _load(connection: psycopg.Connection[Any], stored: Sequence[StoredTable], folder: Path, tell: Tell) -> None:
    """Load tables without their triggers, and compare what they hold with the manifest.

    Each in its own transaction: a lab may have more partitions than one transaction can lock.
    """
    for entry in stored:
        use_plain_text(connection)
        table = entry.table
        tell(f"{table.schema}.{table.name}")
        _refuse_other_columns(connection, table)
        _triggers(connection, table, "DISABLE")
        connection.execute(sql.SQL("DELETE FROM {}").format(table.identifier))
        load_rows(connection, table, folder / table.file)
        _triggers(connection, table, "ENABLE")
        _continue_sequences(connection, table)
        found = hash_rows(connection, table)
        if found != entry.rows:
            raise AssetCorrupt(
                f"{table.schema}.{table.name} has {found.count} rows with the hash {found.hash} after loading,"
                f" the backup says {entry.rows.count} with {entry.rows.hash}"
            )
        connection.commit()


def _refuse_other_columns(connection: psycopg.Connection[Any], table: Table) -> None:
    present = {one.name: one for one in tables_of(connection, table.schema)}.get(table.name)
    missing = sorted(set(table.columns) - set(present.columns if present else ()))
    if present is None or missing:
        what = f"has no column {missing[0]!r}" if present else "is not there"
        raise SetupProblem(
            f"{table.schema}.{table.name} {what} in this version of terralab; restore with the version that made the"
            " backup, then update"
        )


def _triggers(connection: psycopg.Connection[Any], table: Table, word: str) -> None:
    connection.execute(sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(table.identifier, sql.SQL(word)))


def _continue_sequences(connection: psycopg.Connection[Any], table: Table) -> None:
    name = table.identifier.as_string(connection)
    for column, sequence in connection.execute(_SEQUENCES, {"table": name}).fetchall():
        highest = sql.SQL("SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}")
        connection.execute(highest.format(sql.Identifier(column), table.identifier), (sequence,))


def _set_aside(catalog: Catalog) -> None:
    with catalog.connection() as connection:
        left = [schema for schema in (PGSTAC, LAB) if _exists(connection, schema + ASIDE)]
    if left:
        raise SetupProblem(
            f"an earlier restore was killed: the schema {left[0]}{ASIDE} holds what was there before it. Rename it back"
            f" (drop {left[0]} first), or drop it, then repeat the command"
        )
    _rename(catalog, back=False)


def _rename(catalog: Catalog, back: bool) -> None:
    with catalog.connection() as connection:
        if not back and _exists(connection, PGSTAC):
            # Whoever reads or writes items looks at the collections too.
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute("LOCK TABLE pgstac.collections IN ACCESS EXCLUSIVE MODE")
        for schema in (PGSTAC, LAB):
            names = (schema + ASIDE, schema) if back else (schema, schema + ASIDE)
            if _exists(connection, names[0]):
                connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*map(sql.Identifier, names)))


def _drop(catalog: Catalog, schemas: Sequence[str]) -> None:
    """Drop schemas, their partitions first and a few at a time."""
    with catalog.connection() as connection:
        for schema in schemas:
            names = [row[0] for row in connection.execute(_PARTITION_TABLES, (schema,)).fetchall()]
            for start in range(0, len(names), _DROPPED_AT_ONCE):
                some = [sql.Identifier(schema, name) for name in names[start : start + _DROPPED_AT_ONCE]]
                connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.SQL(", ").join(some)))
                connection.commit()
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
            connection.commit()


def _exists(connection: psycopg.Connection[Any], schema: str) -> bool:
    row = connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone()
    return bool(row and row[0])
