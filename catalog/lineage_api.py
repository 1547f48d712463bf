"""`GET /lineage/{collection}/{item}`: the provenance graph as JSON."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from terralab.catalog.access.requests import Reader
from terralab.catalog.lineage import lineage
from terralab.catalog.lineage_walk import Direction
from terralab.catalog.workspace import Workspace

ITEM_NAME = r"^[^\x00-\x1f/]{1,256}$"
Name = Annotated[str, Path(pattern=ITEM_NAME)]


def lineage_router(workspace: Workspace) -> APIRouter:
    """Return the route over a lab."""
    router = APIRouter(tags=["lineage"])

    @router.get("/lineage/{collection}/{item}")
    def item_lineage(
        collection: Name,
        item: Name,
        caller: Reader,
        direction: Annotated[Direction, Query(description="`up` to the sources, `down` to the products")] = "up",
        depth: Annotated[int | None, Query(ge=0, le=100, description="at most so many links away")] = None,
    ) -> dict[str, Any]:
        """Return what an item was made from, or what was made from it, as far as the caller may read it."""
        return lineage(workspace.catalog, collection, item, direction, depth, caller).to_dict()

    return router
