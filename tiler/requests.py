"""What holds for every request of the tile server: only known parameters, answers that can be cached, bounded work."""

import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cached_property
from typing import Any

import anyio
import orjson
from fastapi import Depends, Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from terralab.catalog.errors import InvalidInput, ServiceUnavailable
from terralab.extensions.ids import code_version
from terralab.tiler.parameters import AssetDep

MAX_QUERY_BYTES = 8192
_CACHE = "public, max-age=60"
_WAIT_SECONDS = 30.0


class NotModified(Exception):
    """The client has the current answer already."""


class TilerRoute(APIRoute):
    """A route that refuses unknown query parameters and makes its answers cacheable."""

    @cached_property
    def known_parameters(self) -> frozenset[str]:
        """Return the names of the query parameters that the route and its dependencies declare."""
        fields = get_flat_params(self.dependant)
        return frozenset(field.alias for field in fields if isinstance(field.field_info, Query))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with our checks before and the headers after it."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            self._check_query(request)
            try:
                response = await answer(request)
            except NotModified:
                response = Response(status_code=304)
            tag = getattr(request.state, "entity_tag", None)
            if tag:
                response.headers.update({"ETag": tag, "Cache-Control": _CACHE})
            return response

        return handler

    def _check_query(self, request: Request) -> None:
        if len(request.scope.get("query_string", b"")) > MAX_QUERY_BYTES:
            raise InvalidInput(f"the query is longer than {MAX_QUERY_BYTES} bytes")
        unknown = sorted(set(request.query_params) - self.known_parameters)
        if unknown:
            known = ", ".join(sorted(self.known_parameters)) or "none"
            raise InvalidInput(f"unknown query parameter {unknown[0][:64]!r}; known are: {known}")


def check_freshness(request: Request, asset: AssetDep) -> None:
    """Tag the answer by all that it depends on, and stop where the client has it.

    Raises:
        NotModified: the client sent this tag.
    """
    made_of = [
        code_version(),
        asset.checksum,
        asset.renders,
        {key: asset.document.get(key) for key in ("title", "bands", "classification:classes")},
        asset.entry.item.get("links"),
        str(request.base_url),
        request.url.path,
        sorted(request.query_params.multi_items()),
    ]
    tag = f'"{hashlib.sha256(orjson.dumps(made_of)).hexdigest()[:32]}"'
    request.state.entity_tag = tag
    sent = request.headers.get("if-none-match", "")
    if tag in (part.strip().removeprefix("W/") for part in sent.split(",")):
        raise NotModified


async def render_slot(request: Request) -> AsyncIterator[None]:
    """Hold one of the few places for work that keeps a processor busy.

    Raises:
        ServiceUnavailable: none became free in time.
    """
    slots: anyio.Semaphore = request.app.state.render_slots
    try:
        with anyio.fail_after(_WAIT_SECONDS):
            await slots.acquire()
    except TimeoutError as error:
        raise ServiceUnavailable("the tile server is busy; try again in a moment") from error
    try:
        yield
    finally:
        slots.release()


FRESH = [Depends(check_freshness)]
# The place is given back before the answer is sent, so that a slow client does not hold it.
RENDERED = [*FRESH, Depends(render_slot, scope="function")]
