"""The STAC API's catalogs extension: projects at /catalogs, each with collections, children and a search of its own.

Below a project a collection is the same as at /collections, with links that lead back to the project. Its items are
those of /collections, and a search is one at /search that cannot leave the project.
"""

from typing import Any

import attr
from fastapi import FastAPI, Request
from stac_fastapi.types.extension import ApiExtension

from terralab.catalog.project_changes import project_changes
from terralab.catalog.project_contents import project_contents
from terralab.catalog.project_lists import project_lists
from terralab.catalog.project_serving import CONFORMANCE, seen
from terralab.catalog.projects import Projects
from terralab.catalog.workspace import Workspace


@attr.s
class ProjectsExtension(ApiExtension):
    """The extension, for a `StacApi`.

    Args:
        workspace: the lab.
    """

    workspace: Workspace = attr.ib()
    conformance_classes: list[str] = attr.ib(factory=lambda: list(CONFORMANCE))
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes to the STAC app."""
        app.state.projects = Projects(self.workspace)
        app.include_router(project_lists())
        app.include_router(project_contents())
        app.include_router(project_changes())


async def landing_links(request: Request) -> list[dict[str, Any]]:
    """Return the links of the landing page to the projects."""
    tree, links = await seen(request)
    return [
        links.link("catalogs", "catalogs", "Projects"),
        links.link("children", "children"),
        *(links.link("child", f"catalogs/{id}", str(tree.project(id).get("title") or id)) for id in tree.top()),
    ]


async def related_links(request: Request, collection: str) -> list[dict[str, Any]]:
    """Return the links of a collection to the projects that it is in."""
    tree, links = await seen(request)
    return links.related(tree.projects_of(collection))
