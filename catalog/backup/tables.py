"""The tables that hold what a lab knows, and their rows as compressed text.

The hash of a table is the sum of the SHA-256 of its rows, so the order in which rows come does not matter and no table
has to be sorted.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from terralab.extensions.checksum import multihash_of_file

PGSTAC, LAB = "pgstac", "lab"
PIECE_BYTES = 1 << 20
# Work that waits, what is about to be loaded, and numbers that are counted anew.
_PASSING = frozenset(("query_queue", "query_queue_history", "search_wheres"))
_HASH_BITS = 256
_TABLES = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum), c.relispartition
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = %s AND c.relkind = 'r' AND c.relpersistence = 'p'
        AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    GROUP BY c.relname, c.relispartition ORDER BY c.relname"""
# The text of rows is the same wherever they are read.
_PLAIN_TEXT = """
    SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres';
    SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL client_encoding = 'UTF8'"""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        schema: `pgstac` or `lab`.
        name: its name.
        columns: those that are not computed from others.
        is_partition: whether it is a part of pgstac's items.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    is_partition: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Return its name in SQL."""
        return sql.Identifier(self.schema, self.name)

    @property
    def file(self) -> str:
        """Return the name of the file with its rows."""
        return f"database/{self.schema}.{self.name}.copy.zst"


@dataclass(frozen=True)
class Rows:
    """What a table holds.

    Attributes:
        count: how many rows.
        hash: 64 hex digits.
    """

    count: int
    hash: str


@dataclass(frozen=True)
class StoredTable:
    """A table in a backup.

    Attributes:
        table: which one.
        rows: what it holds.
        checksum: multihash of the file.
    """

    table: Table
    rows: Rows
    checksum: str


def tables_of(connection: psycopg.Connection[Any], schema: str) -> list[Table]:
    """Return the tables of a schema whose rows are worth keeping, partitions among them."""
    found = connection.execute(_TABLES, (schema,)).fetchall()
    return [Table(schema, name, tuple(columns), part) for name, columns, part in found if name not in _PASSING]


def use_plain_text(connection: psycopg.Connection[Any]) -> None:
    """Make the transaction read and write rows in one form."""
    connection.execute(_PLAIN_TEXT)


def write_rows(connection: psycopg.Connection[Any], table: Table, folder: Path) -> StoredTable:
    """Write a table's rows into a backup."""
    path = folder / table.file
    state, buffer = _RowSum(), bytearray()
    with _compressed(path) as out:
        for row in _read(connection, table):
            state.add(row)
            buffer += row
            if len(buffer) >= PIECE_BYTES:
                out.write(buffer)
                buffer.clear()
        out.write(buffer)
    return StoredTable(table, state.rows(), multihash_of_file(path))


def hash_rows(connection: psycopg.Connection[Any], table: Table) -> Rows:
    """Return what a table holds."""
    state = _RowSum()
    for row in _read(connection, table):
        state.add(row)
    return state.rows()


def load_rows(connection: psycopg.Connection[Any], table: Table, path: Path) -> None:
    """Append the rows of a file to a table."""
    from pyarrow import CompressedInputStream, OSFile

    with OSFile(str(path)) as file, CompressedInputStream(file, "zstd") as rows:
        with connection.cursor().copy(_copy(table, "FROM STDIN")) as copy:
            while piece := rows.read(PIECE_BYTES):
                copy.write(piece)


def write_lines(path: Path, lines: Iterator[str]) -> None:
    """Write lines into a compressed file."""
    buffer = bytearray()
    with _compressed(path) as out:
        for line in lines:
            buffer += f"{line}\n".encode()
            if len(buffer) >= PIECE_BYTES:
                out.write(buffer)
                buffer.clear()
        out.write(buffer)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a compressed file."""
    from pyarrow import CompressedInputStream, OSFile

    rest = b""
    with OSFile(str(path)) as file, CompressedInputStream(file, "zstd") as text:
        while piece := text.read(PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode() for line in lines)


class _RowSum:
    """The sum of the SHA-256 of rows."""

    def __init__(self) -> None:
        self._count = self._sum = 0

    def add(self, row: bytes | memoryview) -> None:
        self._count += 1
        self._sum += int.from_bytes(hashlib.sha256(row).digest())

    def rows(self) -> Rows:
        return Rows(self._count, f"{self._sum % (1 << _HASH_BITS):064x}")


def _read(connection: psycopg.Connection[Any], table: Table) -> Iterator[bytes | memoryview]:
    """Yield the rows, each as one line: in text COPY a row is one message and holds no line break."""
    with connection.cursor().copy(_copy(table, "TO STDOUT")) as rows:
        yield from rows


def _copy(table: Table, direction: str) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    return sql.SQL("COPY {} ({}) {}").format(table.identifier, columns, sql.SQL(direction))


@contextmanager
def _compressed(path: Path) -> Iterator[Any]:
    from pyarrow import CompressedOutputStream, OSFile

    path.parent.mkdir(parents=True, exist_ok=True)
    with OSFile(str(path), "wb") as file, CompressedOutputStream(file, "zstd") as out:
        yield out
