"""Items as one caller sees them: what it may not read does not exist, in the answer and in the hints of an error."""

from typing import Any

from terralab.catalog.access.collections import restricted_collections
from terralab.catalog.access.policy import guarded, may_read, may_read_collection, read_filter
from terralab.catalog.access.principal import Principal
from terralab.catalog.database import Catalog
from terralab.catalog.errors import UnknownName

EVERYTHING = Principal(reads_all=True)
"""The caller that flows and the command line are, who have the database anyway."""
_HINTS = 200


def hidden_collections(catalog: Catalog, principal: Principal) -> frozenset[str]:
    """Return the collections that a caller may not read, as they are now."""
    if principal.reads_all or principal.is_admin:
        return frozenset()
    with catalog.connection() as connection:
        restricted = restricted_collections(connection)
    return frozenset(id for id, thing in restricted.items() if not may_read_collection(principal, thing))


def readable_item(catalog: Catalog, collection: str, item: str, principal: Principal = EVERYTHING) -> dict[str, Any]:
    """Return an item.

    Raises:
        UnknownName: there is none of that name, or no such collection, or the caller may not read it.
    """
    if principal.reads_all or principal.is_admin:
        return catalog.item(collection, item)
    hidden = hidden_collections(catalog, principal)
    container = None if collection in hidden else catalog.find_collection(collection)
    if container is None:
        known = [other["id"] for other in catalog.collections() if other["id"] not in hidden]
        missing = UnknownName.of("collection", collection, known)
        raise UnknownName(f"no item is called '{collection}/{item}': {missing}")
    found = catalog.find_item(collection, item)
    if found is not None and may_read(principal, guarded(found), guarded(container)):
        return found
    names = catalog.search(collections=[collection], filter=read_filter(principal), limit=_HINTS)
    raise UnknownName.of(f"item of collection {collection!r}", item, [other["id"] for other in names])
