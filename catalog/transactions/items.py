"""Creating, replacing, patching and deleting one item, in the caller's open transaction."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from terralab.catalog.access.policy import Guarded, guarded, may_read, may_write
from terralab.catalog.audit import ObjectChange
from terralab.catalog.errors import AlreadyExists, NotAllowed
from terralab.catalog.read_model import canonical, etag_of
from terralab.catalog.rendering import STAC_PATH, rendered, served
from terralab.catalog.transactions.answer import NO_CONTENT, Answer, document_answer
from terralab.catalog.transactions.checking import refuse
from terralab.catalog.transactions.ownership import may_change, owned
from terralab.catalog.transactions.stored_form import item_as_stored
from terralab.catalog.transactions.stored_objects import (
    StoredItem,
    readable_collection,
    readable_item,
    served_item,
    stored_items,
)
from terralab.catalog.transactions.write import Write
from terralab.catalog.writing import delete_items, lock_items, write_items
from terralab.extensions.item import GEOJSON_TYPE

Document = dict[str, Any]


def create_item(write: Write, document: Document) -> Answer:
    """Create an item, which was checked.

    Raises:
        UnknownName: there is no such collection.
        AlreadyExists: there is an item of that id.
        NotAllowed: the caller may not add to the collection, or not give the item away.
    """
    collection, item = key = (document["collection"], document["id"])
    lock_items(write.connection, [key])
    container = writable_collection(write, collection)
    if (stored := stored_items(write.connection, [key], {collection: container}).get(key)) is not None:
        raise exists_already(write, container, stored, item)
    return _created(write, container, document)


def replace_item(write: Write, document: Document) -> Answer:
    """Replace an item by one that was checked; with `If-None-Match: *`, create it.

    Raises:
        UnknownName: there is no such item.
        Changed: it is not what the caller has seen.
        NotAllowed: the caller may not change it so.
    """
    collection, item = key = (document["collection"], document["id"])
    lock_items(write.connection, [key])
    if write.request.preconditions.none_match:
        container = writable_collection(write, collection)
        if key not in stored_items(write.connection, [key], {collection: container}):
            return _created(write, container, document)
    container, stored = _changeable(write, collection, item)
    return _changed(write, container, stored, document)


def patch_item(write: Write, collection: str, item: str, patch: Callable[[Document], Any]) -> Answer:
    """Change an item under its lock.

    Args:
        write: the write.
        collection: id of the collection.
        item: id of the item.
        patch: returns the item as it is to be served from the item as it is served.

    Raises:
        InvalidItem: what comes out is not valid.
        UnknownName: there is no such item.
        Changed: it is not what the caller has seen.
        NotAllowed: the caller may not change it so.
    """
    lock_items(write.connection, [(collection, item)])
    container, stored = _changeable(write, collection, item)
    seen = stored.document(write.request.base)
    known = item_as_stored(seen, [write.request.base]).get("assets") or {}
    document, problems = write.checking.item(patch(seen), collection, item, known)
    refuse(problems, "the patched item")
    return _changed(write, container, stored, document)


def delete_item(write: Write, collection: str, item: str) -> Answer:
    """Delete an item.

    Raises:
        UnknownName: there is no such item.
        Changed: it is not what the caller has seen.
        NotAllowed: the caller may not delete it.
    """
    lock_items(write.connection, [(collection, item)])
    _, stored = _changeable(write, collection, item)
    delete_items(write.connection, [(collection, item)])
    write.note(ObjectChange(collection, item, stored.etag, None))
    return NO_CONTENT


def writable_collection(write: Write, collection: str) -> Document:
    """Return a collection that the caller may add items to.

    Raises:
        UnknownName: there is none that the caller may read.
        NotAllowed: the caller may not write it.
    """
    container = readable_collection(write.connection, write.request.caller, collection)
    access = guarded(container)
    if not may_write(write.request.caller, access):
        raise NotAllowed(f"you may read collection {collection!r}, but not add to it; ask {owner_of(access)}")
    return container


def _changeable(write: Write, collection: str, item: str) -> tuple[Document, StoredItem]:
    """Return a collection and its item, which the caller may change and has seen as it is."""
    caller = write.request.caller
    container = readable_collection(write.connection, caller, collection)
    stored = readable_item(write.connection, caller, container, item)
    if not may_change(caller, stored.access, guarded(container)):
        owner = stored.access if stored.access.owner is not None else guarded(container)
        raise NotAllowed(f"you may read item {collection}/{item}, but not change it; ask {owner_of(owner)}")
    write.request.preconditions.check(f"item {collection}/{item}", stored.etag, write.settings.api.require_if_match)
    return container, stored


def _created(write: Write, container: Document, document: Document) -> Answer:
    whole = owned(document, write.request.caller, None, write.default_visibility)
    written = write_items(write.connection, [whole], "create")[0]
    write.note(ObjectChange(written.collection, written.id, None, written.etag))
    return _answer(write, container, _now(write, container, written.id), HTTPStatus.CREATED)


def _changed(write: Write, container: Document, stored: StoredItem, document: Document) -> Answer:
    whole = owned(document, write.request.caller, stored.access, None)
    if etag_of(whole) == stored.etag or _is_served_so(stored, whole, container, write.request.base):
        return _answer(write, container, stored)
    written = write_items(write.connection, [whole], "replace")[0]
    write.note(ObjectChange(written.collection, written.id, stored.etag, written.etag))
    return _answer(write, container, _now(write, container, written.id))


def _is_served_so(stored: StoredItem, document: Document, container: Document, base: str) -> bool:
    """Say whether a document is served as the stored one is, though that may have been stored in another form."""
    form = rendered(document, container.get("renders"))
    return canonical(orjson.loads(served(form, ""))) == canonical(stored.document(""))


def _now(write: Write, container: Document, item: str) -> StoredItem:
    key = (container["id"], item)
    return stored_items(write.connection, [key], {key[0]: container})[key]


def _answer(write: Write, container: Document, stored: StoredItem, status: int = HTTPStatus.OK) -> Answer:
    body = served_item(stored, container, write.request.base, write.signer)
    address = None
    if status == HTTPStatus.CREATED:
        item = str(stored.document("")["id"])
        address = f"{write.request.base}{STAC_PATH}/collections/{quote(container['id'])}/items/{quote(item)}"
    return document_answer(status, body, GEOJSON_TYPE, stored.etag, address)


def exists_already(write: Write, container: Document, stored: StoredItem, item: str) -> AlreadyExists:
    """Return the error of an item that is there already, with its entity tag where the caller may read it."""
    message = f"collection {container['id']!r} has an item {item!r} already; PUT replaces it"
    if may_read(write.request.caller, stored.access, guarded(container)):
        return AlreadyExists(message, etag=stored.etag)
    return AlreadyExists(message)


def owner_of(access: Guarded) -> str:
    """Return who can help, for messages."""
    return f"its owner, {access.owner!r}" if access.owner is not None else "an admin"
