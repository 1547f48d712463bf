"""Publishing: the one way by which objects become visible in the catalog.

Bytes first (`Store.put` writes aside, hashes and renames), then one database transaction for all objects together. A
crash at any point leaves nothing visible without its bytes.
"""

from collections.abc import Sequence
from typing import Any

from terralab.catalog.audit import note_written
from terralab.catalog.errors import InvalidItem
from terralab.catalog.store import HREF_SCHEME
from terralab.catalog.stored_bytes import require_bytes
from terralab.catalog.validation import refuse_invalid
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing import write_items
from terralab.catalog.writing_collections import write_collections


def publish(
    workspace: Workspace, collections: Sequence[dict[str, Any]] = (), items: Sequence[dict[str, Any]] = ()
) -> int:
    """Validate objects, check that their bytes are stored, and make them visible in one transaction.

    Args:
        workspace: the lab.
        collections: STAC collections from the builders in `terralab.extensions`.
        items: STAC items from the builders; their collections exist or are among `collections`.

    Returns:
        How many items were new or changed; publishing the same again gives 0.

    Raises:
        InvalidItem: an object breaks an official schema, a rule of the catalog or the lab's profile.
        AssetCorrupt: an asset's bytes are missing or have another size.
    """
    for document in (*collections, *items):
        refuse_invalid(workspace, document)
    for item in items:
        _refuse_outside(item)
    with workspace.catalog.connection() as connection:
        require_bytes(connection, workspace.store, (*collections, *items))
        described = write_collections(connection, collections)
        written = write_items(connection, items) if items else []
        note_written(connection, None, described, written)
    return sum(entry.change != "unchanged" for entry in written)


def _refuse_outside(item: dict[str, Any]) -> None:
    for key, asset in item["assets"].items():
        if not str(asset["href"]).startswith(HREF_SCHEME):
            raise InvalidItem(
                f"{item['collection']}/{item['id']}, asset {key!r}: {asset['href']!r} is not in the asset store; store"
                " the file before publishing"
            )
