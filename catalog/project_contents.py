"""What is in a project: its collections, their items, and a search that cannot leave it."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.requests import Reader
from terralab.catalog.errors import InvalidInput
from terralab.catalog.inner_requests import Forwarded
from terralab.catalog.project_serving import (
    CollectionId,
    Limit,
    ProjectId,
    Token,
    documents,
    member,
    no_member,
    seen,
)
from terralab.catalog.search_guards import check_body
from terralab.extensions.item import GEOJSON_TYPE

_EMPTY_PAGE = {"type": "FeatureCollection", "features": [], "numberMatched": 0, "numberReturned": 0}


def project_contents() -> APIRouter:
    """Return the routes, below the STAC app."""
    router = APIRouter(tags=["Projects"])
    _add_collections(router)
    _add_searches(router)
    return router


def _add_collections(router: APIRouter) -> None:
    @router.get("/catalogs/{catalog_id}/collections", name="Collections of a project")
    async def collections(
        catalog_id: ProjectId, request: Request, caller: Reader, limit: Limit = 100, token: Token = 0
    ) -> dict[str, Any]:
        """List the collections in a project."""
        tree, links = await seen(request)
        tree.project(catalog_id)
        names, path = tree.collections.get(catalog_id, []), f"catalogs/{catalog_id}/collections"
        found = await documents(request, names[token : token + limit])
        return {
            "collections": [links.collection(one, catalog_id) for one in found],
            "links": links.page(path, f"catalogs/{catalog_id}", len(names), limit, token),
            "numberMatched": len(names),
            "numberReturned": len(found),
        }

    @router.get("/catalogs/{catalog_id}/collections/{collection_id}", name="Collection of a project")
    async def collection(
        catalog_id: ProjectId, collection_id: CollectionId, request: Request, caller: Reader
    ) -> dict[str, Any]:
        """Show a collection in a project."""
        links = await member(request, catalog_id, collection_id)
        found = await documents(request, [collection_id])
        if not found:
            raise no_member(catalog_id, collection_id)
        return links.collection(found[0], catalog_id)

    @router.get("/catalogs/{catalog_id}/collections/{collection_id}/items", name="Items below a project")
    async def items(catalog_id: ProjectId, collection_id: CollectionId, request: Request, caller: Reader) -> Response:
        """List the items of a collection in a project, as /collections/{collection_id}/items does."""
        await member(request, catalog_id, collection_id)
        return Forwarded(request, f"/collections/{collection_id}/items")

    @router.get("/catalogs/{catalog_id}/collections/{collection_id}/items/{item_id}", name="Item below a project")
    async def item(
        catalog_id: ProjectId, collection_id: CollectionId, item_id: str, request: Request, caller: Reader
    ) -> Response:
        """Show an item of a collection in a project."""
        await member(request, catalog_id, collection_id)
        return Forwarded(request, f"/collections/{collection_id}/items/{item_id}")


def _add_searches(router: APIRouter) -> None:
    @router.get("/catalogs/{catalog_id}/search", name="Search a project")
    async def search(catalog_id: ProjectId, request: Request, caller: Reader) -> Response:
        """Search the items of a project and of all projects in it; takes what /search takes."""
        given = dict(request.query_params)
        asked = [name for name in given.pop("collections", "").split(",") if name]
        among = await _searched(request, catalog_id, asked or None)
        if not among:
            return await _nothing(request, catalog_id)
        return Forwarded(request, "/search", {**given, "collections": ",".join(among)})

    @router.post("/catalogs/{catalog_id}/search", name="Search a project by POST", dependencies=[Depends(check_body)])
    async def post_search(catalog_id: ProjectId, request: Request, caller: Reader) -> Response:
        """Search the items of a project and of all projects in it; takes what POST /search takes."""
        body = await request.json()
        asked = body.get("collections")
        if asked is not None and not isinstance(asked, list):
            raise InvalidInput("collections must be a list of ids")
        among = await _searched(request, catalog_id, asked or None)
        if not among:
            return await _nothing(request, catalog_id)
        return Forwarded(request, "/search", {}, body={**body, "collections": among})


async def _searched(request: Request, project: str, asked: Sequence[Any] | None) -> list[str]:
    """Return the collections that a search of a project goes through; those of `asked` alone where that is not None."""
    tree, _ = await seen(request)
    tree.project(project)
    names = tree.all_collections(project)
    return names if asked is None else [name for name in names if name in asked]


async def _nothing(request: Request, project: str) -> Response:
    _, links = await seen(request)
    found = {**_EMPTY_PAGE, "links": [links.link("root", ""), links.link("self", f"catalogs/{project}/search")]}
    return JSONResponse(found, media_type=GEOJSON_TYPE)
