"""What a write takes from its HTTP request, so that the rest of this package knows nothing of HTTP servers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from terralab.catalog.access.principal import Principal
from terralab.catalog.addresses import web_base
from terralab.catalog.errors import InvalidInput, UnsupportedMedia
from terralab.catalog.transactions.idempotency import HEADER, KeyedRequest
from terralab.catalog.transactions.patches import JSON_PATCH_TYPE, MERGE_PATCH_TYPE
from terralab.catalog.transactions.preconditions import Preconditions
from terralab.extensions.item import GEOJSON_TYPE

JSON_TYPES = ("application/json", GEOJSON_TYPE)
PATCH_TYPES = (MERGE_PATCH_TYPE, JSON_PATCH_TYPE, "application/json")
_PARAMETERS = {"POST": {"mode"}}


@dataclass(frozen=True)
class WriteRequest:
    """A request to write.

    Attributes:
        caller: who sent it; it has the scope `write`.
        base: address of the web process that it came by, without a slash at the end.
        content_type: of the body, in lowercase and without parameters.
        body: as it came.
        partial: whether the good items of a batch are wanted even where others are bad.
        preconditions: what must be so for it to be done.
        keyed: its idempotency key, None where it has none.
        request_id: for the audit log.
    """

    caller: Principal
    base: str
    content_type: str
    body: bytes
    partial: bool
    preconditions: Preconditions
    keyed: KeyedRequest | None
    request_id: str | None

    def document(self, types: Sequence[str] = JSON_TYPES) -> Any:
        """Return the body as JSON.

        Args:
            types: media types that it may have.

        Raises:
            UnsupportedMedia: it has another one.
            InvalidInput: it is not JSON.
        """
        if self.content_type not in types:
            given = f"{self.content_type!r} is" if self.content_type else "a body without a Content-Type is"
            raise UnsupportedMedia(f"{given} not taken here; send it as {' or '.join(types)}")
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"the body is not valid JSON: {error}") from error


async def read_write(request: Request, caller: Principal) -> WriteRequest:
    """Read what a write takes from a request.

    Raises:
        InvalidInput: its query or a header is not as it must be.
        TooLarge: its body is over the limit.
    """
    if unknown := sorted(set(request.query_params) - _PARAMETERS.get(request.method, set())):
        raise InvalidInput(f"there is no query parameter {unknown[0][:80]!r} here")
    body = await request.body()
    return WriteRequest(
        caller=caller,
        base=web_base(request),
        content_type=request.headers.get("content-type", "").partition(";")[0].strip().lower(),
        body=body,
        partial=request.query_params.get("mode") == "partial",
        preconditions=Preconditions.of(request.headers),
        keyed=_keyed(request, caller, body),
        request_id=request.scope.get("terralab.request_id"),
    )


def _keyed(request: Request, caller: Principal, body: bytes) -> KeyedRequest | None:
    key = request.headers.get(HEADER)
    if key is None or caller.name is None:
        return None
    target = (request.method, request.url.path, request.url.query)
    return KeyedRequest.of(caller.name, key, *(part.encode() for part in target), body)
