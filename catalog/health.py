"""Health that tells the truth: alive is a process that answers, ready is one whose search and store work."""

import os

from fastapi import APIRouter

from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.workspace import Workspace


def health_router(workspace: Workspace) -> APIRouter:
    """Return the routes `/livez` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "alive"}

    @router.get("/readyz")
    def readyz() -> dict[str, str]:
        """Run a search and touch the store; 503 where one of them fails."""
        list(workspace.catalog.search(limit=1))
        _touch_store(workspace)
        return {"status": "ready", "database": "ok", "store": "ok"}

    return router


def _touch_store(workspace: Workspace) -> None:
    folder = workspace.store.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        raise ServiceUnavailable(f"the asset store {folder} cannot be read ({error.strerror})") from error
