"""The map page: one asset over a plain graticule, with the imagery it was made from below it.

Everything comes from this server, so it works without a network; its script and styles are static files, as the strict
content security policy demands.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape
from titiler.core.factory import FactoryExtension

from terralab.catalog.access.requests import principal_of
from terralab.catalog.addresses import web_base
from terralab.catalog.errors import LabError
from terralab.extensions.imagery import IMAGE_ASSET
from terralab.extensions.lab import KIND_PROP, Kind
from terralab.tiler.factory import AssetTilerFactory
from terralab.tiler.legend import legend
from terralab.tiler.lookup import CatalogAsset, Lookup
from terralab.tiler.parameters import AssetDep, ViewDep
from terralab.tiler.renders import preset_names
from terralab.tiler.requests import FRESH

FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
_TEMPLATES = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=select_autoescape(["html"]))


class ViewerExtension(FactoryExtension):
    """Adds `map`."""

    def register(self, factory: AssetTilerFactory) -> None:
        """Register the endpoint."""

        @factory.router.get("/map", dependencies=FRESH, response_class=Response, operation_id="map")
        def map_page(request: Request, asset: AssetDep, view: ViewDep) -> Response:
            """Return the map page of an asset."""
            with factory.opened(asset) as reader:
                bounds, deepest = reader.get_geographic_bounds(reader.tms.rasterio_geographic_crs), reader.maxzoom
            mount = request.scope.get("root_path", "")
            query = urlencode(request.query_params.multi_items())
            item = asset.entry.item
            config = {
                "bounds": bounds,
                "maxzoom": deepest,
                "layers": [*_sources(request, asset, mount), _layer(mount, item, asset.key, view.title, query)],
                "point": f"{_root(mount, item, asset.key)}/point/{{lon}},{{lat}}{_own_query(asset)}",
            }
            page = _TEMPLATES.get_template("map.html").render(
                static=f"{mount}/static",
                asset=asset,
                view=view,
                item=item,
                presets=[(name, asset.renders.get(name, {}).get("title", name)) for name in preset_names(asset)],
                legend=legend(asset, view),
                config=json.dumps(config),
                stac=_stac_url(request, item),
                page=f"{web_base(request)}/items/{item['collection']}/{item['id']}",
            )
            return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


def _sources(request: Request, asset: CatalogAsset, mount: str) -> list[dict[str, Any]]:
    """Return the layers of imagery items that the asset's item was derived from."""
    lookup: Lookup = request.app.state.lookup
    layers = []
    for link in asset.entry.item.get("links") or []:
        parts = str(link.get("href", "")).split("/")
        if (
            link.get("rel") not in ("derived_from", "source")
            or len(parts) != 4
            or parts[::2] != ["collections", "items"]
        ):
            continue
        try:
            entry = lookup.entry(parts[1], parts[3], principal_of(request))
        except LabError:
            continue  # a source that is gone, or not for the caller, is no reason to have no map
        if entry.item["properties"].get(KIND_PROP) == Kind.IMAGERY and IMAGE_ASSET in entry.item["assets"]:
            layers.append(_layer(mount, entry.item, IMAGE_ASSET, f"Imagery {entry.item['id']}", ""))
    return layers


def _layer(mount: str, item: dict[str, Any], key: str, title: str, query: str) -> dict[str, Any]:
    tiles = f"{_root(mount, item, key)}/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png"
    return {"title": title, "tiles": f"{tiles}?{query}" if query else tiles}


def _root(mount: str, item: dict[str, Any], key: str) -> str:
    return f"{mount}/collections/{item['collection']}/items/{item['id']}/assets/{quote(key)}"


def _own_query(asset: CatalogAsset) -> str:
    return f"?{urlencode(asset.entry.query)}" if asset.entry.query else ""


def _stac_url(request: Request, item: dict[str, Any]) -> str:
    return f"{web_base(request)}/stac/collections/{item['collection']}/items/{item['id']}"
