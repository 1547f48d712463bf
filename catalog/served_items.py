"""What the STAC API adds when it serves a stored object: addresses of assets, web map links, the object's page.

The catalog stores `asset://<multihash>/<name>` and `renders`; clients get addresses of the host that they called, and
ready `xyz` and `tilejson` links, because third-party maps read those and not `renders`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

from terralab.catalog.store import HREF_SCHEME
from terralab.extensions.item import EXTENSION_URIS

TILE_MATRIX_SET = "WebMercatorQuad"
MAP_RELS = ("xyz", "tilejson", "wmts", "preview", "legend")
PAGE_REL = "alternate"
THUMBNAIL_PIXELS = 480
_HTML = "text/html"


class FileAddress(str):
    """An address of a stored file that the lab made, as against the same text written by a user."""

    __slots__ = ()


def file_url(href: str, base: str) -> str:
    """Return the address of `asset://<multihash>/<name>` on this host, a `FileAddress`; any other href as it is."""
    if not href.startswith(HREF_SCHEME):
        return href
    checksum, _, name = href.removeprefix(HREF_SCHEME).partition("/")
    return FileAddress(f"{base}/files/{checksum}/{quote(name)}")


def address_assets(document: dict[str, Any], base: str) -> None:
    """Give all assets of an item or a collection addresses of this host."""
    for entry in (document.get("assets") or {}).values():
        if "href" in entry:
            entry["href"] = file_url(str(entry["href"]), base)


def restore_nulls(item: dict[str, Any]) -> None:
    """Put back the nulls that STAC and the label extension require and that pgstac drops on writing."""
    properties = item.get("properties") or {}
    if "start_datetime" in properties:
        properties.setdefault("datetime", None)
    if properties.get("label:type") == "raster":
        properties.setdefault("label:properties", None)
    for classes in properties.get("label:classes") or []:
        classes.setdefault("name", None)


def asset_tiles_url(item: Mapping[str, Any], asset_key: str, base: str) -> str:
    """Return the root of an asset's tiles."""
    return f"{base}/tiles/collections/{item['collection']}/items/{item['id']}/assets/{quote(asset_key)}"


def map_links(item: Mapping[str, Any], renders: Mapping[str, Any], base: str) -> list[dict[str, Any]]:
    """Return the web map links of an item: tiles, TileJSON, WMTS, map and legend of each render of its assets.

    Args:
        item: with `id`, `collection` and `assets`.
        renders: render extension objects by name, the item's own or its collection's.
        base: address of the web process.
    """
    return [
        link
        for name, render, key in _shown(item, renders)
        for link in _links_of_render(asset_tiles_url(item, key, base), key, name, render)
    ]


def add_map_links(item: dict[str, Any], renders: Mapping[str, Any], base: str) -> None:
    """Add web map links, and the extension that describes them, to an item; stored ones are replaced."""
    links = map_links(item, renders, base)
    if not links or "links" not in item:
        return
    item["links"] = [link for link in item["links"] if link["rel"] not in MAP_RELS] + links
    uri = EXTENSION_URIS["web-map-links"]
    if uri not in item.get("stac_extensions", [uri]):
        item["stac_extensions"] = sorted([*item["stac_extensions"], uri])


def is_map_link(link: Mapping[str, Any]) -> bool:
    """Say whether a served link is one that `add_map_links` made."""
    return link["rel"] in MAP_RELS and "/tiles/collections/" in link["href"]


def thumbnail_url(item: Mapping[str, Any], renders: Mapping[str, Any], base: str) -> str | None:
    """Return the address of an item's thumbnail: its own, else a small picture of its first render, else None."""
    for asset in item["assets"].values():
        if "thumbnail" in asset.get("roles", []):
            return file_url(str(asset["href"]), base)
    for name, _, key in _shown(item, renders):
        query = urlencode({"render": name, "max_size": THUMBNAIL_PIXELS})
        return f"{asset_tiles_url(item, key, base)}/preview.png?{query}"
    return None


def page_link(item: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Return the link to the page for people."""
    href = f"{base}/items/{item['collection']}/{item['id']}"
    return {"rel": PAGE_REL, "href": href, "type": _HTML, "title": "Page for people"}


def renders_of(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an item's own renders, None where it has none."""
    return cast(dict[str, Any] | None, (item.get("properties") or {}).get("renders"))


def _shown(item: Mapping[str, Any], renders: Any) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield each render with each asset of the item that it shows; what is of another form shows nothing."""
    for name, render in renders.items() if isinstance(renders, Mapping) else ():
        keys = render.get("assets") if isinstance(render, Mapping) else None
        for key in keys if isinstance(keys, list) else ():
            if isinstance(key, str) and key in (item.get("assets") or {}):
                yield name, render, key


def _links_of_render(root: str, key: str, name: str, render: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    query = urlencode({"render": name})
    title = str(render.get("title") or name)
    tiles = f"{root}/{TILE_MATRIX_SET}/{{z}}/{{x}}/{{y}}.png?{query}"
    yield {"rel": "xyz", "href": tiles, "type": "image/png", "title": title, "render": name}
    tilejson = f"{root}/tilejson.json?{query}"
    yield {"rel": "tilejson", "href": tilejson, "type": "application/json", "title": title, "render": name}
    yield {
        "rel": "wmts",
        "href": f"{root}/WMTSCapabilities.xml",
        "type": "application/xml",
        "title": title,
        "render": name,
        "wmts:encoding": "rest",
        "wmts:layer": f"{key}-{name}",
    }
    yield {"rel": "preview", "href": f"{root}/map?{query}", "type": _HTML, "title": f"Map: {title}"}
    if render.get("colormap"):
        yield {"rel": "legend", "href": f"{root}/legend.json", "type": "application/json", "title": "Legend"}
