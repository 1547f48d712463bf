"""Health that tells the truth: alive is a process that answers, ready is one whose search and store work."""

from fastapi import APIRouter

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
        workspace.store.check()
        return {"status": "ready", "database": "ok", "store": "ok"}

    return router
