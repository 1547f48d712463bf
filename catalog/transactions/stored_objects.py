"""What is stored now, in the transaction of a write: whose it is, its entity tag, and the document as it is served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import orjson
import psycopg

from terralab.catalog.access.policy import PUBLIC, Guarded, guarded, may_read, may_read_collection
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.signatures import Signer
from terralab.catalog.errors import UnknownName
from terralab.catalog.read_model import etag_of
from terralab.catalog.rendering import INFERRED_RELS, STAC_PATH, rendered, served
from terralab.catalog.served_items import address_assets
from terralab.catalog.writing import Key, read_items
from terralab.extensions.item import GEOJSON_TYPE

_ITEMS = """
    SELECT r.collection, r.id, encode(r.hash, 'hex'), r.body, r.owner, r.visibility, r.project
    FROM unnest(%s::text[], %s::text[]) AS w (collection, id) JOIN lab.items r USING (collection, id)
    WHERE NOT EXISTS (SELECT 1 FROM lab.stale s WHERE s.collection = w.collection AND s.id = w.id)"""
_COLLECTIONS = "SELECT content FROM collections WHERE id = ANY(%s::text[])"


@dataclass(frozen=True)
class StoredItem:
    """An item as it is now.

    Attributes:
        etag: its entity tag.
        access: whose it is.
        body: its JSON, with the mark of `rendering` for the address of the web process.
    """

    etag: str
    access: Guarded
    body: bytes

    def document(self, base: str) -> dict[str, Any]:
        """Return the item as it is served."""
        document: dict[str, Any] = orjson.loads(served(self.body, base))
        return document


def readable_collection(connection: psycopg.Connection[Any], caller: Principal, collection: str) -> dict[str, Any]:
    """Return a collection as it is stored.

    Raises:
        UnknownName: there is none that the caller may read.
    """
    row = connection.execute(_COLLECTIONS, ([collection],)).fetchone()
    if row is None or not may_read_collection(caller, guarded(row[0])):
        raise UnknownName(f"there is no collection {collection!r}")
    document: dict[str, Any] = row[0]
    return document


def stored_items(
    connection: psycopg.Connection[Any], keys: Sequence[Key], collections: Mapping[str, Mapping[str, Any]]
) -> dict[Key, StoredItem]:
    """Return those of `keys` that are stored; the caller holds their locks.

    Args:
        connection: in the transaction of the write.
        keys: collection and id.
        collections: the collections as they are stored, by id.
    """
    rows = connection.execute(_ITEMS, ([key[0] for key in keys], [key[1] for key in keys])).fetchall()
    found = {(row[0], row[1]): StoredItem(row[2], Guarded(*row[4:]), bytes(row[3])) for row in rows}
    missing = [key for key in keys if key not in found]
    # Another program may have changed it, so that the read model does not have it yet.
    for key, item in (read_items(connection, missing) if missing else {}).items():
        body = rendered(item, collections[key[0]].get("renders"))
        found[key] = StoredItem(etag_of(item), guarded(item), body)
    return found


def readable_item(
    connection: psycopg.Connection[Any], caller: Principal, collection: Mapping[str, Any], item: str
) -> StoredItem:
    """Return an item; the caller holds its lock.

    Raises:
        UnknownName: there is none that the caller may read.
    """
    key = (str(collection["id"]), item)
    stored = stored_items(connection, [key], {key[0]: collection}).get(key)
    if stored is None or not may_read(caller, stored.access, guarded(collection)):
        raise UnknownName(f"collection {key[0]!r} has no item {item!r}")
    return stored


def served_item(stored: StoredItem, collection: Mapping[str, Any], base: str, signer: Signer | None) -> bytes:
    """Return an item as the API serves it, the addresses of private files signed.

    Args:
        stored: the item.
        collection: its collection, as stored.
        base: address of the web process.
        signer: None where anybody may read every file.
    """
    private = not {stored.access.visibility, guarded(collection).visibility} <= {None, PUBLIC}
    return served(signer.sign_body(stored.body) if signer is not None and private else stored.body, base)


def served_collection(stored: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Return a collection as the API serves it."""
    root = f"{base}{STAC_PATH}/"
    own = f"{root}collections/{stored['id']}"
    inferred = [
        {"rel": "items", "type": GEOJSON_TYPE, "href": f"{own}/items"},
        {"rel": "parent", "type": "application/json", "href": root},
        {"rel": "root", "type": "application/json", "href": root},
        {"rel": "self", "type": "application/json", "href": own},
    ]
    kept = [
        {**link, "href": urljoin(root, str(link["href"]))}
        for link in stored.get("links") or []
        if link["rel"] not in INFERRED_RELS
    ]
    document = {**stored, "links": inferred + kept}
    if "assets" in stored:
        document["assets"] = {key: dict(asset) for key, asset in (stored["assets"] or {}).items()}
        address_assets(document, base)
    return document
