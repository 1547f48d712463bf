"""Loading one piece of a source: read, checked and stored in one transaction, what is there already left alone.

Pieces are loaded side by side with one another and with other writers. Items that are new need no lock: the second of
two writers of one id fails on the index, and does its piece again. Items that change are locked as by any other writer
(`terralab.catalog.writing`). Of two items with one id the later in the source counts, whichever comes first.
"""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from terralab.catalog.audit import ObjectChange, note_changes, note_written
from terralab.catalog.errors import AlreadyExists, InvalidInput, InvalidItem, ServiceUnavailable
from terralab.catalog.exchange.chunks import Chunk, NotJson
from terralab.catalog.exchange.journal import Journal
from terralab.catalog.exchange.made_collections import extent_of_items
from terralab.catalog.exchange.results import (
    COLLECTIONS,
    CREATED,
    DONE_BEFORE,
    DROPPED_LINKS,
    UNCHANGED,
    UPDATED,
    BadDocument,
    ChunkResult,
)
from terralab.catalog.exchange.stored_documents import StaticForm, StoredForm
from terralab.catalog.read_model import canonical, hash_of, item_rows, stored_files
from terralab.catalog.stac_files import FileDocument
from terralab.catalog.stored_bytes import require_bytes
from terralab.catalog.validation import problems_of
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import Key, collection_states, lock_items, store_rows, stored_etags
from terralab.catalog.writing_collections import write_collections
from terralab.extensions.problem import Problem

_ATTEMPTS = 6
_STAC_TYPES = ("Feature", "Collection")
_EXISTING = "SELECT id FROM collections WHERE id = ANY(%s)"
_LZ4 = "SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"


@dataclass(frozen=True)
class BatchOptions:
    """How pieces are loaded.

    Attributes:
        validate: whether documents are checked.
        skip_invalid: whether the rest of a piece is stored where some documents are not valid.
        create_collections: whether collections that are missing will be made.
    """

    validate: bool = True
    skip_invalid: bool = False
    create_collections: bool = False


@dataclass
class _Entry:
    """An item of a piece: where it is, its stored form, the hash of that, and whether the catalog has one of its id."""

    name: str
    key: Key
    item: dict[str, Any]
    hash: bytes
    there: bool = False


