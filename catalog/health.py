"""Health that tells the truth: alive is a process that answers, ready is one whose search, database and store work."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from terralab.catalog.access.requests import Public
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.problems import problem
from terralab.catalog.readiness import Readiness, checks_of
from terralab.catalog.workspace import Workspace

_HEADERS = {"Cache-Control": "no-store"}


def health_router(workspace: Workspace, web: ASGIApp) -> APIRouter:
    """Return the routes `/livez` and `/readyz`.

    Args:
        workspace: the lab.
        web: what answers its searches, for a real one.
    """
    router = APIRouter(tags=["health"], dependencies=[Depends(Public)])
    readiness = Readiness(checks_of(lambda: workspace.catalog, lambda: workspace.store, web))

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz(request: Request) -> Response:
        """Search, read the database and write a file; 503 where one of them fails, naming which."""
        parts = await readiness.parts()
        shown = {name: part.to_dict() for name, part in parts.items()}
        failed = {name: part.problem for name, part in parts.items() if part.status == "failed"}
        if failed:
            detail = "not ready: " + "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            status, code = HTTPStatus.SERVICE_UNAVAILABLE, ServiceUnavailable.code
            return problem(request, status, code, detail, _HEADERS, parts=shown)
        degraded = any(part.status == "degraded" for part in parts.values())
        return JSONResponse({"status": "degraded" if degraded else "ready", "parts": shown}, headers=_HEADERS)

    return router
