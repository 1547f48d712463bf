"""`GET /collections/{collection_id}/croissant`: a collection as Croissant JSON-LD, as far as the caller may read it."""

from typing import Annotated, Any

import attr
import orjson
from fastapi import APIRouter, FastAPI, Path, Query, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.responses import Response

from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Reader
from terralab.catalog.addresses import web_base
from terralab.catalog.croissant import croissant_of
from terralab.catalog.errors import UnknownName
from terralab.catalog.rendering import STAC_PATH
from terralab.catalog.workspace import Workspace
from terralab.extensions.croissant import MEDIA_TYPE
from terralab.extensions.dataset import DATASETS_COLLECTION
from terralab.extensions.lab import DATASET_PROP, KIND_PROP, Kind

_JSON_LD = "application/ld+json"
Collection = Annotated[str, Path(description="Id of the collection")]
Version = Annotated[str | None, Query(description="version of the dataset, such as `1.0.0`; the latest by default")]


@attr.s
class CroissantExtension(ApiExtension):
    """The extension, for a `StacApi`.

    Args:
        workspace: the lab.
    """

    workspace: Workspace = attr.ib()
    conformance_classes: list[str] = attr.ib(factory=list)
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the route to the STAC app."""
        router, workspace = APIRouter(tags=["Croissant"]), self.workspace

        @router.get(
            "/collections/{collection_id}/croissant",
            name="Croissant of a collection",
            response_class=Response,
            responses={200: {"content": {_JSON_LD: {}}}},
        )
        def croissant(collection_id: Collection, request: Request, caller: Reader, version: Version = None) -> Response:
            """Describe a collection as Croissant 1.1 with GeoCroissant 1.0."""
            return _answer(workspace, collection_id, version, caller, web_base(request))

        app.include_router(router)


def croissant_link(base: str, collection: str) -> dict[str, str]:
    """Return the link of a collection to its description; `base` is the address of the web process."""
    href = f"{base}{STAC_PATH}/collections/{collection}/croissant"
    return {"rel": "describedby", "type": _JSON_LD, "title": "Croissant", "href": href}


def _answer(workspace: Workspace, id: str, version: str | None, caller: Principal, base: str) -> Response:
    hidden = workspace.views.collections.hidden_from(caller)
    found = None if id in hidden else workspace.catalog.find_collection(id)
    if found is None:
        raise UnknownName(f"Collection {id} does not exist.")
    item = _version(workspace, found, version, caller)
    served = workspace.views.of(caller).addressed(item, base) if item else None
    document = croissant_of(found, served, base)
    # Signed addresses are over before the description changes: no cache may keep them.
    caching = {} if served is item else {"Cache-Control": "no-store"}
    return Response(orjson.dumps(document), media_type=MEDIA_TYPE, headers=caching)


def _version(
    workspace: Workspace, collection: dict[str, Any], wanted: str | None, caller: Principal
) -> dict[str, Any] | None:
    """Return a version of the chips of a collection: the latest by default; None where there is none.

    Raises:
        UnknownName: there is no such version that the caller may read.
    """
    dataset = collection.get(DATASET_PROP)
    items: list[dict[str, Any]] = []
    if collection.get(KIND_PROP) == Kind.CHIPS and dataset:
        named = {"op": "=", "args": [{"property": DATASET_PROP}, dataset]}
        items = list(workspace.views.of(caller).search(collections=[DATASETS_COLLECTION], filter=named))
    known = {str(item["properties"]["version"]): item for item in items}
    if wanted is not None:
        number = wanted.removeprefix("v")
        if number not in known:
            raise UnknownName.of(f"version of {collection['id']!r}", wanted, sorted(known))
        return known[number]
    return known[max(known, key=_numbers)] if known else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
