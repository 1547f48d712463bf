"""What a request may ask for, as FastAPI dependencies. Limits that need no raster are checked here."""

import re
from dataclasses import replace
from math import isfinite
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rio_tiler.colormap import cmap
from rio_tiler.constants import WGS84_CRS

from terralab.catalog.access.requests import Reader
from terralab.catalog.errors import InvalidInput
from terralab.tiler.lookup import CatalogAsset, Lookup
from terralab.tiler.renders import Stretch, View, preset

MAX_BANDS = 16
MAX_BUFFER = 64
MAX_TILE_SIZE = 1024
MAX_BINS = 1024
TILE_MATRIX_SETS = ("WebMercatorQuad", "WorldCRS84Quad")

ImageFormat = Literal["png", "webp", "jpg", "jpeg", "tif"]
Resampling = Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode"]
TileMatrixSetId = Literal["WebMercatorQuad", "WorldCRS84Quad"]
_FARTHEST = 4e7  # metres; beyond the circumference of the earth no coordinate means a place


def find_asset(
    request: Request,
    caller: Reader,
    collection: Annotated[str, Path(description="Collection id.")],
    item: Annotated[str, Path(description="Item id.")],
    asset: Annotated[str, Path(description="Asset key.")],
    version: Annotated[
        str | None, Query(max_length=32, description="Of the dataset, such as `1.0.0`: the chip as that froze it.")
    ] = None,
) -> CatalogAsset:
    """Return the asset that the path names, where the caller may read its item."""
    lookup: Lookup = request.app.state.lookup
    return lookup.asset(collection, item, asset, caller, version)


AssetDep = Annotated[CatalogAsset, Depends(find_asset)]


def chosen_view(
    asset: AssetDep,
    render: Annotated[str | None, Query(max_length=128, description="Render preset of the item or collection.")] = None,
    bidx: Annotated[
        list[Annotated[int, Query(ge=1, le=65535)]] | None,
        Query(max_length=MAX_BANDS, description="Bands to show, counted from 1, instead of the preset's."),
    ] = None,
    rescale: Annotated[
        list[str] | None,
        Query(max_length=MAX_BANDS, description="`low,high` for each band (or one for all), shown as 0 … 255."),
    ] = None,
    colormap_name: Annotated[str | None, Query(max_length=64, description="A colour map of rio-tiler.")] = None,
    nodata: Annotated[float | None, Query(description="Value to show transparent.")] = None,
    resampling: Annotated[Resampling | None, Query(description="How pixels are resampled.")] = None,
    return_mask: Annotated[bool, Query(description="Whether the image has transparency.")] = True,
) -> View:
    """Return the preset with what the request changes of it."""
    view = preset(asset, render)
    if bidx:
        view = view.with_bands(bidx, asset.document.get("bands") or [])
    if rescale:
        view = view.with_rescale(_parse_rescale(rescale, len(view.indexes or ())))
    if colormap_name:
        view = replace(view, colormap=_named_colormap(colormap_name))
    if nodata is not None:
        view = replace(view, nodata=nodata)
    return replace(view, resampling=resampling or view.resampling, add_mask=return_mask)


ViewDep = Annotated[View, Depends(chosen_view)]


def chosen_bands(
    bidx: Annotated[
        list[Annotated[int, Query(ge=1, le=65535)]] | None,
        Query(max_length=MAX_BANDS, description="Bands, counted from 1; all by default."),
    ] = None,
) -> tuple[int, ...] | None:
    """Return the bands whose values are asked for."""
    return tuple(bidx) if bidx else None


BandsDep = Annotated[tuple[int, ...] | None, Depends(chosen_bands)]


def input_crs(coord_crs: Annotated[str | None, Query(description="`EPSG:<code>` of the path's box.")] = None) -> CRS:
    """Return the coordinate system of a box, longitude and latitude by default."""
    return _epsg("coord_crs", coord_crs) or WGS84_CRS


def output_crs(dst_crs: Annotated[str | None, Query(description="`EPSG:<code>` of the image.")] = None) -> CRS | None:
    """Return the coordinate system of the image, None for that of the box."""
    return _epsg("dst_crs", dst_crs)


def checked_box(
    minx: Annotated[float, Path()],
    miny: Annotated[float, Path()],
    maxx: Annotated[float, Path()],
    maxy: Annotated[float, Path()],
) -> tuple[float, float, float, float]:
    """Return a box that has an area and lies on the earth."""
    box = (minx, miny, maxx, maxy)
    if not all(isfinite(side) and abs(side) < _FARTHEST for side in box) or minx >= maxx or miny >= maxy:
        raise InvalidInput(f"bbox: {minx},{miny},{maxx},{maxy} is not a box: minx < maxx and miny < maxy are needed")
    return box


def _parse_rescale(texts: list[str], bands: int) -> Stretch:
    # `rescale=0,100,0,200` and `rescale=0,100&rescale=0,200` are both in use
    try:
        numbers = [float(part) for text in texts for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput(f"rescale: {','.join(texts)!r} is not a list of numbers low,high") from error
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    if len(numbers) % 2 or not pairs or not all(isfinite(low) and isfinite(high) and low < high for low, high in pairs):
        raise InvalidInput(f"rescale: {','.join(texts)!r} is not low,high with low < high for each band")
    if len(pairs) not in (1, bands or len(pairs)):
        raise InvalidInput(f"rescale: {len(pairs)} ranges were given for {bands} bands; give one, or one for each")
    return pairs * bands if len(pairs) == 1 and bands else pairs


def _named_colormap(name: str) -> dict[int, tuple[int, int, int, int]]:
    known = cmap.list()
    if name not in known:
        raise InvalidInput(f"colormap_name: there is no {name!r}; known are {', '.join(sorted(known)[:8])} …")
    return dict(cmap.get(name))


def _epsg(parameter: str, text: str | None) -> CRS | None:
    if text is None:
        return None
    found = re.fullmatch(r"(?i)EPSG:(\d{4,6})", text)  # never free text: GDAL would open files and addresses
    if not found:
        raise InvalidInput(f"{parameter}: {text!r} is not `EPSG:<code>`")
    try:
        return CRS.from_epsg(int(found[1]))
    except CRSError as error:
        raise InvalidInput(f"{parameter}: EPSG:{found[1]} is not known") from error
