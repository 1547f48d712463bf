"""`Lab`: a lab over HTTP. Objects are pystac's; what goes wrong is one of `terralab.catalog.errors`."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote
from weakref import WeakKeyDictionary

import pystac
from pystac_client import Client

from terralab.catalog.access.secret_files import TOKEN, read_secret
from terralab.catalog.client.dataset import Dataset
from terralab.catalog.client.documents import Document, Files, batches, document_of, item_path, name_of, with_files
from terralab.catalog.client.search import Search
from terralab.catalog.client.stac_io import LabStacIO, TextItemSearch
from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import ConditionMissing, InvalidInput
from terralab.catalog.settings import Settings
from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import Problem, check

if TYPE_CHECKING:
    from terralab.catalog.client.provenance import Provenance
    from terralab.catalog.lineage_walk import Direction

ANY = "*"
"""`if_match` of a change that overwrites whatever is there."""


class Lab:
    """A lab.

    Args:
        url: address of its web process; by default TERRALAB_URL, else the lab of this machine.
        token: API key or other token; by default TERRALAB_TOKEN, else, for the lab of this machine, the token that
            `terralab up` wrote. Without one the caller is anonymous.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        settings = Settings()
        self.url = (url or settings.client.url or settings.web.url).rstrip("/")
        self._settings = settings
        self._transport = Transport(self.url, token or settings.client.token or _local_token(settings, self.url))
        # What was seen of an item belongs to the object that the caller holds, not to the item's name: an older object
        # must not be written with the tag of a newer read.
        self._etags: WeakKeyDictionary[pystac.Item, str] = WeakKeyDictionary()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.url!r})"

    @property
    def work_folder(self) -> Path:
        """Return the folder of this machine for what is fetched and can be fetched again."""
        return self._settings.work_folder

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @cached_property
    def stac(self) -> Client:
        """Return pystac-client's client of the lab, for all that is not here."""
        client = Client.open(f"{self.url}/stac/", stac_io=LabStacIO(self._transport))
        # pystac-client 0.9 looks for version 1.0 of this class alone.
        client.add_conforms_to("SORT")
        return client

    def search(
        self,
        collections: Sequence[str] | None = None,
        *,
        ids: Sequence[str] | None = None,
        bbox: Sequence[float] | None = None,
        intersects: Any = None,
        datetime: Any = None,
        filter: str | Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        q: str | Sequence[str] | None = None,
        sortby: Any = None,
        fields: Any = None,
        limit: int | None = None,
        max_items: int | None = None,
    ) -> Search:
        """Search items.

        Args:
            collections: ids of the collections to search; all by default.
            ids: of items.
            bbox: west, south, east, north in degrees.
            intersects: GeoJSON geometry, or an object with `__geo_interface__`.
            datetime: time or interval, as text or datetime objects.
            filter: CQL2, as text (`"lab:metrics.test_miou > 0.8"`) or JSON.
            query: STAC query extension; `filter` can say more.
            q: words that a text of the item holds.
            sortby: field, with `-` before it for the largest first; or several.
            fields: to include, or with `-` to leave out.
            limit: items on a page.
            max_items: items in all.

        Returns:
            The result; errors of the search show when it is read.
        """
        words = [q] if isinstance(q, str) else q
        asked = {"ids": ids, "bbox": bbox, "intersects": intersects, "datetime": datetime, "filter": filter}
        shaped = {"query": query, "sortby": sortby, "fields": fields, "limit": limit, "max_items": max_items}
        address = f"{self.url}/stac/search"
        return Search(TextItemSearch(words, url=address, client=self.stac, collections=collections, **asked, **shaped))

    def item(self, name: str) -> pystac.Item:
        """Return an item by `collection/item`; `update` then knows what was seen.

        Raises:
            UnknownName: there is none of that name that the caller may read.
        """
        answer = self._transport.send("GET", item_path(*name_of(name)))
        return self._seen(answer.json(), answer.headers.get("etag"))

    def collection(self, name: str) -> pystac.Collection:
        """Return a collection.

        Raises:
            UnknownName: there is none of that name that the caller may read.
        """
        address = f"{self.url}/stac/collections/{quote(name, safe='')}"
        return pystac.Collection.from_dict(
            self._transport.json("GET", address), href=address, root=self.stac, preserve_dict=False
        )

    def collections(self) -> list[pystac.Collection]:
        """Return all collections that the caller may read."""
        return list(self.stac.get_collections())

    def lineage(self, item: Document | str, direction: "Direction" = "up", depth: int | None = None) -> "Provenance":
        """Return what an item was made from (`up`), or what was made from it (`down`).

        Args:
            item: the item, or `collection/item`.
            direction: `up` or `down`.
            depth: at most so many links away; None for all.
        """
        from terralab.catalog.client.provenance import Provenance

        collection, name = name_of(item)
        query = {"direction": direction, "depth": depth}
        return Provenance.of_document(self._transport.json("GET", f"/lineage/{collection}/{name}", query=query))

    def aggregate(self, *names: str, **search: Any) -> dict[str, Any]:
        """Count the items that match a search.

        Args:
            names: what to count, such as `total_count` or `split_frequency`.
            search: as of `search`: `collections`, `bbox`, `datetime`, `filter` (CQL2 JSON) and so on.

        Returns:
            By name: the value, or for a frequency a dict from each value to its number of items.
        """
        body = {"aggregations": list(names), **search}
        found = self._transport.json("POST", "/stac/aggregate", body=body)["aggregations"]
        return {entry["name"]: _counted(entry) for entry in found}

    def dataset(self, name: str) -> Dataset:
        """Return a dataset by its name: its versions, chips and files."""
        return Dataset(self, self._transport, name)

    def validate(self, item: Document) -> list[Problem]:
        """Check an item here, by the official schemas that this machine has and the lab's rules; nothing is sent.

        Returns:
            Every problem, none where the item is valid.
        """
        schemas = SchemaStore(self._settings.schemas_folder, self._settings.lab.fetch_schemas)
        return check(document_of(item), schemas)

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
        item = pystac.Item.from_dict(document, root=self.stac, preserve_dict=False)
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
        written: dict[str, str] = {}
        for collection in dict.fromkeys(document["collection"] for document in documents):
            path = f"/stac/collections/{collection}/bulk_items"
            for batch in batches([document for document in documents if document["collection"] == collection]):
                body = {"items": {document["id"]: document for document in batch}, "method": method}
                answer = self._transport.json("POST", path, body=body, write=True)
                written |= {f"{collection}/{entry['id']}": entry["change"] for entry in answer["items"]}
        return written

    def _make_collection(self, collection: pystac.Collection) -> None:
        if any(known.id == collection.id for known in self.collections()):
            return
        document = collection.to_dict(include_self_link=False, transform_hrefs=False)
        self._transport.send("POST", "/stac/collections", body=document, write=True)


def _local_token(settings: Settings, url: str) -> str | None:
    """Return the token of the lab of this machine, for that lab alone."""
    return read_secret(settings.secrets_folder, TOKEN) if url == settings.web.url else None


def _counted(entry: Mapping[str, Any]) -> Any:
    if "buckets" in entry:
        return {bucket["key"]: bucket["frequency"] for bucket in entry["buckets"]}
    return entry.get("value")
