"""Reading a database into a backup: one snapshot, beside writers."""

from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from terralab.catalog.backup.manifest import Partition
from terralab.catalog.backup.tables import LAB, PGSTAC, StoredTable, Table, tables_of, use_plain_text, write_rows
from terralab.catalog.database import Catalog
from terralab.catalog.errors import ServiceUnavailable

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PARTITIONS = """
    SELECT partition, collection, constraint_dtrange::text, constraint_edtrange::text FROM partition_sys_meta
    ORDER BY partition"""
_INDEXES = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'pgstac' ORDER BY tablename, indexdef"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Contents:
    """What was written of a database.

    Attributes:
        tables: every table.
        partitions: of pgstac's items.
        indexes: definitions of pgstac's indexes.
        schema: hash of the lab's own schema.
    """

    tables: list[StoredTable]
    partitions: list[Partition]
    indexes: list[str]
    schema: str

    def counts(self) -> dict[str, int]:
        """Return the number of items by collection."""
        rows = {entry.table.name: entry.rows.count for entry in self.tables if entry.table.schema == PGSTAC}
        found: dict[str, int] = {}
        for partition in self.partitions:
            found[partition.collection] = found.get(partition.collection, 0) + rows[partition.name]
        return dict(sorted(found.items()))


def partitions_of(connection: psycopg.Connection[Any]) -> list[Partition]:
    """Return the partitions of pgstac's items."""
    return [Partition(*row) for row in connection.execute(_PARTITIONS).fetchall()]


def indexes_of(connection: psycopg.Connection[Any], without: Container[str] = ()) -> list[str]:
    """Return the definitions of pgstac's indexes, without those on some tables."""
    return [definition for table, definition in connection.execute(_INDEXES).fetchall() if table not in without]


def write_database(catalog: Catalog, folder: Path, tell: Tell) -> Contents:
    """Write every table of one snapshot into a backup, without keeping writers from anything for long.

    One transaction keeps the snapshot, and TRUNCATE, which no snapshot survives, from the tables that writers do not
    alter. Each partition is read in a transaction of its own: whoever adds a constraint to it waits for no other.

    Args:
        catalog: the database.
        folder: of the backup.
        tell: takes the names of tables as they come.

    Raises:
        ServiceUnavailable: a collection was deleted before its items were read.
    """
    with catalog.connection() as keeper:
        keeper.execute(_SNAPSHOT)
        for table in _tables(catalog):
            if not table.is_partition:
                keeper.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table.identifier))
        snapshot = one_value(keeper, "SELECT pg_export_snapshot()")
        tables = [*tables_of(keeper, PGSTAC), *tables_of(keeper, LAB)]
        partitions, indexes = _partitions_among(catalog, {table.name for table in tables if table.schema == PGSTAC})
        stored = []
        for table in tables:
            tell(f"{table.schema}.{table.name}")
            stored.append(_write_table(catalog, snapshot, table, folder))
        return Contents(stored, partitions, indexes, one_value(keeper, "SELECT hash FROM lab.installed"))


def one_value(connection: psycopg.Connection[Any], query: str) -> str:
    """Return the one value that a query gives."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # whoever calls this knows
    return str(row[0])


def _tables(catalog: Catalog) -> list[Table]:
    with catalog.connection() as connection:
        return [*tables_of(connection, PGSTAC), *tables_of(connection, LAB)]


def _partitions_among(catalog: Catalog, tables: Container[str]) -> tuple[list[Partition], list[str]]:
    """Return partitions and indexes, but for those of tables that were made a moment ago."""
    with catalog.connection() as connection:
        every = partitions_of(connection)
        late = {partition.name for partition in every if partition.name not in tables}
        return [partition for partition in every if partition.name not in late], indexes_of(connection, late)


def _write_table(catalog: Catalog, snapshot: str, table: Table, folder: Path) -> StoredTable:
    with catalog.connection() as connection:
        connection.execute(_SNAPSHOT)
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
        use_plain_text(connection)
        try:
            return write_rows(connection, table, folder)
        except psycopg.errors.UndefinedTable as error:
            raise ServiceUnavailable(
                f"the collection of {table.name} was deleted during the backup; repeat the command"
            ) from error
