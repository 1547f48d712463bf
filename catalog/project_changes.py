"""Changing projects: making, replacing and deleting them, and putting projects and collections into them."""

from collections.abc import Callable

import anyio
from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.requests import Writer
from terralab.catalog.errors import UnknownName
from terralab.catalog.inner_requests import Forwarded
from terralab.catalog.problems import PROBLEM_TYPE
from terralab.catalog.project_serving import OF_A_PROJECT, CollectionId, InnerId, ProjectId, documents, member, seen
from terralab.catalog.projects import Projects
from terralab.catalog.search_guards import check_body

_JSON_BODY = [Depends(check_body)]


def project_changes() -> APIRouter:
    """Return the routes, below the STAC app."""
    router = APIRouter(tags=["Projects"])
    _add_projects(router)
    _add_members(router)
    _add_collections(router)
    return router


def _add_projects(router: APIRouter) -> None:
    @router.post("/catalogs", name="Create a project", status_code=201, dependencies=_JSON_BODY)
    async def create(request: Request, caller: Writer) -> Response:
        """Create a project, given as a STAC catalog."""
        body = await request.json()
        await _change(request, lambda it: it.create(caller, body, None, _request_id(request)))
        return await _shown(request, body["id"], 201)

    @router.put("/catalogs/{catalog_id}", name="Replace a project", dependencies=_JSON_BODY)
    async def replace(catalog_id: ProjectId, request: Request, caller: Writer) -> Response:
        """Replace what a project says of itself; what is in it stays."""
        body = await request.json()
        await _change(request, lambda it: it.replace(caller, catalog_id, body, _request_id(request)))
        return await _shown(request, catalog_id)

    @router.delete("/catalogs/{catalog_id}", name="Delete a project", status_code=204)
    async def delete(catalog_id: ProjectId, request: Request, caller: Writer) -> Response:
        """Delete a project; what is in it stays."""
        await _change(request, lambda it: it.delete(caller, catalog_id, _request_id(request)))
        return Response(status_code=204)


def _add_members(router: APIRouter) -> None:
    @router.post("/catalogs/{catalog_id}/catalogs", name="Put a project into another", dependencies=_JSON_BODY)
    async def put_in(catalog_id: ProjectId, request: Request, caller: Writer) -> Response:
        """Put a project, given by its id alone, into another; or create one in it, given as a STAC catalog."""
        body = await request.json()
        if body.keys() == {"id"}:
            await _change(request, lambda it: it.put_in(caller, catalog_id, str(body["id"])))
            return await _shown(request, str(body["id"]))
        await _change(request, lambda it: it.create(caller, body, catalog_id, _request_id(request)))
        return await _shown(request, body["id"], 201)

    @router.delete("/catalogs/{catalog_id}/catalogs/{inner_id}", name="Take a project out of another", status_code=204)
    async def take_out(catalog_id: ProjectId, inner_id: InnerId, request: Request, caller: Writer) -> Response:
        """Take a project out of another; it stays."""
        await _change(request, lambda it: it.take_out(caller, catalog_id, inner_id))
        return Response(status_code=204)


def _add_collections(router: APIRouter) -> None:
    @router.post("/catalogs/{catalog_id}/collections", name="Put a collection into a project", dependencies=_JSON_BODY)
    async def add(catalog_id: ProjectId, request: Request, caller: Writer) -> Response:
        """Put a collection, given by its id alone, into a project; or create one in it, given as a STAC collection."""
        body = await request.json()
        name = str(body.get("id"))
        await _change(request, lambda it: it.check_writable(caller, catalog_id))
        status = 200
        if body.keys() == {"id"}:
            if not await documents(request, [name]):
                raise UnknownName(f"Collection {name} does not exist.")
        else:
            status, answer = await Forwarded(request, "/collections", {}, body=body).read()
            if status != 201:
                return Response(answer, status, media_type=PROBLEM_TYPE)
        await _change(request, lambda it: it.add_collection(caller, catalog_id, name))
        links = await member(request, catalog_id, name)
        return JSONResponse(links.collection((await documents(request, [name]))[0], catalog_id), status)

    @router.put(
        "/catalogs/{catalog_id}/collections/{collection_id}", name="Replace a collection", dependencies=_JSON_BODY
    )
    async def replace_collection(
        catalog_id: ProjectId, collection_id: CollectionId, request: Request, caller: Writer
    ) -> Response:
        """Replace a collection in a project, as PUT /collections/{collection_id} does."""
        await member(request, catalog_id, collection_id)
        return Forwarded(request, f"/collections/{collection_id}", body=await request.json())

    @router.delete(
        "/catalogs/{catalog_id}/collections/{collection_id}",
        name="Take a collection out of a project",
        status_code=204,
    )
    async def remove(catalog_id: ProjectId, collection_id: CollectionId, request: Request, caller: Writer) -> Response:
        """Take a collection out of a project; it stays."""
        hidden = await request.app.state.collection_access.hidden_from(caller)
        await _change(request, lambda it: it.remove_collection(caller, catalog_id, collection_id, hidden))
        return Response(status_code=204)


async def _change(request: Request, change: Callable[[Projects], None]) -> None:
    await anyio.to_thread.run_sync(change, request.app.state.projects)


async def _shown(request: Request, project: str, status: int = 200) -> Response:
    _, links = await seen(request)
    headers = {"Location": links.link("self", f"catalogs/{project}")["href"]} if status == 201 else {}
    return JSONResponse(links.project(project, OF_A_PROJECT), status, headers)


def _request_id(request: Request) -> str | None:
    return request.scope.get("terralab.request_id")
