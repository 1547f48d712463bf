"""Which pieces of a source are stored: written in the transaction of each piece, forgotten when all are.

A repeated load reads the journal of the one that was broken off and passes over what that has done.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import psycopg

from terralab.catalog.writing import Key

_KEPT = "30 days"
_DONE = "SELECT items FROM lab.loads WHERE load = %s AND chunk = %s AND checksum = %s"
_NOTE = """
    INSERT INTO lab.loads (load, chunk, checksum, items, transaction)
    VALUES (%s, %s, %s, %s, pg_current_xact_id()::xid)
    ON CONFLICT (load, chunk) DO UPDATE
        SET checksum = excluded.checksum, items = excluded.items, transaction = excluded.transaction"""
_FROM_LATER = """
    SELECT r.collection, r.id FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    JOIN lab.items r USING (collection, id)
    JOIN lab.loads l ON l.transaction = r.xmin WHERE l.load = %s AND l.chunk > %s"""


class Journal:
    """The journal of one load.

    Args:
        sources: absolute names of what it loads.
        options: what else makes it another load.
    """

    def __init__(self, sources: Sequence[str], options: str) -> None:
        self._load = hashlib.sha256("\0".join((*sources, options)).encode()).digest()

    def done(self, connection: psycopg.Connection[Any], chunk: int, checksum: bytes) -> int | None:
        """Return how many items a piece had when it was stored; None where it is still to be stored."""
        row = connection.execute(_DONE, (self._load, chunk, checksum)).fetchone()
        return row[0] if row else None

    def note(self, connection: psycopg.Connection[Any], chunk: int, checksum: bytes, items: int) -> None:
        """Say that a piece is stored, in the transaction that stores it."""
        connection.execute(_NOTE, (self._load, chunk, checksum, items))

    def from_later(self, connection: psycopg.Connection[Any], chunk: int, keys: Sequence[Key]) -> set[Key]:
        """Return those of `keys` that a later piece of this load has stored already: of two, the last counts."""
        columns = ([key[0] for key in keys], [key[1] for key in keys])
        return {(row[0], row[1]) for row in connection.execute(_FROM_LATER, (*columns, self._load, chunk))}

    def forget(self, connection: psycopg.Connection[Any]) -> None:
        """Forget this load, and those that nobody has gone on with for a month."""
        connection.execute("DELETE FROM lab.loads WHERE load = %s OR at < now() - %s::interval", (self._load, _KEPT))
