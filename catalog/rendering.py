"""The finished JSON of an item, as the read model keeps it and the API sends it.

Everything but the address of the web process is known when an item is written: its links, the addresses of its assets,
its map links and page. Where the address comes in, the bytes hold `BASE`, which no JSON can hold; `served` puts the
address of the host that was called there. `rendered` and `served_items` make the same document (a test compares them).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

import orjson

from terralab.catalog.served_items import add_map_links, file_url, page_link, renders_of, restore_nulls
from terralab.catalog.store import HREF_SCHEME

BASE = b"\x01"
STAC_PATH = "/stac"
# Stands for the address while JSON is made; an address in form, so that relative links resolve against it.
_MARK = "http://terralab-base.invalid"
_MARK_BYTES = _MARK.encode()
_SCHEME = HREF_SCHEME.encode()
_ROOT = f"{_MARK}{STAC_PATH}/"
# stac-fastapi makes these itself and drops stored ones.
INFERRED_RELS = frozenset(("self", "item", "parent", "collection", "root", "items", "child"))


def rendered(
    item: Mapping[str, Any], renders: Mapping[str, Any] | None, members: Mapping[str, bytes] | None = None
) -> bytes:
    """Return the JSON of an item as it is served, with `BASE` for the address of the web process.

    Args:
        item: as stored: asset hrefs `asset://…` or absolute, links relative to the API root or absolute.
        renders: the render presets of its collection.
        members: JSON of the item's members, where the caller has it; none of them holds the mark of the address.
    """
    document: dict[str, Any] = {**item, "links": _links(item)}
    if members is None or _SCHEME in members.get("assets", b"") or not item.get("assets"):
        document["assets"] = {key: _asset(asset) for key, asset in (item.get("assets") or {}).items()}
    if needs_nulls(item):
        document["properties"] = _own(item["properties"])
        restore_nulls(document)
    if presets := renders_of(item) or renders:
        add_map_links(document, presets, _MARK)
    document["links"].append(page_link(item, _MARK))
    if members is None:
        return orjson.dumps(document).replace(_MARK_BYTES, BASE)
    changed = {name: value for name, value in document.items() if value is not item.get(name)}
    texts = {name: orjson.dumps(value).replace(_MARK_BYTES, BASE) for name, value in changed.items()}
    return joined({**members, **texts})


def joined(members: Mapping[str, bytes]) -> bytes:
    """Return the JSON of an object of which the members' JSON is given."""
    return b"{" + b",".join([_label(name) + text for name, text in members.items()]) + b"}"


@lru_cache(256)
def _label(name: str) -> bytes:
    return orjson.dumps(name) + b":"


def served(body: bytes, base: str) -> bytes:
    """Return rendered bytes with the address of the web process, `http://host:port` and its path without a slash."""
    return body.replace(BASE, base.encode())


def holds_mark(content: bytes) -> bool:
    """Say whether an item's JSON holds the mark that stands for the address, so that it cannot be rendered."""
    return _MARK_BYTES in content


def needs_nulls(item: Mapping[str, Any]) -> bool:
    """Say whether the item may lack nulls that STAC requires and that pgstac drops."""
    properties = item.get("properties") or {}
    return "start_datetime" in properties or "label:type" in properties


def _own(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties of which `restore_nulls` changes nothing that the item has."""
    own = dict(properties)
    if isinstance(classes := own.get("label:classes"), list):
        own["label:classes"] = [dict(entry) if isinstance(entry, dict) else entry for entry in classes]
    return own


def _links(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    collection = f"{_ROOT}collections/{item['collection']}"
    inferred = [
        {"rel": "collection", "type": "application/json", "href": collection},
        {"rel": "parent", "type": "application/json", "href": collection},
        {"rel": "root", "type": "application/json", "href": _ROOT},
        {"rel": "self", "type": "application/geo+json", "href": f"{collection}/items/{item['id']}"},
    ]
    stored = [
        {**link, "href": _resolved(str(link["href"]))}
        for link in item.get("links") or []
        if link["rel"] not in INFERRED_RELS
    ]
    return inferred + stored


def _resolved(href: str) -> str:
    if href.startswith(("http://", "https://")):
        return href
    if href.startswith("collections/"):
        return _ROOT + href
    return urljoin(_ROOT, href)


def _asset(asset: Any) -> Any:
    if isinstance(asset, dict) and str(asset.get("href", "")).startswith(HREF_SCHEME):
        return {**asset, "href": file_url(asset["href"], _MARK)}
    return asset
