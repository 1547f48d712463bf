"""STAC Browser at `/browser`, where `make browser` has built it: its files, and the configuration that it asks for.

One build serves any lab: its addresses are relative, and the script `config.js`, put before its own, says where the
catalog is. It may load from this server alone, and runs under a content security policy that holds it to that.
"""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from terralab.catalog.access.requests import Public
from terralab.catalog.addresses import web_base
from terralab.catalog.errors import UnknownName
from terralab.catalog.settings import Settings

PATH = "/browser"
_INDEX = "index.html"
_OURS = '<link rel="icon" href="../static/icon.svg"><script src="config.js"></script>'
_LOGIN_HELP = (
    "An API key of this lab (`terralab keys`); the one that `terralab up` made is in `secrets/token` of its home."
)
# Styles may stand in elements, where its widgets and maps put them; nothing else departs from this origin.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self'; connect-src 'self'; worker-src 'self' blob:; frame-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
_FRESH = {"Cache-Control": "no-cache"}
# The build names these files by a hash of their content.
_HASHED = re.compile(r"^(css|js)/.+\.[0-9a-f]{8}\.(css|js)$")
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


def browser_router(settings: Settings) -> APIRouter:
    """Return the routes below `/browser`."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(Public)])
    files = StaticFiles(directory=settings.browser_folder, check_dir=False)

    @router.get(PATH)
    def without_slash(request: Request) -> Response:
        """Lead to the address that the page's relative addresses are made for."""
        return RedirectResponse(f"{web_base(request)}{PATH}/")

    @router.get(f"{PATH}/")
    def page() -> Response:
        """Answer with the page, our configuration before its own scripts."""
        if not has_browser(settings):
            raise UnknownName(f"STAC Browser is not in {settings.browser_folder}; build it with `make browser`")
        text = (settings.browser_folder / _INDEX).read_text(encoding="utf-8")
        return HTMLResponse(text.replace("<script", f"{_OURS}<script", 1), headers={**_HEADERS, **_FRESH})

    @router.get(f"{PATH}/config.js")
    def config(request: Request) -> Response:
        """Answer with the configuration, which depends on the address that was called."""
        return Response(config_script(settings, web_base(request)), 200, {**_HEADERS, **_FRESH}, "text/javascript")

    @router.get(f"{PATH}/{{path:path}}")
    async def part(path: str, request: Request) -> Response:
        """Answer with another file of the build."""
        try:
            answer = await files.get_response(path, request.scope)
        except HTTPException as error:
            raise UnknownName(f"STAC Browser has no file {path!r}") from error
        answer.headers.update({**_HEADERS, **(_KEPT if _HASHED.match(path) else _FRESH)})
        return answer

    return router


def has_browser(settings: Settings) -> bool:
    """Say whether STAC Browser was built."""
    return (settings.browser_folder / _INDEX).is_file()


def item_address(collection: str, item: str, base: str) -> str:
    """Return the address of an item in STAC Browser."""
    return f"{base}{PATH}/#/collections/{collection}/items/{item}"


def config_script(settings: Settings, base: str) -> str:
    """Return the script that configures STAC Browser.

    Args:
        settings: for whether a caller needs a token to read.
        base: address of the web process.
    """
    values: dict[str, Any] = {
        "catalogUrl": f"{base}/stac/",
        "catalogImage": f"{base}/static/icon.svg",
        "pathPrefix": f"{urlsplit(base).path}{PATH}/",
        "footerLinks": [{"label": "Home of this lab", "url": f"{base}/"}],
    }
    if not settings.open_reads:
        values["authConfig"] = {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "formatter": "Bearer",
            "description": _LOGIN_HELP,
        }
    # The token goes with requests to this lab and nowhere else.
    own = json.dumps(f"^{re.escape(base)}(/|$)")
    return (
        f"window.STAC_BROWSER_CONFIG = {json.dumps(values)};\nSTAC_BROWSER_CONFIG.allowedDomains = [RegExp({own})];\n"
    )
