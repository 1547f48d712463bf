"""Loading one piece of a source: read, checked and stored in one transaction, what is there already left alone.

Pieces are loaded side by side with one another and with other writers. Items that are new need no lock: the second of
two writers of one id fails on the index, and does its piece again. Items that change are locked as by any other writer
(`terralab.catalog.writing`). Of two items with one id the later in the source counts, whichever comes first.
"""

import random
import time
from typing import Any

import psycopg

from terralab.catalog.audit import ObjectChange, note_changes
from terralab.catalog.errors import AlreadyExists, InvalidItem, ServiceUnavailable
from terralab.catalog.exchange.chunks import Chunk, ChunkContent
from terralab.catalog.exchange.journal import Journal
from terralab.catalog.exchange.prepared import BatchOptions, Preparation, Prepared
from terralab.catalog.exchange.results import CREATED, DONE_BEFORE, UNCHANGED, UPDATED, ChunkResult
from terralab.catalog.exchange.stored_documents import StoredForm
from terralab.catalog.stored_bytes import require_bytes
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import collection_states, lock_items, store_rows, stored_etags

_ATTEMPTS = 6
_COLLISIONS = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_LZ4 = "SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"


class BatchLoader:
    """Loads pieces of one source.

    Args:
        workspace: the lab.
        form: makes the stored form of documents.
        journal: of the load.
        options: how.
    """

    def __init__(self, workspace: Workspace, form: StoredForm, journal: Journal, options: BatchOptions) -> None:
        self._workspace, self._journal, self._options = workspace, journal, options
        self._preparation = Preparation(workspace, form, options)
        self._compression: str | None = None

    def close(self) -> None:
        """Close the connection that is kept."""
        self._workspace.catalog.close_pool()

    def load(self, number: int, chunk: Chunk, store: bool = True) -> ChunkResult:
        """Load a piece; or only check it.

        No item of it is stored where a document is not valid (unless those are skipped) or a collection is missing.

        Args:
            number: of the piece in the load.
            chunk: the piece.
            store: whether to store it.
        """
        content = chunk.read()
        with self._workspace.catalog.connection() as connection:
            done = self._journal.done(connection, number, content.checksum)
        if done is not None:
            result = ChunkResult(number, chunk.weight)
            result.counts[DONE_BEFORE] += done
            return result
        for attempt in range(_ATTEMPTS):
            result = ChunkResult(number, chunk.weight)
            try:
                self._load(content, result, store)
                return result
            except (AlreadyExists, ServiceUnavailable) as error:
                collided = isinstance(error, _OvertakenError) or isinstance(error.__cause__, _COLLISIONS)
                if not collided or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311  # it keeps two apart, no secret
                content = chunk.read()
        raise AssertionError("the last attempt returns or raises")

    def _load(self, content: ChunkContent, result: ChunkResult, store: bool) -> None:
        prepared = self._preparation.prepare(content.documents, result, store)
        refused = bool(result.bad) and not self._options.skip_invalid
        if refused:
            result.missing = {}  # what is wrong comes first
        if store and not refused and not result.missing:
            self._store(prepared, content.checksum, result)

    def _store(self, prepared: Prepared, checksum: bytes, result: ChunkResult) -> None:
        with self._workspace.catalog.connection() as connection:
            self._set_up(connection)
            if prepared.rows:
                self._write(connection, prepared, result)
            result.counts[UNCHANGED] += len(prepared.unchanged)
            items = len(prepared.rows) + len(prepared.unchanged)
            self._journal.note(connection, result.number, checksum, items)

    def _set_up(self, connection: psycopg.Connection[Any]) -> None:
        if self._compression is None:
            found = connection.execute(_LZ4).fetchone()
            self._compression = "lz4" if found else "pglz"
        # pgstac's JSON is compressed by pglz otherwise, which takes longer than everything else about a row.
        connection.execute(f"SET LOCAL default_toast_compression = '{self._compression}'".encode())

    def _write(self, connection: psycopg.Connection[Any], prepared: Prepared, result: ChunkResult) -> None:
        rows, states = (
            prepared.rows,
            {row.collection: prepared.states[row.collection] for row in prepared.rows.values()},
        )
        there = [key for key in rows if key in prepared.there]
        lock_items(connection, there, states)
        stored = stored_etags(connection, list(rows))
        if stored.keys() - set(there) or collection_states(connection, set(states)) != states:
            raise _OvertakenError("others write the same items all the time; repeat the command")
        later = self._journal.from_later(connection, result.number, there) if there else set()
        changed = [row for key, row in rows.items() if key not in later and stored.get(key) != row.hash.hex()]
        if prepared.with_files:
            require_bytes(connection, self._workspace.store, prepared.with_files, InvalidItem)
        store_rows(connection, changed, states, there)
        before = [stored.get((row.collection, row.id)) for row in changed]
        changes = [
            ObjectChange(row.collection, row.id, etag, row.hash.hex())
            for row, etag in zip(changed, before, strict=True)
        ]
        note_changes(connection, self._options.writer, changes)
        result.counts[CREATED] += before.count(None)
        result.counts[UPDATED] += len(changed) - before.count(None)
        result.counts[UNCHANGED] += len(rows) - len(changed)


class _OvertakenError(AlreadyExists):
    """Another writer stored the same between two looks; the piece is done again."""
