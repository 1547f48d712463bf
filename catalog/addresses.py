"""Under which address the lab is seen, so that every link is right on any host, below any mount and behind any proxy.

Links use the host that the client called, or `TERRALAB_WEB_PUBLIC_URL` where that is set. `X-Forwarded-*` and
`Forwarded` headers are believed from trusted proxies only (`forwarded`): anybody can send them.
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


def address_of(scope: Scope) -> str:
    """Return the address of the web process as a request's caller has it, without a slash at the end."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        server, port = scope["server"]
        host = server if port == _PORTS.get(scope["scheme"]) else f"{server}:{port}"
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}"


class PublicAddress:
    """Middleware that makes every request look as if it came by the public address.

    Args:
        app: what answers.
        url: the public address, such as `https://eo.example.org/lab`.
    """

    def __init__(self, app: ASGIApp, url: str) -> None:
        parts = urlsplit(url.rstrip("/"))
        self.app, self.scheme, self.host, self.prefix = app, parts.scheme, parts.netloc, parts.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            scope = called_at(scope, self.scheme, self.host, self.prefix)
        await self.app(scope, receive, send)


def called_at(scope: Scope, scheme: str | None, host: str | None, prefix: str | None) -> Scope:
    """Return the scope of a request as if it came by another address; None leaves a part as it is.

    Args:
        scope: of a request.
        scheme: `http` or `https`.
        host: with its port where that is not the scheme's.
        prefix: path below which the web process is seen, without a slash at the end; a proxy may have taken it off.
    """
    changed = {**scope, "scheme": scheme or scope["scheme"]}
    if host is not None:
        parts = urlsplit(f"//{host}")
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        changed["headers"] = [(b"host", host.encode()), *others]
        changed["server"] = (parts.hostname or "", parts.port or _PORTS.get(changed["scheme"], 80))
    if prefix is not None:
        path = scope["path"]
        within = not prefix or f"{path}/".startswith(f"{prefix}/")
        changed |= {"root_path": prefix, "path": path if within else prefix + path}
    return changed


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
            outer, scope = scope, {**scope, "app_root_path": scope["root_path"], WEB_BASE: base}
            scope.pop("router", None)
            try:
                await self.app(scope, receive, send)
            finally:
                outer["route"] = scope.get("route")  # for the record of the request
            return
        await self.app(scope, receive, send)
