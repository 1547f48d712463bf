"""A page for people about one item: what it is, how good it is, how it looks and where it came from."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from terralab.catalog.access.requests import Reader
from terralab.catalog.addresses import web_base
from terralab.catalog.browser import has_browser, item_address
from terralab.catalog.lineage import Graph, lineage
from terralab.catalog.lineage_api import Name
from terralab.catalog.pages import render_page
from terralab.catalog.readable import readable_item
from terralab.catalog.served_items import file_url, map_links, renders_of, thumbnail_url
from terralab.catalog.workspace import Workspace
from terralab.extensions.lab import (
    BASELINE_PROP,
    CLASS_COUNTS_PROP,
    EXECUTION_REL,
    KIND_PROP,
    METRICS_PROP,
    PRODUCED_REL,
)

_OWN_PLACE = {"title", "renders", METRICS_PROP, BASELINE_PROP, KIND_PROP, "bands", "mlm:input", "mlm:output"}
_SHOWN_LINEAGE = 40
_LONGEST_VALUE = 400


def item_page_router(workspace: Workspace, tiles: bool) -> APIRouter:
    """Return the route `/items/{collection}/{item}` over a lab; `tiles` says whether tiles are served beside it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/items/{collection}/{item}")
    def item_page(collection: Name, item: Name, request: Request, caller: Reader) -> Response:
        """Answer with the page of an item."""
        base = web_base(request)
        found = readable_item(workspace.catalog, collection, item, caller)
        shared = (workspace.catalog.find_collection(collection) or {}).get("renders") or {}
        renders = (renders_of(found) or shared) if tiles else {}
        graph = lineage(workspace.catalog, collection, item, principal=caller)
        browser = item_address(collection, item, base) if has_browser(workspace.settings) else None
        shown = workspace.views.of(caller).addressed(found, base)
        return render_page("item.html", base, browser=browser, **page_content(shown, renders, graph, base))

    return router


def page_content(item: Mapping[str, Any], renders: Mapping[str, Any], graph: Graph, base: str) -> dict[str, Any]:
    """Return what the page of an item shows.

    Args:
        item: stored item, the addresses of its files signed where that is needed.
        renders: how its rasters are shown; empty where no tiles are served.
        graph: its provenance.
        base: address of the web process.
    """
    properties = item["properties"]
    links = map_links(item, renders, base)
    return {
        "title": str(properties.get("title") or item["id"]),
        "kind": str(properties.get(KIND_PROP, "other")),
        "name": f"{item['collection']}/{item['id']}",
        "stac": f"{base}/stac/collections/{item['collection']}/items/{item['id']}",
        "maps": [link for link in links if link["rel"] == "preview"],
        "metrics": metrics_table(properties.get(METRICS_PROP) or {}, properties.get(BASELINE_PROP) or {}),
        "has_baseline": bool(properties.get(BASELINE_PROP)),
        "classes": properties.get(CLASS_COUNTS_PROP) or {},
        "thumbnail": thumbnail_url(item, renders, base),
        "images": _images(item, base),
        "files": _files(item, base),
        "rows": [
            (key, _text(value))
            for key, value in properties.items()
            if key not in _OWN_PLACE and value not in (None, {}, [])
        ],
        "lineage": [node for node in graph.nodes.values() if node.id != graph.root][:_SHOWN_LINEAGE],
        "lineage_json": f"{base}/lineage/{item['collection']}/{item['id']}",
        "produced": _linked(item, PRODUCED_REL),
        "runs": _linked(item, EXECUTION_REL),
    }


def metrics_table(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[tuple[str, Any, Any, bool | None]]:
    """Return rows of metric, value, baseline's value (None where it has none) and whether the value is better."""
    return [
        (key, value, baseline.get(key), _better(key, value, baseline.get(key)))
        for key, value in sorted(metrics.items())
    ]


def _better(key: str, value: Any, other: Any) -> bool | None:
    if not isinstance(value, int | float) or not isinstance(other, int | float):
        return None
    return value < other if key.endswith("loss") else value > other


def _images(item: Mapping[str, Any], base: str) -> list[dict[str, str]]:
    return [
        {"title": str(asset.get("title") or key), "url": file_url(str(asset["href"]), base)}
        for key, asset in item["assets"].items()
        if asset.get("type", "") in ("image/png", "image/jpeg", "image/webp", "image/svg+xml")
        and "thumbnail" not in asset.get("roles", [])
    ]


def _files(item: Mapping[str, Any], base: str) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "title": str(asset.get("title") or key),
            "url": file_url(str(asset["href"]), base),
            "size": asset.get("file:size"),
            "checksum": asset.get("file:checksum", ""),
        }
        for key, asset in item["assets"].items()
    ]


def _linked(item: Mapping[str, Any], rel: str) -> list[str]:
    """Return `collection/item` of the links with that rel."""
    return ["/".join(link["href"].split("/")[1::2]) for link in item["links"] if link["rel"] == rel]


def _text(value: Any) -> str:
    text = ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}: {part}" for key, part in value.items())
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
