"""Croissant 1.1 with GeoCroissant 1.0: JSON-LD that says what a dataset holds, for programs that know no STAC.

Parts of such documents, from what STAC says of a collection: who made it, where and when it is of, which bands it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MEDIA_TYPE = 'application/ld+json; profile="http://mlcommons.org/croissant/1.1"'
CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/geo/1.0")
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "geocr": "http://mlcommons.org/croissant/geo/",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
SPLITS_RECORDS, CLASSES_RECORDS = "splits", "classes"
_SPLIT_TYPES = {"train": "cr:TrainingSplit", "validate": "cr:ValidationSplit", "test": "cr:TestSplit"}
_MICRO_TO_NANO = 1000
_NOT_SPDX = ("other", "proprietary", "various")


def dataset_head(
    collection: Mapping[str, Any], *, name: str, url: str, version: str | None, published: str | None
) -> dict[str, Any]:
    """Return the members of a document that say what, who, where and when; members that nobody knows are left out.

    Args:
        collection: STAC collection.
        name: of the dataset.
        url: of its page.
        version: semantic version, where it has one.
        published: RFC 3339 time, where it is known.
    """
    boxes = collection.get("extent", {}).get("spatial", {}).get("bbox") or []
    intervals = collection.get("extent", {}).get("temporal", {}).get("interval") or []
    gsd = (collection.get("summaries") or {}).get("gsd") or []
    codes = (collection.get("summaries") or {}).get("proj:code") or []
    known: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "@id": collection.get("id") or name,
        "conformsTo": list(CONFORMS_TO),
        "name": name,
        "description": collection.get("description"),
        "url": url,
        "version": version,
        "datePublished": published or collection.get("created"),
        "dateModified": collection.get("updated"),
        "license": license_of(collection),
        "keywords": list(collection.get("keywords") or []),
        "creator": _organizations(collection, ("producer", "licensor")),
        "publisher": _organizations(collection, ("host",)),
        "citeAs": collection.get("sci:citation") or cite_as(name, version, url),
        "sameAs": f"https://doi.org/{collection['sci:doi']}" if collection.get("sci:doi") else None,
        "spatialCoverage": spatial_coverage(boxes[0]) if boxes else None,
        "temporalCoverage": temporal_coverage(intervals[0]) if intervals else None,
        "geocr:coordinateReferenceSystem": codes[0] if len(codes) == 1 else None,
        "geocr:spatialResolution": metres(gsd[0]) if len(gsd) == 1 else None,
    }
    return {key: value for key, value in known.items() if value not in (None, [], "")}


def license_of(collection: Mapping[str, Any]) -> str | None:
    """Return the address of a license: of its SPDX identifier, or where the collection links to it."""
    written = str(collection.get("license") or "")
    if written and written not in _NOT_SPDX:
        return f"https://spdx.org/licenses/{written}.html"
    links = [str(link["href"]) for link in collection.get("links") or () if link.get("rel") == "license"]
    return links[0] if links else None


def cite_as(name: str, version: str | None, url: str) -> str:
    """Return a BibTeX entry."""
    key = "".join(letter for letter in name if letter.isalnum())
    numbered = f", version = {{{version}}}" if version else ""
    return f"@misc{{{key}, title = {{{name}}}{numbered}, url = {{{url}}}}}"


def spatial_coverage(bbox: Sequence[float]) -> dict[str, Any]:
    """Return a place from west, south, east and north; schema.org wants latitudes first."""
    west, south, east, north = (bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1])
    return {"@type": "Place", "geo": {"@type": "GeoShape", "box": f"{south} {west} {north} {east}"}}


def temporal_coverage(interval: Sequence[str | None]) -> str:
    """Return an ISO 8601 interval, `..` at an open end."""
    start, end = interval[0], interval[-1]
    return f"{start or '..'}/{end or '..'}"


def metres(value: float) -> dict[str, Any]:
    """Return a length."""
    return {"@type": "QuantitativeValue", "value": value, "unitText": "m"}


def band_members(bands: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what GeoCroissant says of the bands of a picture."""
    spectral = []
    for band in bands:
        center, width = band.get("eo:center_wavelength"), band.get("eo:full_width_half_max")
        if center is None:
            continue
        entry: dict[str, Any] = {
            "@type": "geocr:SpectralBand",
            "name": band["name"],
            "geocr:centerWavelength": _nm(center),
        }
        spectral.append(entry if width is None else {**entry, "geocr:bandwidth": _nm(width)})
    configured = {
        "@type": "geocr:BandConfiguration",
        "geocr:totalBands": len(bands),
        "geocr:bandNameList": [str(band["name"]) for band in bands],
    }
    return {
        "geocr:bandConfiguration": configured,
        **({"geocr:spectralBandMetadata": spectral} if spectral else {}),
    }


def record_set(name: str, description: str, fields: Sequence[Mapping[str, Any]], **members: Any) -> dict[str, Any]:
    """Return a set of records; ids of fields are `<name>/<field>`."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **members,
        "field": list(fields),
    }


def field(records: str, name: str, kind: str | Sequence[str], description: str = "", **members: Any) -> dict[str, Any]:
    """Return a field of a set of records."""
    told = {"description": description} if description else {}
    return {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name, **told, "dataType": kind, **members}


def column_of(file: str, column: str) -> dict[str, Any]:
    """Return the source of a field that is a column of a table."""
    return {"fileObject": {"@id": file}, "extract": {"column": column}}


def json_path_of(file: str, path: str) -> dict[str, Any]:
    """Return the source of a field that is picked out of a JSON file."""
    return {"fileObject": {"@id": file}, "extract": {"jsonPath": path}}


def split_records() -> dict[str, Any]:
    """Return the splits as records, to which chips refer."""
    fields = [field(SPLITS_RECORDS, "name", "sc:Text"), field(SPLITS_RECORDS, "url", "sc:URL")]
    data = [
        {f"{SPLITS_RECORDS}/name": name, f"{SPLITS_RECORDS}/url": kind.replace("cr:", CONTEXT["cr"])}
        for name, kind in _SPLIT_TYPES.items()
    ]
    key = {"@id": f"{SPLITS_RECORDS}/name"}
    return record_set(SPLITS_RECORDS, "Splits of the dataset.", fields, dataType="cr:Split", key=key, data=data)


def class_records(classes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the classes as records.

    Args:
        classes: entries of `classification:classes`.
    """
    fields = [
        field(CLASSES_RECORDS, "value", "sc:Integer", "Value of the class in masks."),
        field(CLASSES_RECORDS, "name", "sc:Text"),
        field(CLASSES_RECORDS, "title", "sc:Text"),
    ]
    data = [
        {
            f"{CLASSES_RECORDS}/value": entry["value"],
            f"{CLASSES_RECORDS}/name": entry["name"],
            f"{CLASSES_RECORDS}/title": entry.get("title") or entry["name"],
        }
        for entry in classes
    ]
    key = {"@id": f"{CLASSES_RECORDS}/name"}
    return record_set(CLASSES_RECORDS, "Classes of the labels.", fields, dataType="sc:Enumeration", key=key, data=data)


def _nm(micrometres: float) -> dict[str, Any]:
    return {"@type": "QuantitativeValue", "value": round(micrometres * _MICRO_TO_NANO, 3), "unitText": "nm"}


def _organizations(collection: Mapping[str, Any], roles: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"@type": "Organization", "name": entry["name"], **({"url": entry["url"]} if entry.get("url") else {})}
        for entry in collection.get("providers") or ()
        if set(entry.get("roles") or ()) & set(roles)
    ]
