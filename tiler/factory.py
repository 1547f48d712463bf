"""The endpoints of one asset: tiles, TileJSON, previews, boxes, points, statistics.

A titiler factory, extended by plug-ins as titiler's are, with endpoints of our own: titiler's are unbounded in size and
take what this server never takes (free coordinate systems, expressions, posted geometries).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import numpy as np
import rasterio
from attrs import define, field
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from morecantile import TileMatrixSet
from morecantile import tms as tile_matrix_sets
from pydantic import Field
from rasterio.crs import CRS
from rio_tiler.models import ImageData, Info
from rio_tiler.utils import CRS_to_uri
from titiler.core.factory import BaseFactory, FactoryExtension, img_endpoint_params
from titiler.core.models.mapbox import TileJSON
from titiler.core.resources.responses import JSONResponse

from terralab.tiler.encode import encode
from terralab.tiler.lookup import CatalogAsset
from terralab.tiler.parameters import (
    MAX_BINS,
    MAX_BUFFER,
    MAX_TILE_SIZE,
    AssetDep,
    BandsDep,
    ImageFormat,
    TileMatrixSetId,
    ViewDep,
    checked_box,
    input_crs,
    output_crs,
)
from terralab.tiler.rasters import GDAL_OPTIONS, OpenRasters
from terralab.tiler.reader import SafeReader
from terralab.tiler.renders import View, preset_names
from terralab.tiler.requests import FRESH, RENDERED, TilerRoute

PREFIX = "/collections/{collection}/items/{item}/assets/{asset}"
TILE_SIZE = 256
_PREVIEW_SIZE = 1024
_MERCATOR = "WebMercatorQuad"


@define(kw_only=True)
class AssetTilerFactory(BaseFactory):
    """Makes the router of an asset's endpoints, to be included below `PREFIX`.

    Attributes:
        rasters: where open datasets are borrowed from.
        largest: most pixels along one side of an image.
    """

    rasters: OpenRasters
    largest: int
    extensions: list[FactoryExtension] = field(factory=list)
    router: APIRouter = field(factory=lambda: APIRouter(route_class=TilerRoute))

    def register_routes(self) -> None:
        """Register all endpoints."""
        self.tile()
        self.tilejson()
        self.preview()
        self.box()
        self.point()
        self.statistics()
        self.info()

    @contextmanager
    def opened(self, asset: CatalogAsset, tms: TileMatrixSet | None = None) -> Iterator[SafeReader]:
        """Yield a reader of an asset."""
        options: dict[str, Any] = {"input": str(asset.path), "rasters": self.rasters, "largest": self.largest}
        if tms is not None:
            options["tms"] = tms
        with rasterio.Env(**GDAL_OPTIONS), SafeReader(**options) as reader:
            yield reader

    def tile(self) -> None:
        """Register the tiles."""

        @self.router.get(
            "/{tms}/{z}/{x}/{y}.{format}", dependencies=RENDERED, operation_id="tile", **img_endpoint_params
        )
        @self.router.get(
            "/{tms}/{z}/{x}/{y}@{scale}x.{format}",
            dependencies=RENDERED,
            operation_id="tileScaled",
            **img_endpoint_params,
        )
        def tile(
            asset: AssetDep,
            view: ViewDep,
            tms: TileMatrixSetId,
            z: Annotated[int, Path(description="Zoom.")],
            x: Annotated[int, Path(description="Column, from the west.")],
            y: Annotated[int, Path(description="Row, from the north.")],
            format: ImageFormat,
            scale: Annotated[int, Field(ge=1, le=4, description="Times 256 pixels.")] = 1,
            tilesize: Annotated[int | None, Query(ge=1, le=MAX_TILE_SIZE, description="Pixels along a side.")] = None,
            buffer: Annotated[float | None, Query(gt=0, le=MAX_BUFFER, multiple_of=0.5)] = None,
        ) -> Response:
            """Return one map tile."""
            with self.opened(asset, tile_matrix_sets.get(tms)) as reader:
                size = tilesize or TILE_SIZE * scale
                image = reader.tile(x, y, z, tilesize=size, buffer=buffer, **_options(view))
            return _image_response(image, view, format, reader)

    def tilejson(self) -> None:
        """Register the TileJSON."""

        @self.router.get(
            "/tilejson.json",
            dependencies=FRESH,
            response_model=TileJSON,
            response_model_exclude_none=True,
            operation_id="tileJson",
        )
        def tilejson(
            request: Request,
            asset: AssetDep,
            view: ViewDep,
            tile_format: ImageFormat = "png",
            tilesize: Annotated[int, Query(ge=1, le=MAX_TILE_SIZE, description="Pixels along a side.")] = TILE_SIZE,
        ) -> dict[str, Any]:
            """Return the TileJSON of an asset in web mercator."""
            tms = tile_matrix_sets.get(_MERCATOR)
            query = [(key, value) for key, value in request.query_params.multi_items() if key != "tile_format"]
            with self.opened(asset, tms) as reader:
                bounds = reader.get_geographic_bounds(tms.rasterio_geographic_crs)
                zooms = {"minzoom": reader.minzoom, "maxzoom": reader.maxzoom}
            item = asset.entry.item
            tiles = f"{asset_url(request, asset)}/{_MERCATOR}/{{z}}/{{x}}/{{y}}.{tile_format}"
            return {
                "name": f"{item['collection']}/{item['id']}",
                "description": view.title,
                "bounds": bounds,
                **zooms,
                "tiles": [f"{tiles}?{urlencode(query)}" if query else tiles],
                "tileSize": tilesize,
                "renders": preset_names(asset),
            }

    def preview(self) -> None:
        """Register the picture of the whole asset."""
        side = Annotated[int | None, Query(ge=1, le=self.largest, description="Pixels.")]

        @self.router.get("/preview.{format}", dependencies=RENDERED, operation_id="preview", **img_endpoint_params)
        def preview(
            asset: AssetDep,
            view: ViewDep,
            format: ImageFormat,
            max_size: side = None,
            width: side = None,
            height: side = None,
        ) -> Response:
            """Return the whole asset as one image in its own coordinate system."""
            sides = {"width": width, "height": height}
            longest = None if width or height else max_size or min(_PREVIEW_SIZE, self.largest)
            with self.opened(asset) as reader:
                image = reader.preview(max_size=longest, **sides, **_options(view))
            return _image_response(image, view, format, reader)

    def box(self) -> None:
        """Register the pictures of boxes."""
        side = Annotated[int | None, Field(ge=1, le=self.largest, description="Pixels.")]
        longest = Annotated[int, Query(ge=1, le=self.largest, description="Pixels along the longer side.")]

        path = "/bbox/{minx},{miny},{maxx},{maxy}"

        @self.router.get(f"{path}.{{format}}", dependencies=RENDERED, operation_id="box", **img_endpoint_params)
        @self.router.get(
            f"{path}/{{width}}x{{height}}.{{format}}",
            dependencies=RENDERED,
            operation_id="boxSized",
            **img_endpoint_params,
        )
        def box(
            asset: AssetDep,
            view: ViewDep,
            bounds: Annotated[tuple[float, float, float, float], Depends(checked_box)],
            format: ImageFormat,
            coord_crs: Annotated[CRS, Depends(input_crs)],
            dst_crs: Annotated[CRS | None, Depends(output_crs)],
            width: side = None,
            height: side = None,
            max_size: longest = self.largest,
        ) -> Response:
            """Return the part of the asset in a box, by default in longitude and latitude."""
            sides = {"width": width, "height": height, "max_size": None if width and height else max_size}
            with self.opened(asset) as reader:
                image = reader.part(bounds, dst_crs=dst_crs, bounds_crs=coord_crs, **sides, **_options(view))
            return _image_response(image, view, format, reader)

    def point(self) -> None:
        """Register the values at a place."""

        @self.router.get("/point/{lon},{lat}", dependencies=FRESH, response_class=JSONResponse, operation_id="point")
        def point(
            asset: AssetDep,
            bands: BandsDep,
            lon: Annotated[float, Path(ge=-180, le=180, description="Longitude.")],
            lat: Annotated[float, Path(ge=-90, le=90, description="Latitude.")],
        ) -> JSONResponse:
            """Return the values of all bands at a place, null where there is no data, and the class they mean."""
            with self.opened(asset) as reader:
                found = reader.point(lon, lat, indexes=bands)
            values = np.ma.masked_invalid(found.array).tolist()
            return JSONResponse(
                {
                    "coordinates": [lon, lat],
                    "values": values,
                    "band_names": _band_names(asset, found.band_names),
                    "class": _class_of(asset, values[0]),
                }
            )

    def statistics(self) -> None:
        """Register the statistics of the whole asset."""

        @self.router.get("/statistics", dependencies=RENDERED, response_class=JSONResponse, operation_id="statistics")
        def statistics(
            asset: AssetDep,
            bands: BandsDep,
            max_size: Annotated[int, Query(ge=1, le=self.largest)] = min(_PREVIEW_SIZE, self.largest),
            categorical: Annotated[bool, Query(description="Count each value.")] = False,
            histogram_bins: Annotated[int, Query(ge=1, le=MAX_BINS)] = 10,
        ) -> JSONResponse:
            """Return statistics of each band over a reduced image."""
            with self.opened(asset) as reader:
                image = reader.preview(indexes=bands, max_size=max_size)
            image.array = np.ma.masked_invalid(image.array)
            found = image.statistics(categorical=categorical, hist_options={"bins": histogram_bins})
            return JSONResponse({name: band.model_dump() for name, band in found.items()})

    def info(self) -> None:
        """Register the description of the raster."""

        @self.router.get("/info", dependencies=FRESH, response_model=Info, response_model_exclude_none=True)
        def info(asset: AssetDep) -> Info:
            """Return what the raster file says of itself."""
            with self.opened(asset) as reader:
                return reader.info()


def asset_url(request: Request, asset: CatalogAsset) -> str:
    """Return the address of an asset's endpoints on the host that the client called."""
    item = asset.entry.item
    base = str(request.base_url).rstrip("/")
    return f"{base}/collections/{item['collection']}/items/{item['id']}/assets/{quote(asset.key)}"


def _options(view: View) -> dict[str, Any]:
    return {
        "indexes": view.indexes,
        "nodata": view.nodata,
        "resampling_method": view.resampling,
    }


def _image_response(image: ImageData, view: View, image_format: str, reader: SafeReader) -> Response:
    content, media_type = encode(image, view, image_format, reader.colormap)
    headers = {"Content-Bbox": ",".join(map(str, image.bounds))}
    if uri := CRS_to_uri(image.crs):
        headers["Content-Crs"] = f"<{uri}>"
    return Response(content, media_type=media_type, headers=headers)


def _band_names(asset: CatalogAsset, names: list[str]) -> list[str]:
    """Return the bands' names in the catalog instead of `b1`, `b2`, … where it has them."""
    known = [band.get("name") for band in asset.document.get("bands") or []]
    places = [int(name.removeprefix("b")) for name in names]
    return [
        str(known[place - 1] or name) if place <= len(known) else name
        for name, place in zip(names, places, strict=True)
    ]


def _class_of(asset: CatalogAsset, value: float | None) -> dict[str, Any] | None:
    for entry in asset.document.get("classification:classes") or []:
        if entry["value"] == value:
            return {"value": entry["value"], "name": entry["name"], "title": entry.get("title") or entry["name"]}
    return None
