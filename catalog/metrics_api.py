"""`GET /metrics` in the text format of Prometheus, for who may read everything."""

from fastapi import APIRouter, Depends, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Access, principal_of, require_scope


class _ReadsAll(Access):
    """Asks for a caller that may read everything: anybody in a lab with open reads, else an admin."""

    def __call__(self, request: Request) -> Principal:
        """Return the caller.

        Raises:
            NotAuthenticated: the caller did not say who it is.
            NotAllowed: it may not read everything.
        """
        caller = principal_of(request)
        if not caller.reads_all:
            require_scope(caller, "admin")
        return caller


ReadsAll = _ReadsAll("ReadsAll", "admin")


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Return the route over a registry."""
    router = APIRouter(tags=["health"], dependencies=[Depends(ReadsAll)])

    @router.get("/metrics", response_class=Response)
    def metrics(request: Request) -> Response:
        """Return counts and times of requests, and the state of the lab's parts."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Cache-Control": "no-store", "Content-Type": media_type})

    return router
