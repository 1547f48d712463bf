"""The catalog as one caller sees it: what pages show, with the policy inside every query."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from terralab.catalog.access.collections import CollectionAccess, restricted_collections
from terralab.catalog.access.policy import Guarded, guarded_filter, readable_sql, visible
from terralab.catalog.access.principal import Principal
from terralab.catalog.database import Catalog
from terralab.catalog.errors import UnknownName

_COUNTS = """
    SELECT coalesce(c.content->>'lab:kind', 'other'), sum(counted.items)::bigint
    FROM (
        SELECT f.collection, f.items FROM lab.facets f WHERE f.facet = 'item' AND {readable_f}
        UNION ALL
        SELECT s.collection, 1 FROM lab.stale_items() s WHERE {readable_s}
        AND NOT EXISTS (SELECT FROM lab.items i WHERE i.collection = s.collection AND i.id = s.id)
    ) AS counted JOIN pgstac.collections c ON c.id = counted.collection
    WHERE c.id <> ALL(%(hidden)s) GROUP BY 1 HAVING sum(counted.items) > 0"""


class Reading:
    """Reads what a caller may read, and answers as if there were nothing else.

    Args:
        catalog: where to look.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.collections = CollectionAccess(self._restricted)

    def item(self, caller: Principal, collection: str, item: str) -> dict[str, Any]:
        """Return an item.

        Raises:
            UnknownName: there is none of that name that the caller may read.
        """
        found = self._catalog.find_item(collection, item)
        if found is None or not visible(caller, [found], self.collections.hidden_from(caller)):
            raise UnknownName(f"no item is called '{collection}/{item}'")
        return found

    def items(self, caller: Principal, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return items by `collection/item`, one search per collection; those that are not there are left out."""
        by_collection: dict[str, list[str]] = {}
        for name in names:
            collection, slash, item = name.partition("/")
            if slash:
                by_collection.setdefault(collection, []).append(item)
        return [
            item
            for collection, ids in by_collection.items()
            for item in self.search(caller, limit=len(ids), collections=[collection], ids=ids)
        ]

    def search(
        self, caller: Principal, limit: int | None = None, filter: Mapping[str, Any] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the items that match a STAC API search, as `Catalog.search` does."""
        wanted = guarded_filter(caller, self.collections.hidden_from(caller), filter)
        yield from self._catalog.search(limit=limit, **query, **({} if wanted is None else {"filter": wanted}))

    def collection_documents(self, caller: Principal) -> list[dict[str, Any]]:
        """Return the collections, by id."""
        return visible(caller, self._catalog.collections())

    def counts(self, caller: Principal) -> dict[str, int]:
        """Return the number of items by `lab:kind`."""
        readable_f, values = readable_sql(caller, "f")
        readable_s, _ = readable_sql(caller, "s")
        statement = _COUNTS.format(readable_f=readable_f, readable_s=readable_s)
        hidden = sorted(self.collections.hidden_from(caller))
        with self._catalog.connection() as connection:
            rows = connection.execute(statement.encode(), {**values, "hidden": hidden}).fetchall()
        return dict(rows)

    def _restricted(self) -> Mapping[str, Guarded]:
        with self._catalog.connection() as connection:
            return restricted_collections(connection)
