"""What the OpenAPI document says of writes: bodies, headers and answers."""

from typing import Any

from starlette.responses import Response

from terralab.catalog.problems import PROBLEM_TYPE
from terralab.catalog.transactions.answer import JSON_TYPE
from terralab.catalog.transactions.idempotency import HEADER
from terralab.catalog.transactions.patches import JSON_PATCH_TYPE, MERGE_PATCH_TYPE
from terralab.extensions.item import GEOJSON_TYPE
from terralab.extensions.validation import STORED_ID_PATTERN

Schema = dict[str, Any]
_ID: Schema = {"type": "string", "pattern": STORED_ID_PATTERN}
_POSITION: Schema = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
_LINK: Schema = {
    "type": "object",
    "required": ["rel", "href"],
    "properties": {"rel": {"type": "string", "minLength": 1}, "href": {"type": "string", "minLength": 1}},
}
_ASSET: Schema = {
    "type": "object",
    "required": ["href"],
    "properties": {
        "href": {"type": "string", "minLength": 1},
        "type": {"type": "string"},
        "title": {"type": "string"},
        "roles": {"type": "array", "items": {"type": "string"}},
    },
}
_ASSETS: Schema = {"type": "object", "additionalProperties": _ASSET}
_LINKS: Schema = {"type": "array", "items": _LINK}
_EXTENSIONS: Schema = {"type": "array", "items": {"type": "string", "format": "uri"}, "uniqueItems": True}
ITEM: Schema = {
    "title": "STAC item",
    "type": "object",
    "required": ["type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets"],
    "properties": {
        "type": {"const": "Feature"},
        "stac_version": {"enum": ["1.1.0", "1.0.0"]},
        "stac_extensions": _EXTENSIONS,
        "id": _ID,
        "collection": _ID,
        "geometry": {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"enum": ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"]},
                "coordinates": {"type": "array"},
            },
        },
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        "properties": {
            "type": "object",
            "required": ["datetime"],
            "properties": {"datetime": {"type": ["string", "null"], "format": "date-time"}},
        },
        "links": _LINKS,
        "assets": _ASSETS,
    },
}
COLLECTION: Schema = {
    "title": "STAC collection",
    "type": "object",
    "required": ["type", "stac_version", "id", "description", "license", "extent", "links"],
    "properties": {
        "type": {"const": "Collection"},
        "stac_version": {"enum": ["1.1.0", "1.0.0"]},
        "stac_extensions": _EXTENSIONS,
        "id": _ID,
        "title": {"type": "string"},
        "description": {"type": "string", "minLength": 1},
        "license": {"type": "string", "minLength": 1},
        "extent": {
            "type": "object",
            "required": ["spatial", "temporal"],
            "properties": {
                "spatial": {
                    "type": "object",
                    "required": ["bbox"],
                    "properties": {
                        "bbox": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
                        }
                    },
                },
                "temporal": {
                    "type": "object",
                    "required": ["interval"],
                    "properties": {
                        "interval": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "array",
                                "items": {"type": ["string", "null"], "format": "date-time"},
                                "minItems": 2,
                                "maxItems": 2,
                            },
                        }
                    },
                },
            },
        },
        "summaries": {"type": "object"},
        "links": _LINKS,
        "assets": _ASSETS,
    },
}
EXAMPLE_ITEM: Schema = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "id": "field-1",
    "geometry": {"type": "Polygon", "coordinates": [[[10, 50], [11, 50], [11, 51], [10, 51], [10, 50]]]},
    "bbox": [10, 50, 11, 51],
    "properties": {"datetime": "2026-05-01T10:00:00Z", "title": "A field"},
    "links": [],
    "assets": {"image": {"href": "https://example.org/field-1.tif", "type": "image/tiff", "roles": ["data"]}},
}
EXAMPLE_COLLECTION: Schema = {
    "type": "Collection",
    "stac_version": "1.1.0",
    "id": "fields",
    "description": "Fields near the river",
    "license": "other",
    "extent": {
        "spatial": {"bbox": [[10, 50, 11, 51]]},
        "temporal": {"interval": [["2026-05-01T10:00:00Z", None]]},
    },
    "links": [],
}
ITEM["example"], COLLECTION["example"] = EXAMPLE_ITEM, EXAMPLE_COLLECTION
ITEMS: Schema = {
    "title": "STAC items",
    "type": "object",
    "required": ["type", "features"],
    "properties": {"type": {"const": "FeatureCollection"}, "features": {"type": "array", "items": ITEM}},
    "example": {"type": "FeatureCollection", "features": [EXAMPLE_ITEM]},
}
BULK_ITEMS: Schema = {
    "title": "Items by id",
    "type": "object",
    "required": ["items"],
    "properties": {
        "items": {"type": "object", "additionalProperties": ITEM},
        "method": {"enum": ["insert", "upsert"], "default": "insert"},
    },
    "example": {"items": {"field-1": EXAMPLE_ITEM}, "method": "upsert"},
}
MERGE_PATCH: Schema = {
    "title": "JSON Merge Patch (RFC 7396)",
    "type": "object",
    "example": {"properties": {"title": "Another", "gsd": None}},
}
JSON_PATCH: Schema = {
    "title": "JSON Patch (RFC 6902)",
    "type": "array",
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {},
        },
    },
    "example": [{"op": "add", "path": "/properties/title", "value": "Another"}],
}
_MEANINGS = {
    400: "The request is malformed.",
    401: "The caller must say who it is.",
    403: "The caller may not do that.",
    404: "There is none that the caller may read.",
    409: "There is one of that id already.",
    412: "It is no longer what the caller has seen.",
    413: "The body, or the batch, is too large.",
    415: "The body is of a media type that is not taken here.",
    422: "The document is not valid, or the idempotency key came with another request.",
    428: "The request must say by If-Match what the caller has seen.",
    503: "The database does not answer in time; try again after `Retry-After` seconds.",
}
_PROBLEM: Schema = {
    "title": "Problem (RFC 9457)",
    "type": "object",
    "required": ["title", "status", "code", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "problems": {"type": "array", "items": {"type": "object"}},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


_ALWAYS = (400, 401, 403, 503)


def create(*schemas: Schema) -> dict[str, Any]:
    """Return the description of a route that creates what is one of `schemas`, as arguments of FastAPI."""
    refused = _refusals(404, 409, 413, 415, 422)
    refused[200] = {"description": "Written; some were there already, or are listed as bad."}
    return _route(201, "Created; `Location` is the address of one.", refused, _headers(False), _json_body(*schemas))


def replace(schema: Schema) -> dict[str, Any]:
    """Return the description of a route that replaces a document."""
    refused = _refusals(404, 412, 413, 415, 422, 428)
    return _route(200, "The document as it is now.", refused, _headers(True), _json_body(schema))


def patch() -> dict[str, Any]:
    """Return the description of a route that changes a part of a document."""
    schemas = {MERGE_PATCH_TYPE: MERGE_PATCH, JSON_PATCH_TYPE: JSON_PATCH, JSON_TYPE: MERGE_PATCH}
    content = {media_type: {"schema": schema} for media_type, schema in schemas.items()}
    refused = _refusals(404, 412, 413, 415, 422, 428)
    return _route(200, "The document as it is now.", refused, _headers(True), {"required": True, "content": content})


def delete() -> dict[str, Any]:
    """Return the description of a route that deletes a document."""
    return _route(204, "It is gone.", _refusals(404, 412, 428), _headers(True), None)


def _route(
    status: int, meaning: str, refused: dict[int | str, Any], headers: list[Schema], body: Schema | None
) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": headers}
    if body is not None:
        extra["requestBody"] = body
    return {
        "status_code": status,
        "response_class": Response,
        "responses": {status: {"description": meaning}, **refused},
        "openapi_extra": extra,
    }


def _json_body(*schemas: Schema) -> Schema:
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": list(schemas)}
    return {
        "required": True,
        "content": {media_type: {"schema": schema} for media_type in (JSON_TYPE, GEOJSON_TYPE)},
    }


def _headers(conditional: bool) -> list[Schema]:
    """Return the headers of a write; a `conditional` one is of what may be there already."""
    headers = {HEADER: "The same key and request again gets the same answer, and is done once; kept for a day."}
    if conditional:
        headers["If-Match"] = "Entity tags in quotes that it must have one of, or `*`."
        headers["If-None-Match"] = "`*`: nothing is to be there yet."
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    ]


def _refusals(*statuses: int) -> dict[int | str, Any]:
    return {
        status: {"description": _MEANINGS[status], "content": {PROBLEM_TYPE: {"schema": _PROBLEM}}}
        for status in sorted((*_ALWAYS, *statuses))
    }
