"""From a document as the API serves it back to the form in which it is stored: what `rendering` adds is taken away.

A client that reads an item, changes a property and writes it back sends what serving made of it: links that the API
makes itself, addresses of this host, map links. None of that may be stored, for the next host has another address.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urljoin

from terralab.catalog.rendering import INFERRED_RELS, STAC_PATH
from terralab.catalog.served_items import MAP_RELS, PAGE_REL
from terralab.catalog.store import HREF_SCHEME
from terralab.extensions.item import EXTENSION_URIS

_WEB_MAP_LINKS = EXTENSION_URIS["web-map-links"]
_WEB_MAP_RELS = frozenset(("xyz", "tilejson", "wmts", "wms", "3d-tiles", "pmtiles"))
_PGSTAC_FIELD = "pgstac:base_item"
# What the API has below a collection besides its items.
_PARTS_OF_COLLECTION = ("queryables", "sortables", "aggregate", "aggregations", "croissant")


def item_as_stored(item: Mapping[str, Any], bases: Sequence[str]) -> dict[str, Any]:
    """Return an item in the form in which it is stored.

    Args:
        item: what a client sent; it may be any JSON object, and is not changed.
        bases: addresses of this web process, without a slash at the end.
    """
    collection = {"rel": "collection", "href": f"collections/{item.get('collection')}"}
    return _as_stored(item, bases, [collection])


def collection_as_stored(collection: Mapping[str, Any], bases: Sequence[str]) -> dict[str, Any]:
    """Return a collection in the form in which it is stored; see `item_as_stored`."""
    return _as_stored(collection, bases, [])


def kept_links(document: Mapping[str, Any], bases: Sequence[str]) -> list[int]:
    """Return the places, in a document as it was sent, of the links that are stored."""
    links = document.get("links")
    if not isinstance(links, list):
        return []
    return [number for number, link in enumerate(links) if not _is_made(link, document, bases)]


def _as_stored(document: Mapping[str, Any], bases: Sequence[str], first: list[dict[str, Any]]) -> dict[str, Any]:
    stored = {name: value for name, value in document.items() if name != _PGSTAC_FIELD}
    links = document.get("links")
    if isinstance(links, list):
        kept = [links[number] for number in kept_links(document, bases)]
        stored["links"] = first + [_link(link, bases) for link in kept]
        if len(kept) < len(links) and not any(_rel(link) in _WEB_MAP_RELS for link in kept):
            _undeclare_map_links(stored, links)
    if isinstance(assets := document.get("assets"), dict):
        own = tuple(f"{base}/files/" for base in bases)
        if any(_href(asset).startswith(own) for asset in assets.values()):
            stored["assets"] = {key: _asset(asset, bases) for key, asset in assets.items()}
    return stored


def _undeclare_map_links(stored: dict[str, Any], links: Sequence[Any]) -> None:
    """Take away the extension that serving declared for the map links that it added."""
    declared = stored.get("stac_extensions")
    if isinstance(declared, list) and any(_rel(link) in MAP_RELS for link in links):
        stored["stac_extensions"] = [uri for uri in declared if uri != _WEB_MAP_LINKS]


def _is_made(link: Any, document: Mapping[str, Any], bases: Sequence[str]) -> bool:
    """Say whether the API makes a link itself when it serves the document."""
    rel, href = _rel(link), _href(link)
    if rel in INFERRED_RELS:
        return True
    if rel in MAP_RELS:
        return href.startswith(tuple(f"{base}/tiles/" for base in bases))
    if document.get("type") == "Collection":
        if rel == "related" and href.startswith(tuple(f"{base}{STAC_PATH}/catalogs/" for base in bases)):
            return True  # to a project that it is in
        own = tuple(f"{base}{STAC_PATH}/collections/{document.get('id')}/" for base in bases)
        return href.startswith(tuple(root + part for root in own for part in _PARTS_OF_COLLECTION))
    page = f"/items/{document.get('collection')}/{document.get('id')}"
    return rel == PAGE_REL and href in [base + page for base in bases]


def _link(link: Any, bases: Sequence[str]) -> Any:
    href = _href(link)
    for base in bases:
        root = f"{base}{STAC_PATH}/"
        rest = href.removeprefix(root)
        # Relative only where it is resolved to the same address again.
        if rest and rest != href and (rest.startswith("collections/") or urljoin(root, rest) == href):
            return {**link, "href": rest}
    return link


def _asset(asset: Any, bases: Sequence[str]) -> Any:
    href = _href(asset)
    for base in bases:
        root = f"{base}/files/"
        if href.startswith(root):
            # A query is that of a signature, which is over soon.
            checksum, _, name = href.removeprefix(root).partition("?")[0].partition("/")
            return {**asset, "href": f"{HREF_SCHEME}{checksum}/{unquote(name)}"}
    return asset


def _rel(link: Any) -> str:
    return str(link.get("rel")) if isinstance(link, dict) else ""


def _href(entry: Any) -> str:
    href = entry.get("href") if isinstance(entry, dict) else None
    return href if isinstance(href, str) else ""
