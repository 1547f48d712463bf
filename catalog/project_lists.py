"""Reading projects: lists of them, each by itself, and its children."""

from collections.abc import Sequence
from typing import Any

import anyio
from fastapi import APIRouter, Request

from terralab.catalog.access.requests import Reader
from terralab.catalog.project_links import ProjectLinks
from terralab.catalog.project_serving import OF_A_PROJECT, ChildType, Limit, ProjectId, Token, documents, seen


def project_lists() -> APIRouter:
    """Return the routes, below the STAC app."""
    router = APIRouter(tags=["Projects"])

    @router.get("/catalogs", name="Projects")
    async def projects(request: Request, caller: Reader, limit: Limit = 100, token: Token = 0) -> dict[str, Any]:
        """List all projects."""
        tree, links = await seen(request)
        return _catalogs_page(list(tree.projects), links, "catalogs", None, limit, token)

    @router.get("/catalogs/{catalog_id}", name="Project")
    async def project(catalog_id: ProjectId, request: Request, caller: Reader) -> dict[str, Any]:
        """Show a project as a STAC catalog."""
        tree, links = await seen(request)
        return links.project(tree.project(catalog_id)["id"], OF_A_PROJECT)

    @router.get("/catalogs/{catalog_id}/conformance", name="Conformance of a project")
    async def conformance(catalog_id: ProjectId, request: Request, caller: Reader) -> dict[str, Any]:
        """Say what the part of the API below a project conforms to."""
        (await seen(request))[0].project(catalog_id)
        return {"conformsTo": sorted(OF_A_PROJECT)}

    @router.get("/catalogs/{catalog_id}/catalogs", name="Projects in a project")
    async def inner(
        catalog_id: ProjectId, request: Request, caller: Reader, limit: Limit = 100, token: Token = 0
    ) -> dict[str, Any]:
        """List the projects in a project."""
        tree, links = await seen(request)
        tree.project(catalog_id)
        ids, path = tree.children.get(catalog_id, []), f"catalogs/{catalog_id}"
        return _catalogs_page(ids, links, f"{path}/catalogs", path, limit, token)

    @router.get("/children", name="Children")
    async def root_children(
        request: Request, caller: Reader, type: ChildType = None, limit: Limit = 100, token: Token = 0
    ) -> dict[str, Any]:
        """List the projects that are in no other, and all collections."""
        tree, links = await seen(request)
        names = await anyio.to_thread.run_sync(request.app.state.projects.collection_names)
        hidden = await request.app.state.collection_access.hidden_from(caller)
        collections = [name for name in names if name not in hidden]
        return await _children(request, links, tree.top(), collections, None, type, limit, token)

    @router.get("/catalogs/{catalog_id}/children", name="Children of a project")
    async def children(
        catalog_id: ProjectId,
        request: Request,
        caller: Reader,
        type: ChildType = None,
        limit: Limit = 100,
        token: Token = 0,
    ) -> dict[str, Any]:
        """List the projects and the collections in a project."""
        tree, links = await seen(request)
        tree.project(catalog_id)
        inner, collections = tree.children.get(catalog_id, []), tree.collections.get(catalog_id, [])
        return await _children(request, links, inner, collections, catalog_id, type, limit, token)

    return router


def _catalogs_page(
    ids: Sequence[str], links: ProjectLinks, path: str, parent: str | None, limit: int, start: int
) -> dict[str, Any]:
    shown = ids[start : start + limit]
    return {
        "catalogs": [links.project(id, OF_A_PROJECT) for id in shown],
        "links": links.page(path, parent, len(ids), limit, start),
        "numberMatched": len(ids),
        "numberReturned": len(shown),
    }


async def _children(
    request: Request,
    links: ProjectLinks,
    projects: Sequence[str],
    collections: Sequence[str],
    project: str | None,
    type: str | None,
    limit: int,
    start: int,
) -> dict[str, Any]:
    """Return a page of children: the projects first, then the collections."""
    inner = list(projects) if type != "Collection" else []
    names = list(collections) if type != "Catalog" else []
    total = len(inner) + len(names)
    shown = [links.project(id, OF_A_PROJECT) for id in inner[start : start + limit]]
    first = max(0, start - len(inner))
    found = await documents(request, names[first : first + limit - len(shown)] if start + limit > len(inner) else [])
    shown += found if project is None else [links.collection(one, project) for one in found]
    parent = None if project is None else f"catalogs/{project}"
    path = "children" if parent is None else f"{parent}/children"
    kept = f"{path}?type={type}" if type else path
    return {
        "children": shown,
        "links": links.page(kept, parent, total, limit, start),
        "numberMatched": total,
        "numberReturned": len(shown),
    }
