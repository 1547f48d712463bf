"""`Lab`: a lab over HTTP. Objects are pystac's; what goes wrong is one of `terralab.catalog.errors`."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import pystac
from pystac_client import Client

from terralab.catalog.access.secret_files import TOKEN, read_secret
from terralab.catalog.client.dataset import Dataset
from terralab.catalog.client.documents import Document, document_of, item_path, name_of
from terralab.catalog.client.matches import Matches, matches_of
from terralab.catalog.client.search import Search
from terralab.catalog.client.stac_io import LabStacIO, TextItemSearch
from terralab.catalog.client.transport import Transport
from terralab.catalog.client.writing import Writing
from terralab.catalog.settings import Settings
from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import Problem, check

if TYPE_CHECKING:
    from terralab.catalog.client.provenance import Provenance
    from terralab.catalog.lineage_walk import Direction


class Lab(Writing):
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
        super().__init__(Transport(self.url, token or settings.client.token or _local_token(settings, self.url)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lab({self.url!r})"

    @property
    def settings(self) -> Settings:
        """Return the settings of this machine, which say among others where fetched chips are kept."""
        return self._settings

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
        found = TextItemSearch(words, url=address, client=self.stac, collections=collections, **asked, **shaped)
        return Search(found, self._transport, self._settings)

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

    def models_for(
        self,
        item: Document | str | None = None,
        *,
        bands: Sequence[str] | None = None,
        sensor: str | None = None,
        gsd: float | None = None,
        task: str | None = None,
        bbox: Sequence[float] | None = None,
        limit: int = 10,
    ) -> Matches:
        """Return the models that can look at an item, or at data with the given bands.

        Args:
            item: the item, or `collection/item`; or
            bands: names of the bands.
            sensor: such as `sentinel-2`; in place of the item's.
            gsd: size of the pixels, metres; in place of the item's.
            task: that the models must do, such as `semantic-segmentation`.
            bbox: where the data lies, west, south, east, north; in place of the item's.
            limit: at most so many.
        """
        query = {
            "item": None if item is None else "/".join(name_of(item)),
            "bands": _joined(bands),
            "sensor": sensor,
            "gsd": gsd,
            "task": task,
            "bbox": _joined(bbox),
            "limit": limit,
        }
        return matches_of(self._transport.json("GET", "/models/matching", query=query))

    def items_for(
        self,
        model: Document | str,
        *,
        collections: Sequence[str] | None = None,
        bbox: Sequence[float] | None = None,
        datetime: str | None = None,
        limit: int = 10,
    ) -> Matches:
        """Return the items that a model can look at.

        Args:
            model: the model's item, or `models/item`.
            collections: to look in; by default all of imagery.
            bbox: west, south, east, north.
            datetime: STAC datetime or interval.
            limit: at most so many.
        """
        query = {"collections": _joined(collections), "bbox": _joined(bbox), "datetime": datetime, "limit": limit}
        path = f"/models/{quote(name_of(model)[1], safe='')}/items"
        return matches_of(self._transport.json("GET", path, query=query))

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
        """Return a dataset by its name, or `name@1.0.0`: its versions, chips and files."""
        return Dataset(self, self._transport, name)

    def validate(self, item: Document) -> list[Problem]:
        """Check an item here, by the official schemas that this machine has and the lab's rules; nothing is sent.

        Returns:
            Every problem, none where the item is valid.
        """
        schemas = SchemaStore(self._settings.schemas_folder, self._settings.lab.fetch_schemas)
        return check(document_of(item), schemas)

    @property
    def _root(self) -> pystac.Catalog:
        return self.stac


def _local_token(settings: Settings, url: str) -> str | None:
    """Return the token of the lab of this machine, for that lab alone."""
    return read_secret(settings.secrets_folder, TOKEN) if url == settings.web.url else None


def _counted(entry: Mapping[str, Any]) -> Any:
    if "buckets" in entry:
        return {bucket["key"]: bucket["frequency"] for bucket in entry["buckets"]}
    return entry.get("value")


def _joined(values: Sequence[Any] | None) -> str | None:
    return None if values is None else ",".join(str(value) for value in values)
