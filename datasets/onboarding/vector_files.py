"""Reading users' outlines: GeoJSON, GeoPackage, GeoParquet and Shapefiles, each by a reader that opens nothing else.

GDAL's vector drivers follow whatever a file says, also where it is a virtual dataset that is called `.geojson`. So JSON
is read as JSON, a GeoPackage as a database, a GeoParquet file as a table; a Shapefile is given to GDAL after its first
bytes were looked at.
"""

import math
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import shapely
from pyproj import CRS
from shapely.geometry import shape

from terralab.catalog.errors import InvalidLabels
from terralab.datasets.onboarding.file_list import read_text
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.onboarding.samples import Shape

LONLAT = "OGC:CRS84"
_NAME_FIELDS = ("class_name", "class", "label", "category", "classname", "name", "type", "landcover", "lulc")
_VALUE_FIELDS = ("class_id", "class_value", "value", "label_id", "category_id", "classvalue", "id_class")
_DATE_FIELDS = ("datetime", "date", "time", "acquired", "acquisition_date", "start_datetime")
_SHP_MAGIC = b"\x00\x00\x27\x0a"
_SQLITE_MAGIC = b"SQLite format 3\0"
_PARQUET_MAGIC = b"PAR1"
_GPB_ENVELOPES = (0, 32, 48, 48, 64)


@dataclass(frozen=True)
class Layer:
    """Outlines of one file.

    Attributes:
        crs: coordinate system, as pyproj takes it.
        shapes: the outlines with their classes.
        dates: what the features' date fields say, as written.
    """

    crs: str
    shapes: tuple[Shape, ...]
    dates: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    geometry: Any
    fields: Mapping[str, Any]
    where: str


def read_layer(path: Path, limits: Limits, class_field: str | None = None) -> Layer:
    """Read the outlines of a file.

    Args:
        path: the file.
        limits: how large it may be.
        class_field: field with the class; None to take the usual names.

    Raises:
        InvalidLabels: it is no such file, has no outline, or its features have no class.
        TooLarge: it is over the limit.
    """
    with path.open("rb") as stream:
        start = stream.read(len(_SQLITE_MAGIC))
    if start == _SQLITE_MAGIC:
        crs, rows = _geopackage(path)
    elif start.startswith(_PARQUET_MAGIC):
        crs, rows = _geoparquet(path)
    elif start.startswith(_SHP_MAGIC):
        crs, rows = _shapefile(path)
    else:
        crs, rows = _geojson(path, read_text(path, limits))
    if not rows:
        raise InvalidLabels(f"{path.name}: has no feature; leave the file out")
    fields = _class_fields(path, rows, class_field)
    dates = {str(value) for row in rows for name in _DATE_FIELDS if (value := row.fields.get(name))}
    return Layer(crs, tuple(_shape(path, row, fields) for row in rows), tuple(sorted(dates)))


def _class_fields(path: Path, rows: Sequence[_Row], given: str | None) -> tuple[str | None, str | None]:
    """Return the fields of class name (or value) and of the value beside it."""
    there = {name for row in rows for name in row.fields}
    if given:
        if given not in there:
            raise InvalidLabels(
                f"{path.name}: no feature has the field {given!r}; it has {', '.join(sorted(there)) or 'none'}"
            )
        return given, None
    name = next((name for name in _NAME_FIELDS if name in there), None)
    value = next((name for name in _VALUE_FIELDS if name in there), None)
    return (name, value) if name else (value, None)


def _shape(path: Path, row: _Row, fields: tuple[str | None, str | None]) -> Shape:
    first, second = fields
    if row.geometry is None:
        raise InvalidLabels(f"{path.name}, {row.where}: has no geometry; leave the feature out")
    if first is None:
        return Shape(row.geometry, 1, None, f"{path.name}, {row.where}")
    written = _plain_class(row.fields.get(first))
    if written is None:
        raise InvalidLabels(f"{path.name}, {row.where}: its field {first!r} is {row.fields.get(first)!r}, no class")
    number = _plain_class(row.fields.get(second)) if second else None
    if isinstance(number, int) and isinstance(written, str):
        return Shape(row.geometry, number, written, f"{path.name}, {row.where}")
    return Shape(row.geometry, written, written if isinstance(written, str) else None, f"{path.name}, {row.where}")


def _plain_class(value: Any) -> str | int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return int(value) if value == int(value) else None if math.isnan(value) else str(value)
    if isinstance(value, int):
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.lstrip("-").isdigit() else text or None


def _geojson(path: Path, text: str) -> tuple[str, list[_Row]]:
    if not text.lstrip().startswith("{"):
        raise InvalidLabels(
            f"{path.name}: no GeoJSON, whatever its name says (it begins with {text.lstrip()[:20]!r}); export it again"
        )
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidLabels(f"{path.name}: cannot be read as JSON ({error}); export it again") from error
    kind = document.get("type")
    features = document.get("features") if kind == "FeatureCollection" else [document] if kind == "Feature" else None
    if not isinstance(features, list):
        raise InvalidLabels(f"{path.name}: no GeoJSON of features (its type is {kind!r}); give a FeatureCollection")
    return _crs_member(path, document), [_feature(path, number, entry) for number, entry in enumerate(features)]


