"""The web process: one app that puts the STAC API, files, lineage, pages, health and further apps under one address.

Run by `uvicorn --factory`; nothing happens at import. Rooms above the catalog (the tiler) hand their apps in.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import Depends, FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from terralab.catalog.access.authenticate import Authenticate, Callers
from terralab.catalog.access.file_access import FileAccess
from terralab.catalog.access.requests import Public
from terralab.catalog.addresses import Mounted, PublicAddress
from terralab.catalog.api_reference import reference_of
from terralab.catalog.browser import browser_router
from terralab.catalog.fast_reads import FastReads
from terralab.catalog.files import files_router
from terralab.catalog.forwarded import TrustedProxies, networks_of
from terralab.catalog.health import health_router
from terralab.catalog.item_page import item_page_router
from terralab.catalog.lab_metrics import LabMetrics
from terralab.catalog.landing import landing_router
from terralab.catalog.lineage_api import lineage_router
from terralab.catalog.matching_api import matching_router
from terralab.catalog.metrics import RequestMetrics
from terralab.catalog.metrics_api import metrics_router
from terralab.catalog.pages import icon, stylesheet
from terralab.catalog.problems import add_problem_handlers
from terralab.catalog.refresh import keep_rendered
from terralab.catalog.request_record import RequestRecord
from terralab.catalog.search_guards import MAX_BODY_BYTES
from terralab.catalog.settings import Settings
from terralab.catalog.stac_api import create_stac_app
from terralab.catalog.uploads import uploads_router
from terralab.catalog.workspace import Workspace

TILES = "/tiles"
_ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "Range",
    "X-API-Key",
]
_EXPOSED_HEADERS = ["Accept-Ranges", "Content-Range", "ETag", "Location", "Retry-After", "X-Request-ID"]


def create_app(settings: Settings | None = None, mounts: Mapping[str, FastAPI] | None = None) -> FastAPI:
    """Return the web process's app.

    Args:
        settings: read from the environment by default.
        mounts: further apps by path, such as `{"/tiles": create_tiler_app(settings)}`; their lifespans run with ours.

    Raises:
        ServiceUnavailable: there is no database yet.
    """
    settings = settings or Settings()
    workspace = Workspace(settings)
    parts = {"/stac": create_stac_app(settings, settings.database_url, workspace), **(mounts or {})}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in parts.values():
                await stack.enter_async_context(part.router.lifespan_context(part))
            rendering = asyncio.create_task(keep_rendered(workspace.catalog))
            stack.callback(rendering.cancel)
            yield

    app = FastAPI(title="TerraLab", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(landing_router(workspace, TILES in parts))
    app.include_router(item_page_router(workspace, TILES in parts))
    app.include_router(lineage_router(workspace))
    app.include_router(matching_router(workspace))
    access = FileAccess(workspace.catalog, workspace.views.collections)
    app.include_router(files_router(workspace.store, access, workspace.signer))
    app.include_router(uploads_router(workspace))
    app.include_router(browser_router(settings))
    front = FastReads(app.router, parts["/stac"].state, settings.api.max_limit)
    parts["/stac"].state.front = front  # for requests of one route to another
    app.include_router(health_router(workspace, front))
    registry = CollectorRegistry()
    LabMetrics(lambda: workspace.catalog, lambda: getattr(parts["/stac"].state, "readpool", None)).register(registry)
    app.include_router(metrics_router(registry))
    public = [Depends(Public)]
    app.add_api_route("/static/style.css", stylesheet, include_in_schema=False, dependencies=public)
    app.add_api_route("/static/icon.svg", icon, include_in_schema=False, dependencies=public)
    for path, part in parts.items():
        app.add_api_route(f"{path}/api.html", reference_of(part, path), include_in_schema=False)
        # The STAC API has limits of its own, by route.
        app.router.routes.append(Mount(path, Mounted(part), max_body_size=None if path == "/stac" else MAX_BODY_BYTES))
    add_problem_handlers(app)
    # The first that is added is the innermost.
    app.add_middleware(FastReads, state=parts["/stac"].state, max_limit=settings.api.max_limit)
    _add_middleware(app, settings, RequestMetrics(registry))
    return app


def _add_middleware(app: FastAPI, settings: Settings, metrics: RequestMetrics) -> None:
    """Add what every request passes, the innermost first."""
    # Inside CORS, so that the page that sent a wrong token may read that it is wrong.
    app.add_middleware(Authenticate, callers=Callers(settings))
    # A page of any origin may call: no cookie travels with its request, and a token only where the page has it.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin.strip() for origin in settings.api.cors_origins.split(",") if origin.strip()],
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=_ALLOWED_HEADERS,
        expose_headers=_EXPOSED_HEADERS,
        max_age=600,
    )
    app.add_middleware(RequestRecord, metrics=metrics)
    if settings.web.public_url:
        app.add_middleware(PublicAddress, url=settings.web.public_url)
    app.add_middleware(TrustedProxies, networks=networks_of(settings.api.trusted_proxies))
