"""Writing items: publishing with uploads, and changes that say what they were made of."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import pystac

from terralab.catalog.client.documents import Document, Files, batches, document_of, item_path, name_of, with_files
from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import ConditionMissing, InvalidInput, UnknownName

ANY = "*"
"""`if_match` of a change that overwrites whatever is there."""


class Writing(ABC):
    """The writing half of `Lab`.

    Args:
        transport: to the lab.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # What was seen of an item belongs to the object that the caller holds, not to the item's name: an older object
        # must not be written with the tag of a newer read.
        self._etags: WeakKeyDictionary[pystac.Item, str] = WeakKeyDictionary()

    @property
    @abstractmethod
    def _root(self) -> pystac.Catalog:
        """Return the catalog that items belong to."""

    def publish(
        self,
        items: Document | Sequence[Document],
        collection: str | pystac.Collection | None = None,
        files: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> dict[str, str]:
        """Write items: all of them or none, as far as one write takes them (500 items).

        Args:
            items: one or several, of pystac or as JSON.
            collection: id of the collection of items that name none; or a collection, made where it is missing.
            files: files to upload, by asset key; for several items by item id and then by asset key.
            replace: whether items that are there already are replaced.

        Returns:
            By `collection/item`: `created`, `updated` or `unchanged`.

        Raises:
            InvalidItem: an item is not valid; `error.members["errors"]` lists each with its problems.
            AlreadyExists: an item is there already, and not to be replaced.
        """
        if isinstance(items, pystac.Item | Mapping):
            documents = [document_of(items)]
            by_item = {str(documents[0].get("id")): files} if files else {}
        else:
            documents, by_item = [document_of(item) for item in items], dict(files or {})
        if unknown := sorted(by_item.keys() - {str(document.get("id")) for document in documents}):
            raise InvalidInput(f"files are given for {unknown[0]!r}, which is none of the items")
        if isinstance(collection, pystac.Collection):
            self._make_collection(collection)
            collection = collection.id
        ready = [self._ready(document, collection, by_item.get(str(document.get("id")))) for document in documents]
        return self._write(ready, "upsert" if replace else "insert")

    def update(self, item: Document, if_match: str | None = None) -> pystac.Item:
        """Replace an item by what was made of it, unless somebody else changed it meanwhile.

        Args:
            item: as `item` returned it, changed.
            if_match: entity tag that was seen, by default that of the read; `"*"` overwrites whatever is there.

        Returns:
            The item as it is now.

        Raises:
            Changed: somebody else changed it; read it again and repeat the change.
            ConditionMissing: it does not come from `item`, and no `if_match` is given.
        """
        document = document_of(item)
        path = item_path(*name_of(document))
        answer = self._transport.send("PUT", path, body=document, headers=self._condition(item, if_match), write=True)
        return self._seen(answer.json(), answer.headers.get("etag"))

    def delete(self, item: Document | str, if_match: str | None = None) -> None:
        """Delete an item.

        Args:
            item: as `item` returned it, or its name `collection/item`, which is deleted whatever is there.
            if_match: as of `update`.

        Raises:
            Changed: somebody else changed it since it was read.
        """
        condition = {"If-Match": ANY} if isinstance(item, str) else self._condition(item, if_match)
        self._transport.send("DELETE", item_path(*name_of(item)), headers=condition, write=True)

    def _seen(self, document: dict[str, Any], etag: str | None) -> pystac.Item:
        item = pystac.Item.from_dict(document, root=self._root, preserve_dict=False)
        if etag is not None:
            self._etags[item] = etag
        return item

    def _condition(self, item: Document, if_match: str | None) -> dict[str, str]:
        seen = if_match or (self._etags.get(item) if isinstance(item, pystac.Item) else None)
        if seen is None:
            collection, name = name_of(item)
            raise ConditionMissing(
                f'what was seen of {collection}/{name} is not known; read it by `lab.item("{collection}/{name}")`'
                ' and change that, or give if_match="*" to overwrite whatever is there'
            )
        return {"If-Match": seen if seen == ANY or '"' in seen else f'"{seen}"'}

    def _ready(self, document: dict[str, Any], collection: str | None, files: Files | None) -> dict[str, Any]:
        if collection is not None:
            document = {**document, "collection": document.get("collection") or collection}
        name_of(document)
        return with_files(self._transport, document, files) if files else document

    def _write(self, documents: Sequence[dict[str, Any]], method: str) -> dict[str, str]:
        twice = [key for key, count in Counter(map(name_of, documents)).items() if count > 1]
        if twice:
            raise InvalidInput(f"{'/'.join(twice[0])} is given twice; which of the two is meant?")
        written: dict[str, str] = {}
        for collection in dict.fromkeys(document["collection"] for document in documents):
            path = f"/stac/collections/{collection}/bulk_items"
            for batch in batches([document for document in documents if document["collection"] == collection]):
                body = {"items": {document["id"]: document for document in batch}, "method": method}
                answer = self._transport.json("POST", path, body=body, write=True)
                written |= {f"{collection}/{entry['id']}": entry["change"] for entry in answer["items"]}
        return written

    def _make_collection(self, collection: pystac.Collection) -> None:
        try:
            self._transport.send("GET", f"/stac/collections/{quote(collection.id, safe='')}")
            return
        except UnknownName:
            document = collection.to_dict(include_self_link=False, transform_hrefs=False)
        self._transport.send("POST", "/stac/collections", body=document, write=True)
