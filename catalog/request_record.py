"""What is known of every request: an id, who called, which route answered, how, and in what time.

The middleware `RequestRecord` gives each request its id, counts and times it (`metrics`), writes its line in the log
(`logs`), and sees to it that there always is an answer.
"""

import logging
import re
from time import perf_counter
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terralab.catalog.access.requests import PRINCIPAL
from terralab.catalog.logs import FIELDS, REQUEST_ID
from terralab.catalog.metrics import RequestMetrics
from terralab.catalog.problems import unexpected_problem
from terralab.catalog.route_templates import route_template

_LOG = logging.getLogger("terralab.web")
_ACCESS_LOG = logging.getLogger("terralab.access")
_GIVEN_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_HEADER = "X-Request-ID"


class RequestRecord:
    """Middleware that gives every request an id, a line in the log `terralab.access`, and always an answer.

    Args:
        app: what answers.
        metrics: counts the requests.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics | None = None) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, started, root = _id(scope), perf_counter(), scope.get("root_path", "")
        answer = _Answer(send, request_id)
        scope = {**scope, "terralab.request_id": request_id}
        context = REQUEST_ID.set(request_id)
        if self._metrics is not None:
            self._metrics.in_flight.inc()
        try:
            await self.app(scope, receive, answer.send)
        except Exception:
            # The traceback is for the log and the answer for the client; the connection stays usable.
            _LOG.exception("request %s failed", request_id)
            if answer.status is None:
                await unexpected_problem(Request(scope))(scope, receive, answer.send)
        finally:
            self._note(scope, root, answer, perf_counter() - started)
            REQUEST_ID.reset(context)

    def _note(self, scope: Scope, root: str, answer: "_Answer", seconds: float) -> None:
        route, method = route_template(scope, root), scope["method"]
        if self._metrics is not None:
            self._metrics.in_flight.dec()
            self._metrics.count(method, route, answer.status, seconds, answer.bytes)
        if not _ACCESS_LOG.isEnabledFor(logging.INFO):
            return
        caller = scope.get(PRINCIPAL)
        fields: dict[str, Any] = {
            "caller": caller.name if caller is not None else None,
            "method": method,
            "route": route,
            "status": answer.status,
            "ms": round(1000 * seconds, 1),
            "bytes": answer.bytes,
        }
        _ACCESS_LOG.info("%s %s %s", method, route, answer.status, extra={FIELDS: fields})


def _id(scope: Scope) -> str:
    """Return the id that the caller gave, so that its log and ours can be read together; else a new one."""
    given = Headers(scope=scope).get(_HEADER, "")
    return given if _GIVEN_ID.fullmatch(given) else uuid4().hex[:16]


class _Answer:
    """Hands an answer on, with the request's id, and remembers what it was."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._id = send, request_id
        self.status: int | None = None
        self.bytes = 0

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[_HEADER] = self._id
            headers["X-Content-Type-Options"] = "nosniff"
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)
