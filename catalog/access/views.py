"""The catalog as one caller sees it: what pages show, with the policy inside every query."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from terralab.catalog.access.collections import CollectionAccess, restricted_collections
from terralab.catalog.access.policy import PUBLIC, Guarded, guarded, guarded_filter, readable_sql, visible
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.signatures import Signer
from terralab.catalog.database import Catalog

_COUNTS = """
    SELECT coalesce(c.content->>'lab:kind', 'other'), sum(counted.items)::bigint
    FROM (
        SELECT f.collection, f.items FROM lab.facets f WHERE f.facet = 'item' AND {readable_f}
        UNION ALL
        SELECT s.collection, 1 FROM lab.stale_items() s WHERE {readable_s}
        AND NOT EXISTS (SELECT FROM lab.items i WHERE i.collection = s.collection AND i.id = s.id)
    ) AS counted JOIN pgstac.collections c ON c.id = counted.collection
    WHERE c.id <> ALL(%(hidden)s) GROUP BY 1 HAVING sum(counted.items) > 0"""


class Views:
    """Makes the views of all callers.

    Args:
        catalog: where to look.
        signer: signs addresses of private files; None where everybody may read everything.

    Attributes:
        collections: who may read which collection, from memory.
    """

    def __init__(self, catalog: Catalog, signer: Signer | None) -> None:
        self.catalog, self.signer = catalog, signer
        self.collections = CollectionAccess(self._restricted)

    def of(self, caller: Principal) -> "View":
        """Return the view of a caller."""
        return View(self, caller)

    def _restricted(self) -> Mapping[str, Guarded]:
        with self.catalog.connection() as connection:
            return restricted_collections(connection)


class View:
    """What a caller may read; for it there is nothing else.

    Args:
        views: what all views share.
        caller: who looks.
    """

    def __init__(self, views: Views, caller: Principal) -> None:
        self._views, self.caller = views, caller

    def search(
        self, limit: int | None = None, filter: Mapping[str, Any] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the items that match a STAC API search, as `Catalog.search` does."""
        wanted = guarded_filter(self.caller, self._hidden(), filter)
        return self._views.catalog.search(limit=limit, **query, **({} if wanted is None else {"filter": wanted}))

    def items(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return items by `collection/item`, one search per collection; those that are not there are left out."""
        by_collection: dict[str, list[str]] = {}
        for name in names:
            collection, slash, item = name.partition("/")
            if slash:
                by_collection.setdefault(collection, []).append(item)
        return [
            item
            for collection, ids in by_collection.items()
            for item in self.search(limit=len(ids), collections=[collection], ids=ids)
        ]

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections, by id."""
        return visible(self.caller, self._views.catalog.collections())

    def counts(self) -> dict[str, int]:
        """Return the number of items by `lab:kind`."""
        readable_f, values = readable_sql(self.caller, "f")
        readable_s, _ = readable_sql(self.caller, "s")
        statement = _COUNTS.format(readable_f=readable_f, readable_s=readable_s)
        with self._views.catalog.connection() as connection:
            rows = connection.execute(statement.encode(), {**values, "hidden": sorted(self._hidden())}).fetchall()
        return dict(rows)

    def addressed(self, item: dict[str, Any], base: str) -> dict[str, Any]:
        """Return an item whose stored files have addresses, signed where not everybody may read the item.

        Args:
            item: as stored.
            base: address of the web process.
        """
        signer = self._views.signer
        around = self._views.collections.of(item["collection"])
        if signer is None or {guarded(item).visibility, around.visibility} <= {None, PUBLIC}:
            return item
        assets = {
            key: {**asset, "href": signer.file_url(str(asset["href"]), base)} for key, asset in item["assets"].items()
        }
        return {**item, "assets": assets}

    def _hidden(self) -> frozenset[str]:
        return self._views.collections.hidden_from(self.caller)
