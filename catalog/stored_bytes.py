"""No object becomes visible without its bytes: the check that every writer makes in its own transaction.

The check holds off the collection of garbage until the transaction ends: either the collector sees the new reference,
or the check finds that the bytes are gone.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg

from terralab.catalog.errors import AssetCorrupt, InvalidItem, LabError
from terralab.catalog.store import HREF_SCHEME, Store, parse_href

_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtextextended('terralab-garbage', 0))"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('terralab-garbage', 0))"


def require_bytes(
    connection: psycopg.Connection[Any],
    store: Store,
    documents: Iterable[Mapping[str, Any]],
    refusal: type[LabError] = AssetCorrupt,
) -> None:
    """Check that the store has every file that items or collections refer to, in the size that they say.

    Args:
        connection: in the transaction that writes them afterwards.
        store: the asset store.
        documents: items or collections.
        refusal: raised where bytes are missing; InvalidItem where a user made the reference.

    Raises:
        InvalidItem: an `asset://` reference has no multihash and name.
        AssetCorrupt: or what `refusal` says.
    """
    connection.execute(_SHARE)
    wanted = [entry for document in documents for entry in _references(document)]
    sizes = store.sizes(checksum for _, checksum, _ in wanted)
    for where, checksum, size in wanted:
        if checksum not in sizes:
            raise refusal(f"{where}: the bytes {checksum} are missing from the store {store.place}; store them first")
        if size not in (None, sizes[checksum]):
            raise refusal(f"{where}: file:size says {size} bytes, the store holds {sizes[checksum]}")


def hold_off_writers(connection: psycopg.Connection[Any]) -> None:
    """Wait for the writers that have checked their bytes, and keep others from it until the transaction ends."""
    connection.execute(_ALONE)


def _references(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    name = f"{document['collection']}/{document['id']}" if document.get("collection") else str(document["id"])
    for key, asset in (document.get("assets") or {}).items():
        href, where = str(asset["href"]), f"{name}, asset {key!r}"
        if href.startswith(HREF_SCHEME):
            try:
                yield where, parse_href(href)[0], asset.get("file:size")
            except ValueError as error:
                raise InvalidItem(f"{where}: {error}") from error
