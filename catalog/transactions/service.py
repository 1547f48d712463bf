"""The writes of the STAC API from request to answer: checked, then done in one transaction with audit and key."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg

from terralab.catalog.access.file_access import FileAccess
from terralab.catalog.errors import InvalidItem
from terralab.catalog.settings import Settings
from terralab.catalog.stored_bytes import require_bytes
from terralab.catalog.transactions import batches, collections, items
from terralab.catalog.transactions.answer import Answer
from terralab.catalog.transactions.checking import Checking, refuse
from terralab.catalog.transactions.idempotency import REPLAYED, keep_answer, known_answer
from terralab.catalog.transactions.patches import JSON_PATCH_TYPE, json_patched, merge_patched
from terralab.catalog.transactions.write import Write
from terralab.catalog.transactions.write_request import PATCH_TYPES, WriteRequest
from terralab.catalog.workspace import Workspace

_MB = 1_000_000


class Transactions:
    """Writes what requests ask for.

    Args:
        workspace: the lab.
        forget: called after a collection changed, for what remembers collections.
    """

    def __init__(self, workspace: Workspace, forget: Sequence[Callable[[], None]] = ()) -> None:
        self._workspace, self._forget = workspace, forget
        self._files = FileAccess(workspace.catalog, workspace.views.collections)

    @property
    def _settings(self) -> Settings:
        return self._workspace.settings

    def create_items(self, request: WriteRequest, collection: str) -> Answer:
        """Create the item of a body, or those of a FeatureCollection."""
        body = request.document()
        if isinstance(body, dict) and body.get("type") == "FeatureCollection":
            return self._write_batch(request, collection, batches.features_of(body, self._most), "create")
        document, problems = self._checking(request).item(body, collection)
        refuse(problems, "the item")
        return self._run(request, lambda write: items.create_item(write, document), [document])

    def bulk_items(self, request: WriteRequest, collection: str) -> Answer:
        """Create, or create and replace, the items of a body of the bulk transactions extension."""
        sent, mode = batches.bulk_items_of(request.document(), self._most)
        return self._write_batch(request, collection, sent, mode)

    def replace_item(self, request: WriteRequest, collection: str, item: str) -> Answer:
        """Replace an item."""
        document, problems = self._checking(request).item(request.document(), collection, item)
        refuse(problems, "the item")
        return self._run(request, lambda write: items.replace_item(write, document), [document])

    def patch_item(self, request: WriteRequest, collection: str, item: str) -> Answer:
        """Change a part of an item."""
        patch = self._patch(request)
        return self._run(request, lambda write: items.patch_item(write, collection, item, patch))

    def delete_item(self, request: WriteRequest, collection: str, item: str) -> Answer:
        """Delete an item."""
        return self._run(request, lambda write: items.delete_item(write, collection, item))

    def create_collection(self, request: WriteRequest) -> Answer:
        """Create a collection."""
        document, problems = self._checking(request).collection(request.document())
        refuse(problems, "the collection")
        return self._run_for_collection(
            request, lambda write: collections.create_collection(write, document), [document]
        )

    def replace_collection(self, request: WriteRequest, collection: str) -> Answer:
        """Replace a collection."""
        document, problems = self._checking(request).collection(request.document(), collection)
        refuse(problems, "the collection")
        return self._run_for_collection(
            request, lambda write: collections.replace_collection(write, document), [document]
        )

    def patch_collection(self, request: WriteRequest, collection: str) -> Answer:
        """Change a part of a collection."""
        patch = self._patch(request)
        return self._run_for_collection(request, lambda write: collections.patch_collection(write, collection, patch))

    def delete_collection(self, request: WriteRequest, collection: str) -> Answer:
        """Delete a collection with its items."""
        return self._run_for_collection(request, lambda write: collections.delete_collection(write, collection))

    @property
    def _most(self) -> int:
        return self._settings.api.max_batch

    def _write_batch(
        self, request: WriteRequest, collection: str, sent: Sequence[tuple[str | None, Any]], mode: batches.Mode
    ) -> Answer:
        batch = batches.check_batch(self._checking(request), collection, sent)
        documents = list(batch.items.values())
        return self._run(request, lambda write: batches.write_batch(write, collection, batch, mode), documents)

    def _patch(self, request: WriteRequest) -> Callable[[Any], Any]:
        """Return what the patch in the body makes of a document."""
        patch = request.document(PATCH_TYPES)
        if request.content_type == JSON_PATCH_TYPE:
            most = self._settings.api.max_body_mb * _MB
            return lambda document: json_patched(document, patch, most)
        return lambda document: merge_patched(document, patch)

    def _checking(self, request: WriteRequest) -> Checking:
        bases = list(dict.fromkeys([request.base, self._settings.web.url]))
        return Checking(self._workspace, self._files, request.caller, bases)

    def _run_for_collection(
        self, request: WriteRequest, work: Callable[[Write], Answer], documents: Sequence[dict[str, Any]] = ()
    ) -> Answer:
        try:
            return self._run(request, work, documents)
        finally:  # also where the answer is not known: it may have been committed
            for forget in self._forget:
                forget()

    def _run(
        self, request: WriteRequest, work: Callable[[Write], Answer], documents: Sequence[dict[str, Any]] = ()
    ) -> Answer:
        """Do one write.

        Args:
            request: what is asked for.
            work: does it.
            documents: what was checked already; the bytes of its files are looked for once more, since the collection
                of garbage is held off only from here on.
        """

        def once(connection: psycopg.Connection[Any]) -> Answer:
            if request.keyed is not None:
                known = known_answer(connection, request.keyed)
                if known is not None:
                    return replace(known, headers={**known.headers, REPLAYED: "true"})
            require_bytes(connection, self._workspace.store, documents, InvalidItem)
            write = Write(request, self._checking(request), connection, self._settings, self._workspace.views.signer)
            answer = work(write)
            if request.keyed is not None:
                keep_answer(connection, request.keyed, answer)
            return answer

        return self._workspace.catalog.run(once)