def _feature(path: Path, number: int, entry: Any) -> _Row:
    where = f"feature {number}"
    geometry = entry.get("geometry") if isinstance(entry, dict) else None
    if not isinstance(geometry, dict):
        raise InvalidLabels(f"{path.name}, {where}: has no geometry; leave the feature out")
    try:
        found = shapely.force_2d(shape(geometry))
    except Exception as error:  # shapely raises whatever the coordinates make: type, value, attribute and GEOS errors
        raise InvalidLabels(f"{path.name}, {where}: its geometry cannot be read ({error})") from error
    properties = entry.get("properties")
    return _Row(found, properties if isinstance(properties, dict) else {}, where)


def _crs_member(path: Path, document: Mapping[str, Any]) -> str:
    """Return the coordinate system; the old `crs` member counts, although the standard dropped it."""
    member = document.get("crs")
    if member is None:
        return LONLAT
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    try:
        code = str(name).rsplit(":", 1)[-1]
        return LONLAT if code in ("CRS84", "4326") else CRS.from_epsg(int(code)).to_string()
    except Exception as error:  # pyproj's own error, or no number
        raise InvalidLabels(f"{path.name}: its coordinate system {name!r} is not known; give EPSG:<code>") from error


def _geopackage(path: Path) -> tuple[str, list[_Row]]:
    try:
        with sqlite3.connect(f"file:{path.absolute()}?mode=ro&immutable=1", uri=True) as database:
            database.execute("PRAGMA trusted_schema=OFF")
            return _geopackage_rows(path, database)
    except sqlite3.Error as error:
        raise InvalidLabels(f"{path.name}: no readable GeoPackage ({error}); export it again") from error


def _geopackage_rows(path: Path, database: sqlite3.Connection) -> tuple[str, list[_Row]]:
    layers = database.execute("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns").fetchall()
    if len(layers) != 1:
        names = ", ".join(str(layer[0]) for layer in layers) or "none"
        raise InvalidLabels(f"{path.name}: has {len(layers)} layers ({names}); give a file with one layer")
    table, column, srs = layers[0]
    kind = database.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    if kind != ("table",):
        raise InvalidLabels(f"{path.name}: its layer {table!r} is no table but a view; export the layer")
    found = database.execute(
        "SELECT organization, organization_coordsys_id FROM gpkg_spatial_ref_sys WHERE srs_id = ?", (srs,)
    )
    organization, code = found.fetchone() or (None, None)
    if str(organization).upper() != "EPSG":
        raise InvalidLabels(f"{path.name}: its coordinate system has no EPSG code; assign one")
    quoted = '"' + str(table).replace('"', '""') + '"'
    cursor = database.execute(f"SELECT * FROM {quoted}")  # noqa: S608  # an identifier, quoted; values cannot be bound here
    columns = [entry[0] for entry in cursor.description]
    rows = []
    for number, record in enumerate(cursor):
        fields = dict(zip(columns, record, strict=True))
        rows.append(_Row(_gpb(path, number, fields.pop(column)), fields, f"feature {number}"))
    return f"EPSG:{code}", rows


def _gpb(path: Path, number: int, blob: Any) -> Any:
    """Read a GeoPackage geometry: a header of eight bytes and an envelope before the WKB."""
    try:
        if blob[:2] != b"GP":
            raise ValueError("not a GeoPackage geometry")
        (flags,) = struct.unpack("B", blob[3:4])
        return shapely.force_2d(shapely.from_wkb(blob[8 + _GPB_ENVELOPES[(flags >> 1) & 7] :]))
    except Exception as error:  # a damaged blob: struct, index, type and GEOS errors
        raise InvalidLabels(f"{path.name}, feature {number}: its geometry cannot be read ({error})") from error


def _geoparquet(path: Path) -> tuple[str, list[_Row]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
        described = orjson.loads((table.schema.metadata or {})[b"geo"])
        column = described["primary_column"]
        crs = described["columns"][column].get("crs", LONLAT)
        geometries = shapely.force_2d(shapely.from_wkb(table.column(column).to_pylist()))
        rows = table.drop_columns([column]).to_pylist()
        name = LONLAT if crs in (LONLAT, None) else CRS.from_user_input(crs).to_string()
    except (ArrowException, KeyError, ValueError, shapely.errors.GEOSException, OSError) as error:
        raise InvalidLabels(f"{path.name}: no readable GeoParquet ({error}); export it again") from error
    return name, [
        _Row(geometry, row, f"row {number}")
        for number, (geometry, row) in enumerate(zip(geometries, rows, strict=True))
    ]


def _shapefile(path: Path) -> tuple[str, list[_Row]]:
    import pyogrio

    if path.suffix.lower() != ".shp":
        raise InvalidLabels(f"{path.name}: a Shapefile under another name; call it .shp")
    try:
        meta, _, geometries, values = pyogrio.raw.read(path.absolute())
    except Exception as error:  # pyogrio's data source, field and geometry errors share no base of their own
        raise InvalidLabels(
            f"{path.name}: no readable Shapefile ({error}); give its .shx, .dbf and .prj, too"
        ) from error
    if not meta["crs"]:
        raise InvalidLabels(f"{path.name}: no coordinate system; give its .prj file, too")
    fields = list(meta["fields"])
    rows = [dict(zip(fields, record, strict=True)) for record in zip(*values, strict=True)] or [{}] * len(geometries)
    found = shapely.force_2d(shapely.from_wkb(geometries))
    plain = [{name: value.item() if hasattr(value, "item") else value for name, value in row.items()} for row in rows]
    return str(meta["crs"]), [
        _Row(geometry, row, f"feature {n}") for n, (geometry, row) in enumerate(zip(found, plain, strict=True))
    ]
