"""WMTS capabilities of one asset, for desktop GIS: one layer for each preset, web mercator only."""

from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

from fastapi import Request
from morecantile import TileMatrixSet
from morecantile import tms as tile_matrix_sets
from titiler.core.factory import FactoryExtension
from titiler.core.resources.responses import XMLResponse

from terralab.tiler.factory import AssetTilerFactory, asset_url
from terralab.tiler.parameters import AssetDep
from terralab.tiler.renders import preset, preset_names
from terralab.tiler.requests import FRESH

_TMS = "WebMercatorQuad"
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
<ows:ServiceIdentification><ows:Title>{title}</ows:Title><ows:ServiceType>OGC WMTS</ows:ServiceType>
<ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion></ows:ServiceIdentification>
<Contents>"""
_LAYER = """<Layer><ows:Title>{title}</ows:Title>
<ows:WGS84BoundingBox crs="urn:ogc:def:crs:OGC:2:84"><ows:LowerCorner>{west} {south}</ows:LowerCorner>
<ows:UpperCorner>{east} {north}</ows:UpperCorner></ows:WGS84BoundingBox>
<ows:Identifier>{name}</ows:Identifier>
<Style isDefault="true"><ows:Identifier>default</ows:Identifier></Style><Format>image/png</Format>
<TileMatrixSetLink><TileMatrixSet>{tms}</TileMatrixSet></TileMatrixSetLink>
<ResourceURL format="image/png" resourceType="tile" template={template}/></Layer>"""
_MATRIX = """<TileMatrix><ows:Identifier>{id}</ows:Identifier><ScaleDenominator>{scale}</ScaleDenominator>
<TopLeftCorner>{x} {y}</TopLeftCorner><TileWidth>256</TileWidth><TileHeight>256</TileHeight>
<MatrixWidth>{wide}</MatrixWidth><MatrixHeight>{high}</MatrixHeight></TileMatrix>"""


class WmtsExtension(FactoryExtension):
    """Adds `WMTSCapabilities.xml`."""

    def register(self, factory: AssetTilerFactory) -> None:
        """Register the endpoint."""

        @factory.router.get(
            "/WMTSCapabilities.xml", dependencies=FRESH, response_class=XMLResponse, operation_id="wmts"
        )
        def capabilities(request: Request, asset: AssetDep) -> XMLResponse:
            """Return the WMTS capabilities of an asset."""
            tms = tile_matrix_sets.get(_TMS)
            with factory.opened(asset, tms) as reader:
                bounds = reader.get_geographic_bounds(tms.rasterio_geographic_crs)
                deepest = reader.maxzoom
            title = f"{asset.entry.item['id']} {asset.key}"
            url = f"{asset_url(request, asset)}/{_TMS}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png"
            layers = [
                _layer(
                    f"{title}: {preset(asset, name).title}",
                    f"{asset.key}-{name}",
                    f"{url}?{urlencode({'render': name, **asset.entry.query})}",
                    bounds,
                )
                for name in preset_names(asset)
            ]
            return XMLResponse("\n".join([_HEAD.format(title=escape(title)), *layers, _matrix_set(tms, deepest)]))


def _layer(title: str, name: str, url: str, bounds: tuple[float, float, float, float]) -> str:
    west, south, east, north = bounds
    template = quoteattr(url)
    box: dict[str, Any] = {"west": west, "south": south, "east": east, "north": north}
    return _LAYER.format(title=escape(title), name=escape(name), tms=_TMS, template=template, **box)


def _matrix_set(tms: TileMatrixSet, deepest: int) -> str:
    rows = []
    for zoom in range(deepest + 1):
        matrix = tms.matrix(zoom)
        x, y = matrix.pointOfOrigin
        size = {"wide": matrix.matrixWidth, "high": matrix.matrixHeight}
        rows.append(_MATRIX.format(id=matrix.id, scale=matrix.scaleDenominator, x=x, y=y, **size))
    head = f"<TileMatrixSet><ows:Identifier>{_TMS}</ows:Identifier>"
    crs = "<ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>"
    return "\n".join([head, crs, *rows, "</TileMatrixSet></Contents></Capabilities>"])