class BatchLoader:
    """Loads pieces of one source.

    Args:
        workspace: the lab.
        form: makes the stored form of documents.
        journal: of the load.
        options: how.
    """

    def __init__(self, workspace: Workspace, form: StoredForm, journal: Journal, options: BatchOptions) -> None:
        self._workspace, self._form, self._journal, self._options = workspace, form, journal, options
        self._compression: str | None = None

    def close(self) -> None:
        """Close the connection that is kept."""
        self._workspace.catalog.close_pool()

    def load(self, number: int, chunk: Chunk, store: bool = True) -> ChunkResult:
        """Load a piece; or only check it.

        Nothing of it is stored where a document is not valid (unless those are skipped) or a collection is missing.

        Args:
            number: of the piece in the load.
            chunk: the piece.
            store: whether to store it.
        """
        result, content = ChunkResult(number, chunk.weight), chunk.read()
        with self._workspace.catalog.connection() as connection:
            done = self._journal.done(connection, number, content.checksum)
        if done is not None:
            result.counts[DONE_BEFORE] += done
            return result
        collections, entries = self._read(content.documents, result)
        if entries:
            result.missing = self._missing(entries, collections)
        if result.missing and store:
            return result
        changed = self._check_changed(entries, result)
        if store and (self._options.skip_invalid or not result.bad):
            self._store(result, content.checksum, collections, entries, changed)
        return result

    def _read(
        self, documents: Iterable[FileDocument], result: ChunkResult
    ) -> tuple[list[dict[str, Any]], list[_Entry]]:
        """Return collections and items in stored form; of items with one id the last."""
        collections: list[dict[str, Any]] = []
        entries: dict[Key, _Entry] = {}
        for document in documents:
            stored = self._stored_form(document, result)
            if stored is None:
                continue
            if stored["type"] == "Collection":
                if self._valid(document.name, stored, result):
                    collections.append(stored)
                continue
            key = (str(stored.get("collection")), str(stored.get("id")))
            try:
                entries[key] = _Entry(document.name, key, stored, hash_of(canonical(stored)))
            except (TypeError, ValueError, RecursionError):
                self._valid(document.name, stored, result)  # it is no JSON that could be stored, and is told why
        if isinstance(self._form, StaticForm):
            result.counts[DROPPED_LINKS], self._form.dropped_links = self._form.dropped_links, 0
        result.counts[COLLECTIONS] = len(collections)
        return collections, list(entries.values())

    def _stored_form(self, document: FileDocument, result: ChunkResult) -> dict[str, Any] | None:
        content, folder = document.content, isinstance(self._form, StaticForm)
        kind = content.get("type") if isinstance(content, dict) else None
        if kind in _STAC_TYPES:
            try:
                return self._form.of(content, document.name)
            except InvalidInput as error:
                problem = Problem("$", "file_reference", str(error), "repair the file or its reference")
                result.refuse(BadDocument(document.name, content.get("id"), (problem,)))
                return None
        # Folders hold catalogs and other JSON too.
        if not folder and kind != "Catalog":
            result.refuse(_unreadable(document))
        return None

    def _missing(
        self, entries: Sequence[_Entry], collections: Sequence[dict[str, Any]]
    ) -> dict[str, dict[str, Any] | None]:
        """Return the collections that are not there, with the extents of their items where they are to be made."""
        names = {entry.key[0] for entry in entries} - {collection["id"] for collection in collections} - {"None"}
        with self._workspace.catalog.connection() as connection:
            found = {row[0] for row in connection.execute(_EXISTING, (sorted(names),)).fetchall()}
        missing = dict.fromkeys(sorted(names - found))
        if not missing or not self._options.create_collections:
            return missing
        members = {name: [entry.item for entry in entries if entry.key[0] == name] for name in missing}
        valid = {name: [item for item in items if not self._problems(item)] for name, items in members.items()}
        # Where none is valid, no collection is missing but the items are told.
        return {name: extent_of_items(items) for name, items in valid.items() if items}

    def _check_changed(self, entries: list[_Entry], result: ChunkResult) -> list[_Entry]:
        """Return the valid items that are not stored as they are; bad ones are taken out of `entries` too."""
        with self._workspace.catalog.connection() as connection:
            stored = stored_etags(connection, [entry.key for entry in entries]) if entries else {}
        changed, refused = [], set()
        for entry in entries:
            entry.there = entry.key in stored
            if stored.get(entry.key) == entry.hash.hex():
                continue
            if self._valid(entry.name, entry.item, result):
                changed.append(entry)
            else:
                refused.add(entry.key)
        refused |= self._without_bytes(changed, result)
        entries[:] = [entry for entry in entries if entry.key not in refused]
        return [entry for entry in changed if entry.key not in refused]

    def _valid(self, name: str, document: dict[str, Any], result: ChunkResult) -> bool:
        problems = self._problems(document)
        if problems:
            result.refuse(BadDocument(name, document.get("id"), tuple(problems)))
        return not problems

    def _problems(self, document: dict[str, Any]) -> list[Problem]:
        return problems_of(self._workspace, document) if self._options.validate else _minimal(document)

    def _without_bytes(self, entries: list[_Entry], result: ChunkResult) -> set[Key]:
        """Return the items that refer to files which the asset store has not."""
        wanted = {entry.key: files for entry in entries if (files := _files(entry.item))}
        if not wanted:
            return set()
        found = self._workspace.store.sizes(sorted({file for files in wanted.values() for file in files}))
        refused = set()
        for entry in entries:
            lacking = [file for file in wanted.get(entry.key, ()) if file not in found]
            if lacking:
                message = f"the asset store has no file {', '.join(lacking[:3])}"
                problem = Problem("assets", "file_missing", message, "store the files first, as `catalog import` does")
                result.refuse(BadDocument(entry.name, entry.key[1], (problem,)))
                refused.add(entry.key)
        return refused

    def _store(
        self,
        result: ChunkResult,
        checksum: bytes,
        collections: list[dict[str, Any]],
        entries: list[_Entry],
        changed: list[_Entry],
    ) -> None:
        """Store a piece in one transaction, again and again while others are in its way."""
        for attempt in range(_ATTEMPTS):
            counts = result.counts.copy()
            try:
                with self._workspace.catalog.connection() as connection:
                    self._prepare(connection)
                    note_written(connection, None, write_collections(connection, collections))
                    self._write(connection, result, changed)
                    result.counts[UNCHANGED] += len(entries) - len(changed)
                    self._journal.note(connection, result.number, checksum, len(entries))
                return
            except (AlreadyExists, ServiceUnavailable) as error:
                result.counts = counts
                collided = isinstance(error, _OvertakenError) or isinstance(error.__cause__, _COLLISIONS)
                if not collided or attempt == _ATTEMPTS - 1:
                    raise
                self._look_again(changed)
                time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311  # it keeps two apart, no secret

    def _look_again(self, entries: list[_Entry]) -> None:
        with self._workspace.catalog.connection() as connection:
            stored = stored_etags(connection, [entry.key for entry in entries])
        for entry in entries:
            entry.there = entry.key in stored

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        if self._compression is None:
            found = connection.execute(_LZ4).fetchone()
            self._compression = "lz4" if found else "pglz"
        # pgstac's JSON is compressed by pglz otherwise, which takes longer than everything else about a row.
        connection.execute(f"SET LOCAL default_toast_compression = '{self._compression}'".encode())
        # The trigger that counts items sees all rows of the statement at once.
        connection.execute("SET LOCAL work_mem = '64MB'")

    def _write(self, connection: psycopg.Connection[Any], result: ChunkResult, entries: list[_Entry]) -> None:
        if not entries:
            return
        keys = [entry.key for entry in entries]
        hashes = {entry.key: entry.hash.hex() for entry in entries}
        states = collection_states(connection, {key[0] for key in keys})
        rows = item_rows([entry.item for entry in entries], states)
        there = [entry.key for entry in entries if entry.there]
        lock_items(connection, there, states)
        stored = stored_etags(connection, keys)
        if stored.keys() - set(there):
            raise _OvertakenError("others write the same items all the time; repeat the command")
        later = self._journal.from_later(connection, result.number, there) if there else set()
        changed = [
            row for row in rows if (key := (row.collection, row.id)) not in later and stored.get(key) != hashes[key]
        ]
        require_bytes(connection, self._workspace.store, [entry.item for entry in entries], InvalidItem)
        if collection_states(connection, set(states)) != states:
            raise _OvertakenError("others write the same items all the time; repeat the command")
        store_rows(connection, changed, states, there)
        made = [((row.collection, row.id), row.hash.hex()) for row in changed]
        note_changes(connection, None, [ObjectChange(*key, stored.get(key), etag) for key, etag in made])
        updated = sum((row.collection, row.id) in stored for row in changed)
        result.counts[UPDATED] += updated
        result.counts[CREATED] += len(changed) - updated
        result.counts[UNCHANGED] += len(rows) - len(changed)


class _OvertakenError(AlreadyExists):
    """Another writer stored the same between two looks; the piece is done again."""


_COLLISIONS = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


def _files(item: dict[str, Any]) -> list[str]:
    try:
        return stored_files(item)
    except ValueError:
        return ["of a malformed reference"]


def _unreadable(document: FileDocument) -> BadDocument:
    content = document.content
    if isinstance(content, NotJson):
        problem = Problem("$", "not_json", f"the line is not JSON: {content.reason}", "write one JSON object a line")
        return BadDocument(document.name, None, (problem,))
    kind = content.get("type") if isinstance(content, dict) else type(content).__name__
    message = f"{kind!r} is not the type of an item or a collection"
    problem = Problem("type", "type", message, "load items (Feature) and collections (Collection)")
    return BadDocument(document.name, content.get("id") if isinstance(content, dict) else None, (problem,))


def _minimal(document: dict[str, Any]) -> list[Problem]:
    """Check what no row can do without."""
    names = ("id", "collection", "geometry", "properties") if document["type"] == "Feature" else ("id", "extent")
    lacking = [name for name in names if not document.get(name)]
    return [Problem(name, "missing", f"there is no {name}", f"add {name}") for name in lacking]
