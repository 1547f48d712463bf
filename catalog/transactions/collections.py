"""Creating, replacing, patching and deleting one collection, in the caller's open transaction."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from terralab.catalog.access.policy import guarded, may_read_collection, may_write
from terralab.catalog.access.principal import Principal
from terralab.catalog.audit import ObjectChange
from terralab.catalog.errors import AlreadyExists, Changed, NotAllowed, UnknownName
from terralab.catalog.read_model import etag_of
from terralab.catalog.rendering import STAC_PATH
from terralab.catalog.transactions.answer import JSON_TYPE, NO_CONTENT, Answer, document_answer
from terralab.catalog.transactions.checking import refuse
from terralab.catalog.transactions.items import owner_of
from terralab.catalog.transactions.ownership import owned
from terralab.catalog.transactions.stored_objects import readable_collection, served_collection
from terralab.catalog.transactions.write import Write
from terralab.catalog.writing_collections import change_collection, lock_collection, write_collections
from terralab.catalog.writing_collections import delete_collection as delete_stored

Document = dict[str, Any]
_OTHERS_ITEM = """
    SELECT id FROM lab.items i WHERE i.collection = %(collection)s AND i.owner IS NOT NULL AND i.owner <> %(name)s
    AND (i.visibility IS DISTINCT FROM 'project' OR i.project IS NULL OR i.project <> ALL(%(projects)s)) LIMIT 1"""


def create_collection(write: Write, document: Document) -> Answer:
    """Create a collection, which was checked.

    Raises:
        AlreadyExists: there is one of that id.
        NotAllowed: the caller may not give it away.
    """
    whole = owned(document, write.request.caller, None, write.default_visibility)
    written = write_collections(write.connection, [whole], "create")[0]
    write.note(ObjectChange(written.collection, None, None, written.etag))
    now = readable_collection(write.connection, Principal(reads_all=True), written.collection)
    return _answer(write, now, HTTPStatus.CREATED)


def replace_collection(write: Write, document: Document) -> Answer:
    """Replace a collection by one that was checked; with `If-None-Match: *`, create it.

    Raises:
        UnknownName: there is no such collection.
        Changed: it is not what the caller has seen.
        NotAllowed: the caller may not change it so.
    """
    if write.request.preconditions.none_match:
        try:
            return create_collection(write, document)
        except AlreadyExists as error:
            raise Changed(str(error)) from error
    return _change(write, document["id"], lambda stored: document)


def patch_collection(write: Write, collection: str, patch: Callable[[Document], Any]) -> Answer:
    """Change a collection under its lock.

    Args:
        write: the write.
        collection: its id.
        patch: returns the collection as it is to be served from the collection as it is served.

    Raises:
        InvalidItem: what comes out is not valid.
        UnknownName: there is no such collection.
        Changed: it is not what the caller has seen.
        NotAllowed: the caller may not change it so.
    """

    def change(stored: Document) -> Document:
        served = served_collection(stored, write.request.base)
        document, problems = write.checking.collection(patch(served), collection, stored.get("assets") or {})
        refuse(problems, "the patched collection")
        return document

    return _change(write, collection, change)


def delete_collection(write: Write, collection: str) -> Answer:
    """Delete a collection with its items.

    Raises:
        UnknownName: there is no such collection.
        Changed: it is not what the caller has seen.
        NotAllowed: the caller may not delete it, or not all of its items.
    """
    lock_collection(write.connection, collection)
    stored = readable_collection(write.connection, write.request.caller, collection)
    _check_change(write, stored)
    _check_items(write, collection)
    delete_stored(write.connection, collection)
    write.note(ObjectChange(collection, None, etag_of(stored), None))
    return NO_CONTENT


def _change(write: Write, collection: str, change: Callable[[Document], Document]) -> Answer:
    before = ""

    def changed(stored: Document) -> Document:
        nonlocal before
        before = etag_of(stored)
        _check_change(write, stored)
        return owned(change(stored), write.request.caller, guarded(stored), None)

    now, _ = change_collection(write.connection, collection, changed)
    write.note(ObjectChange(collection, None, before, etag_of(now)))
    return _answer(write, now)


def _check_change(write: Write, stored: Document) -> None:
    """Check that the caller may change a collection, and has seen it as it is."""
    caller, name = write.request.caller, stored["id"]
    if not may_read_collection(caller, guarded(stored)):
        raise UnknownName(f"there is no collection {name!r}")
    if not may_write(caller, guarded(stored)):
        raise NotAllowed(f"you may read collection {name!r}, but not change it; ask {owner_of(guarded(stored))}")
    write.request.preconditions.check(f"collection {name}", etag_of(stored), write.settings.api.require_if_match)


def _check_items(write: Write, collection: str) -> None:
    """Check that the caller may delete the items of a collection that have an owner."""
    caller = write.request.caller
    if caller.is_admin:
        return
    parameters = {"collection": collection, "name": caller.name, "projects": sorted(caller.projects)}
    if write.connection.execute(_OTHERS_ITEM, parameters).fetchone() is not None:
        raise NotAllowed(f"collection {collection!r} holds items of others, which you may not delete")


def _answer(write: Write, stored: Document, status: int = HTTPStatus.OK) -> Answer:
    body = orjson.dumps(served_collection(stored, write.request.base))
    address = f"{write.request.base}{STAC_PATH}/collections/{quote(stored['id'])}"
    return document_answer(status, body, JSON_TYPE, etag_of(stored), address if status == HTTPStatus.CREATED else None)
