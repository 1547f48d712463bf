"""What searches may filter and sort by: /queryables and /sortables, of everything or of one collection.

`queryables.json` describes the fields of the profile, each with the kinds of objects that have it. A collection shows
the fields of its kind; one of another kind shows all of them. Further properties may be asked for as well.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import attr
from fastapi import APIRouter, FastAPI, Request
from stac_fastapi.api.models import JSONSchemaResponse
from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from stac_fastapi.extensions.sort import SortConformanceClasses
from stac_fastapi.types.extension import ApiExtension

from terralab.catalog.access.requests import Reader, principal_of
from terralab.catalog.addresses import web_base
from terralab.catalog.errors import UnknownName
from terralab.catalog.rendering import STAC_PATH
from terralab.catalog.search_guards import read_connection
from terralab.extensions.lab import Kind

SORTABLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SORTABLE_TYPES = ("string", "number", "integer")
_COLLECTION_SORTABLES = ("id", "title", "description")
# 1.1.0 of the extension, which stac-fastapi names, adds sortables to 1.0.0, and pystac-client looks for 1.0.
_SORT_1_0 = (
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
)
_KIND = "SELECT content->>'lab:kind' AS kind FROM collections WHERE id = $1"


@attr.s
class QueryablesClient(AsyncBaseFiltersClient):
    """Answers /queryables in place of pgstac, which knows nothing of kinds."""

    async def get_queryables(self, request: Request, collection_id: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return the JSON Schema of what a filter may name.

        Raises:
            UnknownName: there is no such collection that the caller may read.
        """
        kind = None if collection_id is None else await kind_of_collection(request, collection_id)
        return _schema(request, "queryables", queryables_of(kind), collection_id)


@attr.s
class SortablesExtension(ApiExtension):
    """The routes that say what a search may be sorted by."""

    conformance_classes: list[str] = attr.ib(
        factory=lambda: [
            SortConformanceClasses.ITEM_SEARCH_SORTABLES,
            SortConformanceClasses.FEATURES_SORTABLES,
            SortConformanceClasses.COLLECTION_SEARCH_SORTABLES,
            *_SORT_1_0,
        ]
    )

    def register(self, app: FastAPI) -> None:
        """Add the routes to the STAC app."""
        router = APIRouter(tags=["Sort Extension"], default_response_class=JSONSchemaResponse)

        @router.get("/sortables", name="Sortables")
        async def sortables(request: Request, caller: Reader) -> dict[str, Any]:
            """Return the JSON Schema of what a search of items may be sorted by."""
            return _schema(request, "sortables", sortables_of(None))

        @router.get("/collections/{collection_id}/sortables", name="Sortables of a collection")
        async def collection_sortables(collection_id: str, request: Request, caller: Reader) -> dict[str, Any]:
            """Return the same for the items of a collection."""
            kind = await kind_of_collection(request, collection_id)
            return _schema(request, "sortables", sortables_of(kind), collection_id)

        @router.get("/collections-sortables", name="Sortables of collections")
        async def collections_sortables(request: Request, caller: Reader) -> dict[str, Any]:
            """Return the same for a search of collections."""
            fields = {name: _fields()[name] for name in _COLLECTION_SORTABLES}
            return _schema(request, "collections-sortables", _described(fields))

        app.include_router(router)


def queryables_of(kind: str | None) -> dict[str, Any]:
    """Return the schemas of the fields of a kind by name; of all fields for None and for a kind that is not ours."""
    ours = kind in {known.value for known in Kind}
    return _described({name: one for name, one in _fields().items() if not ours or kind in one.get("kinds", [kind])})


def sortables_of(kind: str | None) -> dict[str, Any]:
    """Return those of `queryables_of` that have an order."""
    return {name: one for name, one in queryables_of(kind).items() if one.get("type") in _SORTABLE_TYPES}


def sortables_link(base: str, collection: str | None = None) -> dict[str, str]:
    """Return the link of a collection, or of the landing page, to what it can be sorted by."""
    path = "" if collection is None else f"/collections/{collection}"
    href = f"{base}{STAC_PATH}{path}/sortables"
    return {"rel": SORTABLES_REL, "type": "application/schema+json", "title": "Sortables", "href": href}


async def kind_of_collection(request: Request, collection: str) -> str | None:
    """Return the `lab:kind` of a collection.

    Raises:
        UnknownName: there is none that the caller may read.
    """
    row = None
    if collection not in await request.app.state.collection_access.hidden_from(principal_of(request)):
        async with read_connection(request) as connection:
            row = await connection.fetchrow(_KIND, collection)
    if row is None:
        raise UnknownName(f"Collection {collection} does not exist.")
    kind: str | None = row["kind"]
    return kind


@cache
def _fields() -> dict[str, dict[str, Any]]:
    fields: dict[str, dict[str, Any]] = json.loads(files("terralab.catalog").joinpath("queryables.json").read_text())
    return fields


def _described(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {key: value for key, value in one.items() if key != "kinds"} for name, one in fields.items()}


def _schema(request: Request, name: str, properties: dict[str, Any], collection: str | None = None) -> dict[str, Any]:
    path = "" if collection is None else f"/collections/{collection}"
    return {
        "$schema": _DIALECT,
        "$id": f"{web_base(request)}{STAC_PATH}{path}/{name}",
        "type": "object",
        "title": f"{name.capitalize()} of {collection or 'the catalog'}",
        "properties": properties,
        "additionalProperties": True,
    }
