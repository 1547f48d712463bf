"""What the routes of projects have in common."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import anyio
import orjson
from fastapi import Path, Query, Request

from terralab.catalog.access.requests import principal_of
from terralab.catalog.addresses import web_base
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.inner_requests import Forwarded
from terralab.catalog.project_links import ProjectLinks
from terralab.catalog.project_tree import ProjectTree
from terralab.catalog.rendering import STAC_PATH

_API = "https://api.stacspec.org/v1.0.0"
_CATALOGS = f"{_API}-rc.2/multi-tenant-catalogs"
_CHILDREN = (f"{_API}/children", f"{_API}/children#type-filter")
OF_A_PROJECT = (f"{_API}/core", f"{_API}/item-search", f"{_CATALOGS}/search", *_CHILDREN)
CONFORMANCE = (_CATALOGS, f"{_CATALOGS}/search", f"{_CATALOGS}/transaction", *_CHILDREN)

ProjectId = Annotated[str, Path(description="Id of the project.")]
InnerId = Annotated[str, Path(description="Id of a project in it.")]
CollectionId = Annotated[str, Path(description="Id of a collection in it.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
Token = Annotated[int, Query(ge=0, le=10**9, description="How many to leave out; see the link to the next page.")]
ChildType = Annotated[Literal["Catalog", "Collection"] | None, Query(description="Only children of this type.")]


async def seen(request: Request) -> tuple[ProjectTree, ProjectLinks]:
    """Return the projects that the caller may read, and what makes links to them."""
    caller = principal_of(request)
    hidden = await request.app.state.collection_access.hidden_from(caller)
    tree = await anyio.to_thread.run_sync(request.app.state.projects.tree, caller, hidden)
    return tree, ProjectLinks(f"{web_base(request)}{STAC_PATH}", tree)


async def member(request: Request, project: str, collection: str) -> ProjectLinks:
    """Return what makes links, where a collection is in a project.

    Raises:
        UnknownName: there is no such project, or it is not in it, or the caller may not read one of them.
    """
    tree, links = await seen(request)
    tree.project(project)
    if collection not in tree.collections.get(project, []):
        raise no_member(project, collection)
    return links


def no_member(project: str, collection: str) -> UnknownName:
    """Return the error that a collection is not in a project."""
    return UnknownName(f"project {project!r} has no collection {collection!r}")


async def documents(request: Request, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return collections as /collections shows them to the caller, by id."""
    if not names:
        return []
    among = {"op": "in", "args": [{"property": "id"}, list(names)]}
    query = {"filter": orjson.dumps(among).decode(), "filter-lang": "cql2-json", "limit": str(len(names))}
    status, body = await Forwarded(request, "/collections", query, "GET").read()
    if status != 200:
        raise InvalidInput(f"the collections cannot be read: {orjson.loads(body).get('detail')}")
    found: list[dict[str, Any]] = orjson.loads(body)["collections"]
    return sorted(found, key=lambda one: str(one["id"]))
