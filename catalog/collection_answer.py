"""One collection as an HTTP answer: with the entity tag that `If-Match` of a write compares, or 304."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.policy import PUBLIC, guarded
from terralab.catalog.access.principal import ANONYMOUS
from terralab.catalog.access.requests import principal_of
from terralab.catalog.read_model import etag_of

_STORED = "SELECT content FROM collections WHERE id = $1"


async def collection_answer(document: Mapping[str, Any], request: Request) -> Response:
    """Return a collection as it is served, tagged by what is stored of it."""
    async with request.app.state.get_connection(request, "r") as connection:
        stored = await connection.fetchval(_STORED, document["id"])
    tag = f'"{etag_of(stored)}"' if stored is not None else None
    if tag is None or _is_signed(document, request):
        # Signed addresses are over before the collection changes: no cache may keep them by its tag.
        return JSONResponse(document, headers={} if tag is None else {"ETag": tag, "Cache-Control": "no-store"})
    caching = "no-cache" if principal_of(request).name is ANONYMOUS.name else "private, no-cache"
    headers = {"ETag": tag, "Cache-Control": caching}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return JSONResponse(document, headers=headers)


def _is_signed(document: Mapping[str, Any], request: Request) -> bool:
    return request.app.state.signer is not None and guarded(document).visibility not in (None, PUBLIC)
