"""No object becomes visible without its bytes: the check that every writer makes in its own transaction.

The check holds off the collection of garbage until the transaction ends: either the collector sees the new reference,
or the check finds that the bytes are gone.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg

from terralab.catalog.errors import AssetCorrupt, InvalidItem, LabError, ServiceUnavailable
from terralab.catalog.store import HREF_SCHEME, Store, parse_href

_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtextextended('terralab-garbage', 0))"
_TRY = "SELECT pg_try_advisory_xact_lock(hashtextextended('terralab-garbage', 0))"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('terralab-garbage', 0))"
_SHORT_SPELL = "SET LOCAL lock_timeout = '500ms'"
_LONGEST_WAIT_S = 60.0
_PAUSE_S = 0.2


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
    hold_off_collector(connection)
    wanted = [entry for document in documents for entry in _references(document)]
    sizes = store.sizes(checksum for _, checksum, _ in wanted)
    for where, checksum, size in wanted:
        if checksum not in sizes:
            raise refusal(f"{where}: the bytes {checksum} are missing from the store {store.place}; store them first")
        if size not in (None, sizes[checksum]):
            raise refusal(f"{where}: file:size says {size} bytes, the store holds {sizes[checksum]}")


def hold_off_collector(connection: psycopg.Connection[Any]) -> None:
    """Keep the collection of garbage from deleting anything until the transaction ends."""
    connection.execute(_SHARE)


def hold_off_writers(connection: psycopg.Connection[Any]) -> None:
    """Wait until no writer has checked bytes, and keep them from it until the transaction ends.

    It asks for such a moment, and queues for one only in short spells, since writers queue behind it.

    Raises:
        ServiceUnavailable: something holds it off for a minute.
    """
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while time.monotonic() < deadline:
        row = connection.execute(_TRY).fetchone()
        if row and row[0]:
            return
        try:
            with connection.transaction():
                connection.execute(_SHORT_SPELL)
                connection.execute(_ALONE)
                return
        except psycopg.errors.LockNotAvailable:
            time.sleep(_PAUSE_S)
    raise ServiceUnavailable("a backup or a large write is under way; repeat the command when it has ended")


def _references(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    name = f"{document['collection']}/{document['id']}" if document.get("collection") else str(document["id"])
    for key, asset in (document.get("assets") or {}).items():
        href, where = str(asset["href"]), f"{name}, asset {key!r}"
        if href.startswith(HREF_SCHEME):
            try:
                yield where, parse_href(href)[0], asset.get("file:size")
            except ValueError as error:
                raise InvalidItem(f"{where}: {error}") from error
