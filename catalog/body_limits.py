"""How large the body of a request may be: refused as soon as it is known, before anything is parsed."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terralab.catalog.errors import TooLarge
from terralab.catalog.problems import problem, status_of

MEGABYTE = 1 << 20


class BodyLimits:
    """Middleware that answers 413 to a body that is larger than its request may have.

    Args:
        app: what answers.
        limit_of: largest body of a request, bytes, by its scope.
    """

    def __init__(self, app: ASGIApp, limit_of: Callable[[Scope], int]) -> None:
        self.app, self._limit_of = app, limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, size, started = self._limit_of(scope), 0, False

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise _refusal(limit)
            return message

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if _announced(scope) > limit:
                raise _refusal(limit)
            await self.app(scope, receive_some, send_noting)
        except TooLarge as error:
            if started:
                raise
            await problem(Request(scope), status_of(error), error.code, str(error))(scope, receive, send)


def _announced(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _refusal(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit:,} bytes, the most that is taken here; send it in parts")
