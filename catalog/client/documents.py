"""Items on their way to the lab: as JSON, with their files uploaded, in batches that one write takes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pystac

from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.extensions.checksum import SHA256_PREFIX
from terralab.extensions.item import EXTENSION_URIS

Document = pystac.Item | Mapping[str, Any]
Files = Mapping[str, Path | str]
_MOST_ITEMS = 500
_MOST_BYTES = 8_000_000
_PIECE = 1 << 20


def document_of(item: Document) -> dict[str, Any]:
    """Return an item, of pystac or as JSON, as JSON."""
    if isinstance(item, pystac.Item):
        found: dict[str, Any] = item.to_dict(include_self_link=False, transform_hrefs=False)
        return found
    return dict(item)


def name_of(item: Document | str) -> tuple[str, str]:
    """Return collection and id of an item, or of `collection/item`.

    Raises:
        InvalidInput: it names no collection.
    """
    if isinstance(item, str):
        collection, _, name = item.partition("/")
    elif isinstance(item, pystac.Item):
        collection, name = item.collection_id or "", item.id
    else:
        collection, name = str(item.get("collection") or ""), str(item.get("id") or "")
    if not collection or not name:
        raise InvalidInput(f"{item if isinstance(item, str) else name!r} names no item; give `collection/item`")
    return collection, name


def item_path(collection: str, name: str) -> str:
    """Return the path of an item below the lab's address."""
    return f"/stac/collections/{quote(collection, safe='')}/items/{quote(name, safe='')}"


def batches(documents: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield items in batches that are small enough for one write."""
    batch: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        length = len(orjson.dumps(document))
        if batch and (len(batch) == _MOST_ITEMS or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += length
    if batch:
        yield batch


def with_files(transport: Transport, document: dict[str, Any], files: Files) -> dict[str, Any]:
    """Return an item whose assets refer to files that were uploaded.

    Args:
        transport: to the lab.
        document: the item; its assets are there already, with title, type and roles.
        files: by asset key.

    Raises:
        InvalidInput: the item has no such asset, or there is no such file.
    """
    assets = dict(document.get("assets") or {})
    for key, path in files.items():
        if key not in assets:
            known = ", ".join(assets) or "none"
            raise InvalidInput(f"{document.get('id')} has no asset {key!r} for {path}; its assets: {known}")
        assets[key] = {**assets[key], **upload(transport, Path(path))}
    declared = [*(document.get("stac_extensions") or []), EXTENSION_URIS["file"]]
    return {**document, "assets": assets, "stac_extensions": list(dict.fromkeys(declared))}


def upload(transport: Transport, path: Path) -> dict[str, Any]:
    """Store a file in the lab and return the members of an asset that refers to it: href, size and checksum.

    What the lab has already, and the caller may read, is not sent again.

    Raises:
        InvalidInput: there is no such file.
    """
    try:
        checksum, size = _checksum(path), path.stat().st_size
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from error
    if _is_there(transport, checksum, path.name):
        href = f"asset://{checksum}/{path.name}"
    else:
        sent = {"X-Checksum": checksum, "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        query = {"name": path.name}
        href = transport.json("POST", "/files", query=query, content=lambda: _pieces(path), headers=sent)["href"]
    return {"href": href, "file:size": size, "file:checksum": checksum}


def _is_there(transport: Transport, checksum: str, name: str) -> bool:
    try:
        transport.send("HEAD", f"/files/{checksum}/{quote(name)}")
    except UnknownName:
        return False
    return True


def _checksum(path: Path) -> str:
    state = hashlib.sha256()
    for piece in _pieces(path):
        state.update(piece)
    return SHA256_PREFIX + state.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
