"""Publishing: the one way by which objects become visible in the catalog.

Bytes first (`Store.put` writes aside, hashes and renames), then one database transaction for all objects together. A
crash at any point leaves nothing visible without its bytes.
"""

from collections.abc import Sequence
from typing import Any

from terralab.catalog.errors import AssetCorrupt, InvalidItem
from terralab.catalog.store import HREF_SCHEME
from terralab.catalog.workspace import Workspace

_SHOWN_PROBLEMS = 5


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
        InvalidItem: an object breaks an official schema or the lab's own.
        AssetCorrupt: an asset's bytes are missing or have another size.
    """
    for document in (*collections, *items):
        problems = workspace.schemas.problems(document)
        if problems:
            shown = "; ".join(str(problem) for problem in problems[:_SHOWN_PROBLEMS])
            raise InvalidItem(f"{document['id']} is not valid STAC: {shown}")
    for item in items:
        for key, asset in item["assets"].items():
            _check_bytes(workspace, f"{item['collection']}/{item['id']}, asset {key!r}", asset)
    return workspace.catalog.write(collections, items)


def _check_bytes(workspace: Workspace, where: str, asset: dict[str, Any]) -> None:
    href = str(asset["href"])
    if not href.startswith(HREF_SCHEME):
        raise InvalidItem(f"{where}: {href!r} is not in the asset store; store the file before publishing")
    found = workspace.store.open_path(href).stat().st_size
    if found != asset["file:size"]:
        raise AssetCorrupt(f"{where}: file:size says {asset['file:size']} bytes, the store holds {found}")
