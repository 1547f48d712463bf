"""What a piece of a source holds, checked and turned into rows, a few hundred documents at a time.

So the documents themselves, which take ten times the memory of their rows, never lie there all together.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import psycopg

from terralab.catalog.audit import note_written
from terralab.catalog.errors import InvalidInput
from terralab.catalog.exchange.made_collections import extent_of_items
from terralab.catalog.exchange.problems import malformed, minimal_problems, not_stac
from terralab.catalog.exchange.results import COLLECTIONS, DROPPED_LINKS, BadDocument, ChunkResult
from terralab.catalog.exchange.stored_documents import StaticForm, StoredForm
from terralab.catalog.read_model import CollectionState, ItemRow, canonical_members, hash_of, item_rows, stored_files
from terralab.catalog.rendering import joined
from terralab.catalog.stac_files import FileDocument
from terralab.catalog.store import HREF_SCHEME
from terralab.catalog.validation import problems_of
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import Key, collection_states, stored_etags
from terralab.catalog.writing_collections import write_collections
from terralab.extensions.problem import Problem

_AT_ONCE = 200
_SCHEME = HREF_SCHEME.encode()
_STAC_TYPES = ("Feature", "Collection")
_EXISTING = "SELECT id FROM collections WHERE id = ANY(%s)"


@dataclass(frozen=True)
class BatchOptions:
    """How pieces are loaded.

    Attributes:
        validate: whether documents are checked.
        skip_invalid: whether the rest of a piece is stored where some documents are not valid.
        create_collections: whether collections that are missing will be made.
        writer: who the audit log says did it.
    """

    validate: bool = True
    skip_invalid: bool = False
    create_collections: bool = False
    writer: str = ""


@dataclass
class Prepared:
    """The items of a piece, as they are to be stored; of two with one id the later.

    Attributes:
        rows: of those that are new or changed.
        there: keys of those that the catalog had, in whatever form, when it was asked.
        unchanged: keys of those that it had in the same form.
        with_files: ids and assets of those that refer to the asset store.
        states: of their collections.
    """

    rows: dict[Key, ItemRow] = field(default_factory=dict)
    there: set[Key] = field(default_factory=set)
    unchanged: set[Key] = field(default_factory=set)
    with_files: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, CollectionState] = field(default_factory=dict)


@dataclass
class _Entry:
    """An item: where it is in the source, its stored form, and JSON and hash of that."""

    name: str
    key: Key
    item: dict[str, Any]
    members: dict[str, bytes]
    text: bytes
    hash: bytes


class Preparation:
    """Prepares the pieces of one source.

    Args:
        workspace: the lab.
        form: makes the stored form of documents.
        options: how.
    """

    def __init__(self, workspace: Workspace, form: StoredForm, options: BatchOptions) -> None:
        self._workspace, self._form, self._options = workspace, form, options

    def prepare(self, documents: Iterable[FileDocument], result: ChunkResult, store: bool) -> Prepared:
        """Return what is to be stored of documents; collections among them are stored already.

        It ends at once where collections are missing.

        Args:
            documents: STAC documents.
            result: is told what is not valid, and what is missing.
            store: whether anything will be stored; else the documents are only checked.
        """
        prepared = Prepared()
        for group in _groups(documents, _AT_ONCE):
            collections, entries = self._read(group, result)
            with self._workspace.catalog.connection() as connection:
                self._write_collections(connection, collections, result, store)
                result.missing = self._missing(connection, entries, prepared) if store else {}
                if result.missing:
                    break
                self._prepare_group(connection, entries, prepared, result, store)
        if isinstance(self._form, StaticForm):
            result.counts[DROPPED_LINKS], self._form.dropped_links = self._form.dropped_links, 0
        return prepared

    def _read(
        self, documents: Sequence[FileDocument], result: ChunkResult
    ) -> tuple[list[dict[str, Any]], list[_Entry]]:
        """Return collections and items in stored form."""
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
                members = canonical_members(stored)
            except (TypeError, ValueError, RecursionError):
                self._refuse(document.name, stored, self._problems(stored) or [malformed()], result)
                continue
            text = joined(members)
            entries[key] = _Entry(document.name, key, stored, members, text, hash_of(text))
        return collections, list(entries.values())

    def _stored_form(self, document: FileDocument, result: ChunkResult) -> dict[str, Any] | None:
        content = document.content
        kind = content.get("type") if isinstance(content, dict) else None
        if kind in _STAC_TYPES:
            try:
                return self._form.of(content, document.name)
            except InvalidInput as error:
                problem = Problem("$", "file_reference", str(error), "repair the file or its reference")
                self._refuse(document.name, content, [problem], result)
        # Folders hold catalogs and other JSON too.
        elif kind != "Catalog" and not isinstance(self._form, StaticForm):
            result.refuse(not_stac(document))
        return None

    def _write_collections(
        self,
        connection: psycopg.Connection[Any],
        collections: list[dict[str, Any]],
        result: ChunkResult,
        store: bool,
    ) -> None:
        result.counts[COLLECTIONS] += len(collections)
        if store and collections and (self._options.skip_invalid or not result.bad):
            note_written(connection, self._options.writer, write_collections(connection, collections))

    def _missing(
        self, connection: psycopg.Connection[Any], entries: Sequence[_Entry], prepared: Prepared
    ) -> dict[str, dict[str, Any] | None]:
        """Return the collections that are not there, with the extents of their items where they are to be made."""
        names = {entry.key[0] for entry in entries} - prepared.states.keys() - {"None"}
        if not names:
            return {}
        found = {row[0] for row in connection.execute(_EXISTING, (sorted(names),)).fetchall()}
        prepared.states.update(collection_states(connection, found))
        missing = sorted(names - found)
        if not self._options.create_collections:
            return dict.fromkeys(missing)
        members = {name: [entry.item for entry in entries if entry.key[0] == name] for name in missing}
        valid = {name: [item for item in items if not self._problems(item)] for name, items in members.items()}
        # Where none is valid, no collection is missing but the items are told.
        return {name: extent_of_items(items) for name, items in valid.items() if items}

    def _prepare_group(
        self,
        connection: psycopg.Connection[Any],
        entries: list[_Entry],
        prepared: Prepared,
        result: ChunkResult,
        store: bool,
    ) -> None:
        """Add the rows of the valid items that are not stored as they are."""
        stored = stored_etags(connection, [entry.key for entry in entries]) if entries else {}
        prepared.there |= stored.keys()
        changed = []
        for entry in entries:
            prepared.unchanged.discard(entry.key)
            prepared.rows.pop(entry.key, None)
            if stored.get(entry.key) == entry.hash.hex():
                prepared.unchanged.add(entry.key)
            elif self._valid(entry.name, entry.item, result, entry.text):
                changed.append(entry)
        changed = self._with_bytes(changed, prepared, result)
        if store and changed and (self._options.skip_invalid or not result.bad):
            items, members = [entry.item for entry in changed], [entry.members for entry in changed]
            rows = item_rows(items, prepared.states, members)
            prepared.rows.update({entry.key: row for entry, row in zip(changed, rows, strict=True)})

    def _with_bytes(self, entries: list[_Entry], prepared: Prepared, result: ChunkResult) -> list[_Entry]:
        """Return the items without those that refer to files which the asset store has not."""
        wanted = {
            entry.key: files
            for entry in entries
            if _SCHEME in entry.members.get("assets", b"") and (files := stored_files(entry.item))
        }
        if not wanted:
            return entries
        found = self._workspace.store.sizes(sorted({file for files in wanted.values() for file in files}))
        kept = []
        for entry in entries:
            lacking = [file for file in wanted.get(entry.key, ()) if file not in found]
            if lacking:
                message = f"the asset store has no file {', '.join(lacking[:3])}"
                problem = Problem("assets", "file_missing", message, "store the files first, as `catalog import` does")
                self._refuse(entry.name, entry.item, [problem], result)
                continue
            kept.append(entry)
            if entry.key in wanted:
                prepared.with_files.append({name: entry.item[name] for name in ("id", "collection", "assets")})
        return kept

    def _valid(self, name: str, document: dict[str, Any], result: ChunkResult, text: bytes | None = None) -> bool:
        problems = self._problems(document, text)
        if problems:
            self._refuse(name, document, problems, result)
        return not problems

    def _problems(self, document: dict[str, Any], text: bytes | None = None) -> list[Problem]:
        if not self._options.validate:
            return minimal_problems(document)
        return problems_of(self._workspace, document, text=text)

    def _refuse(self, name: str, document: dict[str, Any], problems: Sequence[Problem], result: ChunkResult) -> None:
        result.refuse(BadDocument(name, document.get("id"), tuple(problems)))


def _groups(documents: Iterable[FileDocument], size: int) -> Iterator[list[FileDocument]]:
    iterator = iter(documents)
    while group := list(islice(iterator, size)):
        yield group
