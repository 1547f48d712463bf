"""Under which address the lab is seen, so that every link is right on any host, below any mount and behind any proxy.

Links use the host that the client called, or `TERRALAB_WEB_PUBLIC_URL` where that is set. `X-Forwarded-*` and
`Forwarded` headers are never read: anybody can send them.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

WEB_BASE = "terralab.web_base"
"""Where `Mounted` puts the address of the web process into the scope of a request."""
_PORTS = {"http": 80, "https": 443}


def web_base(request: Request) -> str:
    """Return the address of the whole web process, without a slash at the end."""
    return str(request.scope.get(WEB_BASE) or str(request.base_url).rstrip("/"))


class PublicAddress:
    """Middleware that makes every request look as if it came by the public address.

    Args:
        app: what answers.
        url: the public address, such as `https://eo.example.org/lab`.
    """

    def __init__(self, app: ASGIApp, url: str) -> None:
        parts = urlsplit(url.rstrip("/"))
        self.app, self.scheme, self.host, self.prefix = app, parts.scheme, parts.netloc, parts.path
        self.server = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            path = scope["path"]
            if self.prefix and not f"{path}/".startswith(f"{self.prefix}/"):
                path = self.prefix + path  # the proxy stripped the prefix
            scope = {
                **scope,
                "scheme": self.scheme,
                "server": self.server,
                "headers": [(b"host", self.host.encode()), *others],
                "root_path": self.prefix,
                "path": path,
            }
        await self.app(scope, receive, send)


class Mounted:
    """An app below a path of another, which makes its links as if it stood alone there.

    Starlette hands a mounted app the address and the routes of the outer one; both would give wrong links.

    Args:
        app: the inner app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            base = str(Request(scope).base_url).rstrip("/")
            scope = {**scope, "app_root_path": scope["root_path"], WEB_BASE: base}
            scope.pop("router", None)
        await self.app(scope, receive, send)
