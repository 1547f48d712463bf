"""Labels and places in vector files: GeoJSON, CSV, GeoParquet, GeoPackage and FlatGeobuf.

What a file is, its first bytes say and not its name. A GeoJSON that is in truth an OGR-VRT, which would send GDAL to
other files, is refused: GDAL only opens what begins as a GeoPackage or FlatGeobuf, whose files hold their own data, and
JSON is read without it.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from terralab.catalog.errors import InvalidInput, InvalidLabels

_WGS84 = "EPSG:4326"
_X_NAMES, _Y_NAMES = ("x", "lon", "longitude", "lng"), ("y", "lat", "latitude")
_LABEL_NAMES = ("label", "class", "value", "category", "target")
_TIME_NAMES = ("datetime", "date", "time", "timestamp")
_DRIVERS = {b"SQLite format 3\0": "GPKG", b"fgb\x03": "FlatGeobuf"}
_LARGEST = 1 << 30


@dataclass(frozen=True)
class LabelShape:
    """A labelled geometry.

    Attributes:
        geometry: in longitude and latitude, EPSG:4326.
        label: text or number, None where the file has none.
        time: when it holds, None where the file does not say.
        name: as messages show it.
    """

    geometry: BaseGeometry
    label: str | float | None
    time: datetime | None
    name: str


def read_shapes(path: Path, label_field: str | None = None, time_field: str | None = None) -> list[LabelShape]:
    """Read a vector file.

    Args:
        path: the file.
        label_field: column of the label; by default the first of label, class, value, category and target.
        time_field: column of the time; by default the first of datetime, date, time and timestamp.

    Raises:
        InvalidInput: it is of another format, damaged, without coordinate system, or lacks a field that was named.
    """
    if path.stat().st_size > _LARGEST:
        raise InvalidInput(f"{path.name}: larger than 1 GiB; divide it")
    rows = list(_rows(path))
    if not rows:
        raise InvalidLabels(f"{path.name}: has no features")
    columns = {name for _, fields in rows for name in fields}
    label = _column(path, columns, label_field, _LABEL_NAMES)
    time = _column(path, columns, time_field, _TIME_NAMES)
    return [
        LabelShape(geometry, _label(fields.get(label)), _time(path, number, fields.get(time)), f"{path.name}#{number}")
        for number, (geometry, fields) in enumerate(rows)
    ]


def _rows(path: Path) -> Iterator[tuple[BaseGeometry, Mapping[str, Any]]]:
    with path.open("rb") as stream:
        start = stream.read(512)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, driver in _DRIVERS.items():
        if start.startswith(magic):
            return _by_gdal(path, driver)
    if start.startswith(b"PAR1"):
        return _by_arrow(path)
    if text.startswith((b"{", b"[")):
        return _by_json(path)
    if text.startswith(b"<"):
        raise InvalidInput(
            f"{path.name}: an XML file, such as an OGR-VRT, whatever its name says; give GeoJSON, CSV, GeoParquet,"
            " GeoPackage or FlatGeobuf"
        )
    return _by_lines(path)


def _by_json(path: Path) -> Iterator[tuple[BaseGeometry, Mapping[str, Any]]]:
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path.name}: no readable JSON ({error})") from error
    kind = document.get("type") if isinstance(document, dict) else None
    features = [document] if kind == "Feature" else document.get("features") if kind == "FeatureCollection" else None
    if not isinstance(features, list):
        raise InvalidInput(f"{path.name}: a GeoJSON Feature or FeatureCollection is needed, not {kind or 'a list'}")
    crs = _json_crs(path, document)
    for number, feature in enumerate(features):
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        if geometry is None:
            raise InvalidInput(f"{path.name}#{number}: a feature without geometry; remove it")
        try:
            shape = shapely.from_geojson(orjson.dumps(geometry))
        except (shapely.GEOSException, ValueError) as error:
            raise InvalidInput(f"{path.name}#{number}: no geometry ({error})") from error
        yield _on_the_globe(path, number, shape, crs), feature.get("properties") or {}


def _json_crs(path: Path, document: Mapping[str, Any]) -> str:
    named = document.get("crs")
    if not isinstance(named, dict):
        return _WGS84
    name = str((named.get("properties") or {}).get("name"))
    return _WGS84 if "CRS84" in name else _crs(path, name)


def _by_gdal(path: Path, driver: str) -> Iterator[tuple[BaseGeometry, Mapping[str, Any]]]:
    import pyogrio
    from pyogrio import errors

    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) != 1:
            raise InvalidInput(
                f"{path.name}: has {len(layers)} layers with geometries{': ' if layers else ''}{', '.join(layers)};"
                " give a file with one"
            )
        found = pyogrio.read_info(path, layer=layers[0])
        if found["driver"] != driver:
            raise InvalidInput(f"{path.name}: a {found['driver']} file; give GeoPackage or FlatGeobuf")
        meta, _, geometries, fields = pyogrio.raw.read(path, layer=layers[0])
    except (errors.DataSourceError, errors.DataLayerError, errors.FeatureError, errors.GeometryError) as error:
        raise InvalidInput(f"{path.name}: cannot be read as {driver} ({error})") from error
    if found["features"] not in (-1, len(geometries)):  # -1 where the format does not say
        raise InvalidInput(f"{path.name}: says that it has {found['features']} features and has {len(geometries)}")
    crs = _crs(path, meta["crs"])
    for number, geometry in enumerate(shapely.from_wkb(geometries)):
        row = {name: _plain(column[number]) for name, column in zip(meta["fields"], fields, strict=True)}
        yield _on_the_globe(path, number, geometry, crs), row


def _by_arrow(path: Path) -> Iterator[tuple[BaseGeometry, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path.name}: cannot be read as Parquet ({error})") from error
    geo = orjson.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
    column = geo.get("primary_column")
    rows = table.to_pylist()
    if column is None:
        yield from _points(path, rows)
        return
    described = geo["columns"][column]
    if described.get("encoding") != "WKB":
        raise InvalidInput(f"{path.name}: geometries are in {described.get('encoding')}; write them as WKB")
    crs = _WGS84 if described.get("crs") is None else _crs(path, described["crs"])
    for number, row in enumerate(rows):
        yield _on_the_globe(path, number, shapely.from_wkb(row.pop(column)), crs), row


def _by_lines(path: Path) -> Iterator[tuple[BaseGeometry, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
        rows = list(csv.DictReader(io.StringIO(text), dialect=dialect))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path.name}: no CSV in UTF-8 with a header line ({error})") from error
    return _points(path, rows)


def _points(path: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[BaseGeometry, Mapping[str, Any]]]:
    if not rows:
        return
    columns = {str(name).strip().lower(): name for name in rows[0]}
    x = next((columns[name] for name in _X_NAMES if name in columns), None)
    y = next((columns[name] for name in _Y_NAMES if name in columns), None)
    if x is None or y is None:
        raise InvalidInput(f"{path.name}: columns x and y (longitude and latitude, degrees) are needed")
    for number, row in enumerate(rows):
        try:
            longitude, latitude = float(row[x]), float(row[y])
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{path.name}#{number}: {row[x]!r}, {row[y]!r} is no place") from error
        yield _on_the_globe(path, number, shapely.Point(longitude, latitude), _WGS84), row


def _on_the_globe(path: Path, number: int, geometry: BaseGeometry, crs: str) -> BaseGeometry:
    from terralab.datasets.chipping.places import to_crs

    if geometry is None or geometry.is_empty:
        raise InvalidInput(f"{path.name}#{number}: an empty geometry; remove it")
    shape = shapely.force_2d(geometry)
    if crs != _WGS84:
        shape = to_crs(shape, crs, _WGS84)
    west, south, east, north = shape.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput(
            f"{path.name}#{number}: coordinates {west:g}, {south:g} … {east:g}, {north:g} are no longitude and"
            " latitude; name the file's coordinate system in it"
        )
    return shape


def _crs(path: Path, text: Any) -> str:
    try:
        found = CRS.from_user_input(text)
    except CRSError as error:
        raise InvalidInput(f"{path.name}: has no coordinate system that can be read ({text!r})") from error
    code = found.to_epsg()
    return f"EPSG:{code}" if code else found.to_wkt()


def _column(path: Path, columns: set[str], named: str | None, usual: Sequence[str]) -> str:
    """Return the column's name; an empty text where there is none and none was asked for."""
    if named is not None:
        if named not in columns:
            raise InvalidInput(f"{path.name}: has no field {named!r}; its fields are {', '.join(sorted(columns))}")
        return named
    lower = {name.lower(): name for name in sorted(columns)}
    return next((lower[name] for name in usual if name in lower), "")


def _label(value: Any) -> str | float | None:
    if value is None or value == "" or value != value:  # NaN differs from itself
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        return text


def _time(path: Path, number: int, value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise InvalidInput(f"{path.name}#{number}: {value!r} is no date; give YYYY-MM-DD or RFC 3339") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return value
