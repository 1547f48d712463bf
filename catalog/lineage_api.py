"""`GET /lineage/{collection}/{item}`: the provenance graph as JSON."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from terralab.catalog.lineage import Direction, lineage
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
        direction: Annotated[Direction, Query(description="`up` to the sources, `down` to the products")] = "up",
        depth: Annotated[int | None, Query(ge=0, le=100, description="at most so many links away")] = None,
    ) -> dict[str, Any]:
        """Return what an item was made from, or what was made from it."""
        return lineage(workspace.catalog, collection, item, direction, depth).to_dict()

    return router
