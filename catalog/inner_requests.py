"""Requests of one route of the STAC API to another, so that scoped addresses answer as the plain ones do."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terralab.catalog.addresses import WEB_BASE
from terralab.catalog.rendering import STAC_PATH

# What the outer apps wrote into the request on its way here.
_OWN = ("router", "route", "endpoint", "path_params", "app", "app_root_path", WEB_BASE)
# The outer answer is compressed once, and has conditions of its own.
_DROPPED_HEADERS = (b"accept-encoding", b"content-length", b"if-none-match", b"content-type")


class Forwarded(Response):
    """The answer of another route, in the way in which it would be answered from outside: fast reads come first.

    Args:
        request: the request that is answered.
        path: of the other route, below the STAC API.
        query: in place of the request's own; None keeps that.
        method: in place of the request's own.
        body: JSON to send; none by default.
    """

    def __init__(
        self,
        request: Request,
        path: str,
        query: Mapping[str, str] | None = None,
        method: str | None = None,
        body: Any = None,
    ) -> None:
        super().__init__()
        self._app: ASGIApp = request.app.state.front
        content = b"" if body is None else orjson.dumps(body)
        self._scope = _inner_scope(request.scope, path, query, method, content)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the other route does."""
        await self._app(self._scope, self._receive, send)

    async def read(self) -> tuple[int, bytes]:
        """Return the status and the body in place of answering with them."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(self._scope, self._receive, keep)
        status = next(message["status"] for message in messages if message["type"] == "http.response.start")
        body = b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
        return status, body

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": self._content, "more_body": False}


def _inner_scope(scope: Scope, path: str, query: Mapping[str, str] | None, method: str | None, content: bytes) -> Scope:
    root = scope["root_path"].removesuffix(STAC_PATH)
    whole = f"{root}{STAC_PATH}{path}"
    headers = [(name, value) for name, value in scope["headers"] if name not in _DROPPED_HEADERS]
    if content:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    kept = {key: value for key, value in scope.items() if key not in _OWN and not key.startswith("fastapi")}
    return {
        **kept,
        "root_path": root,
        "path": whole,
        "raw_path": quote(whole).encode(),
        "query_string": scope["query_string"] if query is None else urlencode(query).encode(),
        "method": method or scope["method"],
        "headers": headers,
    }
