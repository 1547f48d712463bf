"""Rows as PostgreSQL's binary COPY, for pgstac's items and for the read model.

Text COPY would escape every item's JSON once more in Python; the binary form takes the bytes as they are.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from terralab.catalog.read_model import FIELDS, NUMBER, ItemRow

_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECONDS = 1_000_000
_JSONB_VERSION = b"\x01"
_PIECE = 1 << 18

PGSTAC_COLUMNS = ("id", "geometry", "collection", "datetime", "end_datetime", "content")
READ_COLUMNS = (
    "collection",
    "id",
    "datetime",
    "end_datetime",
    "geometry",
    "hash",
    *(column for column, _ in FIELDS.values()),
    "metrics",
    "class_counts",
    "words",
    "body",
)
_NUMBERS = tuple(kind == NUMBER for _, kind in FIELDS.values())
_READ_FIELDS = struct.pack("!h", len(READ_COLUMNS))
_LENGTH, _TIME, _FLOAT = struct.Struct("!i").pack, struct.Struct("!iq").pack, struct.Struct("!id").pack


def copy_pgstac_rows(connection: psycopg.Connection[Any], table: str, rows: Iterable[ItemRow]) -> None:
    """Append rows to a table with pgstac's columns."""
    _copy(connection, table, PGSTAC_COLUMNS, (_pgstac_row(row) for row in rows))


def copy_read_rows(connection: psycopg.Connection[Any], rows: Sequence[ItemRow]) -> None:
    """Append rows to the read model: items, links and files."""
    _copy(connection, "lab.items", READ_COLUMNS, (_read_row(row) for row in rows if row.body is not None))
    links = [
        _record(4, _text(row.collection), _text(row.id), _text(rel), _text(target))
        for row in rows
        for rel, target in row.links
    ]
    files = [
        _record(3, _text(checksum), _text(row.collection), _text(row.id)) for row in rows for checksum in row.files
    ]
    if links:
        _copy(connection, "lab.links", ("collection", "id", "rel", "target"), links)
    if files:
        _copy(connection, "lab.files", ("checksum", "collection", "id"), files)


def _copy(connection: psycopg.Connection[Any], table: str, columns: Sequence[str], records: Iterable[bytes]) -> None:
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        pieces, size = [_HEADER], len(_HEADER)
        for record in records:
            pieces.append(record)
            size += len(record)
            if size > _PIECE:
                copy.write(b"".join(pieces))
                pieces, size = [], 0
        copy.write(b"".join([*pieces, _TRAILER]))


def _pgstac_row(row: ItemRow) -> bytes:
    return _record(
        6,
        _text(row.id),
        _bytes(row.geometry),
        _text(row.collection),
        _time(row.start),
        _time(row.end),
        _bytes(_JSONB_VERSION + row.content),
    )


def _read_row(row: ItemRow) -> bytes:
    return b"".join(
        (
            _READ_FIELDS,
            _text(row.collection),
            _text(row.id),
            _time(row.start),
            _time(row.end),
            _bytes(row.geometry),
            _bytes(row.hash),
            *_typed(row.columns),
            _json(row.metrics),
            _json(row.class_counts),
            _text(row.words),
            _bytes(row.body or b""),
        )
    )


def _typed(values: Iterable[str | float | None]) -> list[bytes]:
    """Return the typed columns; most are empty."""
    return [
        _NULL if value is None else _number(value) if is_number else _text(value)
        for value, is_number in zip(values, _NUMBERS, strict=True)
    ]


def _record(fields: int, *values: bytes) -> bytes:
    return struct.pack("!h", fields) + b"".join(values)


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _text(value: Any) -> bytes:
    return _NULL if value is None else _bytes(str(value).encode())


def _json(value: bytes | None) -> bytes:
    return _NULL if value is None else _bytes(_JSONB_VERSION + value)


def _number(value: Any) -> bytes:
    return _NULL if value is None else _FLOAT(8, value)


def _time(moment: datetime) -> bytes:
    """Encode a time as microseconds since 2000."""
    passed = moment - _EPOCH
    return _TIME(8, (passed.days * 86_400 + passed.seconds) * _MICROSECONDS + passed.microseconds)
