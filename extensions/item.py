"""What all kinds of items share: assets, links, footprints and the frame of a STAC 1.1 item and collection."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import antimeridian
from pydantic import AwareDatetime
from pyproj import CRS, Transformer
from shapely import Polygon, box, get_coordinates, get_parts, make_valid
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from terralab.extensions.ids import is_valid_id

STAC_VERSION = "1.1.0"
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOJSON_TYPE = "application/geo+json"
COORDINATE_DIGITS = 7  # about 1 cm
# Near a pole straight lines are bent so much on the globe that a coarse outline would cross itself.
_PARTS_OF_A_SIDE = (4, 32, 256)

EXTENSION_URIS = {
    "classification": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "eo": "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "label": "https://stac-extensions.github.io/label/v1.0.1/schema.json",
    "ml-aoi": "https://stac-extensions.github.io/ml-aoi/v0.2.0/schema.json",
    "mlm": "https://stac-extensions.github.io/mlm/v1.5.2/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "render": "https://stac-extensions.github.io/render/v2.0.0/schema.json",
    "version": "https://stac-extensions.github.io/version/v1.2.0/schema.json",
    "web-map-links": "https://stac-extensions.github.io/web-map-links/v1.2.0/schema.json",
}


@dataclass(frozen=True)
class StoredFile:
    """A file in the asset store.

    Attributes:
        href: host-independent reference, `asset://<multihash>/<file name>`.
        size: bytes.
        checksum: multihash of the bytes.
    """

    href: str
    size: int
    checksum: str


@dataclass(frozen=True)
class Footprint:
    """Where a raster lies on the ground and in time.

    Attributes:
        geometry: polygon in longitude and latitude (EPSG:4326), divided where it crosses 180°.
        start: begin of the time range, with time zone.
        end: end of it; equal to `start` for an instant.
    """

    geometry: BaseGeometry
    start: datetime
    end: datetime

    @classmethod
    def of_grid(
        cls,
        crs: str,
        transform: Iterable[float],
        shape_yx: tuple[int, int],
        start: datetime,
        end: datetime | None = None,
    ) -> "Footprint":
        """Return the footprint of a grid.

        Args:
            crs: any text that pyproj takes, such as `EPSG:32630`.
            transform: the six affine numbers a, b, c, d, e, f in rasterio's order.
            shape_yx: rows and columns.
            start: acquisition time.
            end: end of the acquisition, where it is not an instant.
        """
        a, b, c, d, e, f = list(transform)[:6]
        rows, columns = shape_yx
        corners = [(0, 0), (columns, 0), (columns, rows), (0, rows)]
        xs = [a * col + b * row + c for col, row in corners]
        ys = [d * col + e * row + f for col, row in corners]
        native = box(min(xs), min(ys), max(xs), max(ys))
        return cls(_on_the_globe(native, CRS.from_user_input(crs)), start, end or start)

    @property
    def bbox(self) -> list[float]:
        """Return west, south, east, north in degrees; west is greater than east where it crosses 180°."""
        sides = self.geometry.bounds
        if sides[0] <= -180 and sides[2] >= 180:  # else it is on one side, which antimeridian mistakes at a pole
            sides = antimeridian.bbox(self.geometry)
        return [round(float(number), COORDINATE_DIGITS) for number in sides]

    @classmethod
    def union(cls, footprints: Iterable["Footprint"]) -> "Footprint":
        """Return the area and time range that cover all `footprints` (at least one)."""
        parts = list(footprints)
        geometry = unary_union([part.geometry for part in parts]).simplify(1e-7)
        return cls(geometry, min(part.start for part in parts), max(part.end for part in parts))

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "Footprint":
        """Read the footprint of an item."""
        properties = item["properties"]
        start = properties.get("start_datetime") or properties["datetime"]
        end = properties.get("end_datetime") or start
        return cls(shape(item["geometry"]), parse_time(start), parse_time(end))

    def time_properties(self) -> dict[str, Any]:
        """Return `datetime`, or `start_datetime` and `end_datetime` with a null `datetime`."""
        if self.start == self.end:
            return {"datetime": format_time(self.start)}
        return {
            "datetime": None,
            "start_datetime": format_time(self.start),
            "end_datetime": format_time(self.end),
        }


def _on_the_globe(native: BaseGeometry, crs: CRS) -> BaseGeometry:
    """Return a box of a coordinate system in longitude and latitude, divided at 180°, as a valid polygon."""
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    west, south, east, north = native.bounds
    for parts in _PARTS_OF_A_SIDE:
        lines = native.segmentize(max(east - west, north - south) / parts)
        lon, lat = to_lonlat.transform(*get_coordinates(lines.exterior).T)
        polygon = Polygon(
            (round(float(x), COORDINATE_DIGITS), round(float(y), COORDINATE_DIGITS))
            for x, y in zip(lon, lat, strict=True)
        )
        if crs.is_geographic:
            polygon = polygon.simplify(0)
        divided = antimeridian.fix_polygon(polygon, great_circle=False, fix_winding=True)
        if divided.is_valid:
            return divided
    # A box that only touches 180° has a part without area beyond it.
    pieces = get_parts(get_parts(make_valid(divided)))
    areas = [piece for piece in pieces if piece.geom_type == "Polygon" and piece.area > 0]
    return unary_union(areas) if areas else divided


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def format_time(moment: AwareDatetime | datetime) -> str:
    """Write a time as RFC 3339 in UTC with a `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def item_href(collection: str, item: str) -> str:
    """Return the API-root-relative reference to an item, which the API resolves on any host."""
    return f"collections/{collection}/items/{item}"


def item_link(rel: str, collection: str, item: str, **fields: Any) -> dict[str, Any]:
    """Return a link to another item of the catalog."""
    return {"rel": rel, "href": item_href(collection, item), "type": GEOJSON_TYPE, **fields}


def derived_from(item: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the provenance link to `item`, with any further link fields such as `ml-aoi:role`."""
    return item_link("derived_from", item["collection"], item["id"], **fields)


def asset(
    stored: StoredFile, media_type: str, roles: list[str], title: str | None = None, **fields: Any
) -> dict[str, Any]:
    """Return an asset with size and checksum; None fields are left out."""
    described = {
        "href": stored.href,
        "type": media_type,
        "title": title,
        "roles": roles,
        "file:size": stored.size,
        "file:checksum": stored.checksum,
        **fields,
    }
    return known(described)


def known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


@dataclass
class ItemFrame:
    """The frame that every builder fills; `to_dict` gives the finished item."""

    id: str
    collection: str
    footprint: Footprint
    extensions: list[str]
    properties: dict[str, Any] = field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the item as STAC JSON.

        Raises:
            ValueError: the id or the collection id is not valid.
        """
        for name in (self.id, self.collection):
            if not is_valid_id(name):
                raise ValueError(f"{name!r} is not a valid id: use a-z, 0-9, '_' and '-'")
        geometry = self.footprint.geometry
        return {
            "type": "Feature",
            "stac_version": STAC_VERSION,
            "stac_extensions": sorted(EXTENSION_URIS.get(name, name) for name in self.extensions),
            "id": self.id,
            "collection": self.collection,
            "geometry": _plain(mapping(geometry)),
            "bbox": self.footprint.bbox,
            "properties": {**self.footprint.time_properties(), **self.properties},
            "links": [{"rel": "collection", "href": f"collections/{self.collection}"}, *self.links],
            "assets": self.assets,
        }


def collection(
    id: str,
    title: str,
    description: str,
    footprint: Footprint,
    *,
    kind: str,
    extensions: list[str],
    item_assets: dict[str, dict[str, Any]],
    license: str = "other",
    **fields: Any,
) -> dict[str, Any]:
    """Return a STAC collection; `fields` are further top-level members such as `renders`, `summaries` or `links`."""
    if not is_valid_id(id):
        raise ValueError(f"{id!r} is not a valid collection id: use a-z, 0-9, '_' and '-'")
    bbox = [round(float(number), COORDINATE_DIGITS) for number in footprint.geometry.bounds]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(EXTENSION_URIS.get(name, name) for name in extensions),
        "id": id,
        "title": title,
        "description": description,
        "license": license,
        "lab:kind": kind,
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[format_time(footprint.start), format_time(footprint.end)]]},
        },
        "item_assets": item_assets,
        "links": [],
        **fields,
    }


def _plain(value: Any) -> Any:
    """Turn shapely's tuples into the lists that JSON has."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
