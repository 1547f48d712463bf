"""Reading a corrected label: a mask as GeoTIFF on the chip's grid, or polygons as GeoJSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from terralab.catalog.errors import InvalidInput
from terralab.datasets.raster_file import open_raster, read_facts
from terralab.extensions.raster import MASK_NODATA, ClassDefinition, Grid

_LARGEST_GEOJSON = 20_000_000
_CLASS = "class"
_WGS84 = ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326", "OGC:CRS84")
_TOLERANCE = 1e-6

Mask = NDArray[np.uint8]


def read_mask(path: Path, before: Mask, grid: Grid, classes: Sequence[ClassDefinition]) -> Mask:
    """Return a chip's new mask.

    A GeoTIFF replaces the whole mask. Polygons of a GeoJSON, each with a property `class` (its name or value, or null
    for no label), replace what they cover by pixel centres; elsewhere the label stays.

    Args:
        path: `.tif`, `.tiff`, `.geojson` or `.json`.
        before: the mask as it is.
        grid: the chip's.
        classes: what pixels may be.

    Raises:
        InvalidInput: or one of its kinds: the file is another, lies elsewhere, or has values that are no class.
    """
    if path.suffix.lower() in (".tif", ".tiff"):
        return _from_raster(path, grid, classes)
    if path.suffix.lower() in (".geojson", ".json"):
        return _from_polygons(path, before, grid, classes)
    raise InvalidInput(f"{path.name}: give a mask as GeoTIFF (.tif) or polygons as GeoJSON (.geojson)")


def _from_raster(path: Path, grid: Grid, classes: Sequence[ClassDefinition]) -> Mask:
    facts = read_facts(path)
    near = np.allclose(facts.grid.transform, grid.transform, rtol=0, atol=_TOLERANCE * abs(grid.transform[0]))
    if facts.grid.crs != grid.crs or facts.grid.shape != grid.shape or not near:
        size = f"{grid.shape[1]} × {grid.shape[0]} pixels"
        raise InvalidInput(
            f"{path.name}: not on the chip's grid ({grid.crs}, {size}, transform {list(grid.transform)})"
        )
    if facts.count != 1:
        raise InvalidInput(f"{path.name}: {facts.count} bands; a mask has one")
    with open_raster(path) as dataset:
        pixels: NDArray[Any] = dataset.read(1)
    unlabelled = ~np.isfinite(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
    if facts.nodata is not None and np.isfinite(facts.nodata):
        unlabelled |= pixels == facts.nodata
    unlabelled |= pixels == MASK_NODATA
    known = np.isin(pixels, [entry.value for entry in classes])
    foreign = np.unique(pixels[~known & ~unlabelled])
    if foreign.size:
        names = ", ".join(f"{entry.value} {entry.name}" for entry in classes)
        raise InvalidInput(
            f"{path.name}: the value {foreign[0]:g} is no class; there are {names}, and 255 for no label"
        )
    mask: Mask = np.where(unlabelled, MASK_NODATA, pixels).astype(np.uint8)
    return mask


@dataclass(frozen=True)
class _Polygon:
    """A polygon in the chip's coordinates, and the value of its class."""

    geometry: BaseGeometry
    value: int
    place: int


def _from_polygons(path: Path, before: Mask, grid: Grid, classes: Sequence[ClassDefinition]) -> Mask:
    polygons = _polygons(path, grid, classes)
    for number, one in enumerate(polygons):
        for other in polygons[number + 1 :]:
            if one.value != other.value and shapely.area(shapely.intersection(one.geometry, other.geometry)) > 0:
                raise InvalidInput(
                    f"{path.name}: features {one.place} and {other.place} overlap and have different classes"
                )
    burnt = rasterize(
        [(polygon.geometry, polygon.value + 1) for polygon in polygons],
        out_shape=grid.shape,
        transform=Affine(*grid.transform),
        fill=0,
        dtype="uint16",
    )
    if not burnt.any():
        raise InvalidInput(f"{path.name}: no polygon covers the centre of a pixel of the chip")
    mask: Mask = np.where(burnt > 0, burnt - 1, before).astype(np.uint8)
    return mask


def _polygons(path: Path, grid: Grid, classes: Sequence[ClassDefinition]) -> list[_Polygon]:
    to_grid = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    a, _, left, _, e, top = grid.transform
    outline = shapely.box(left, top + e * grid.shape[0], left + a * grid.shape[1], top)
    found = []
    for place, feature in enumerate(_features(path)):
        where = f"{path.name}: feature {place}"
        geometry = _geometry(feature, where)
        lies = shapely.transform(
            geometry, lambda points: np.stack(to_grid.transform(points[:, 0], points[:, 1]), axis=1)
        )
        if not np.isfinite(shapely.get_coordinates(lies)).all() or not lies.intersects(outline):
            raise InvalidInput(f"{where} lies outside the chip; GeoJSON is in longitude and latitude, in this order")
        found.append(_Polygon(lies, _value(feature, classes, where), place))
    return found


def _features(path: Path) -> list[Mapping[str, Any]]:
    if path.stat().st_size > _LARGEST_GEOJSON:
        raise InvalidInput(f"{path.name}: larger than {_LARGEST_GEOJSON // 1_000_000} MB, too much for one chip")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path.name} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or content.get("type") not in ("FeatureCollection", "Feature"):
        raise InvalidInput(f"{path.name}: no GeoJSON; give a FeatureCollection of polygons with a property `{_CLASS}`")
    crs = content.get("crs")
    if crs and (crs.get("properties") or {}).get("name") not in _WGS84:
        raise InvalidInput(f"{path.name}: GeoJSON is in longitude and latitude (RFC 7946); reproject it to EPSG:4326")
    features = [content] if content["type"] == "Feature" else content.get("features")
    if not isinstance(features, list) or not features or not all(isinstance(feature, dict) for feature in features):
        raise InvalidInput(f"{path.name}: it has no features")
    return features


def _geometry(feature: Mapping[str, Any], where: str) -> BaseGeometry:
    try:
        geometry = shape(feature["geometry"])
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InvalidInput(f"{where} has no readable geometry: {error}") from error
    if geometry.geom_type not in ("Polygon", "MultiPolygon") or geometry.is_empty:
        raise InvalidInput(f"{where} is a {geometry.geom_type}; give polygons")
    if not geometry.is_valid:
        raise InvalidInput(f"{where}: {shapely.is_valid_reason(geometry)}; repair the polygon")
    return geometry


def _value(feature: Mapping[str, Any], classes: Sequence[ClassDefinition], where: str) -> int:
    properties = feature.get("properties") or {}
    if _CLASS not in properties:
        raise InvalidInput(f"{where} has no property `{_CLASS}`")
    written = properties[_CLASS]
    if written is None:
        return MASK_NODATA
    for entry in classes:
        if written == entry.name or (not isinstance(written, bool) and written == entry.value):
            return entry.value
    raise InvalidInput(f"{where}: {written!r} is no class; there are {', '.join(entry.name for entry in classes)}")
