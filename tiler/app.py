"""The tile server: `create_tiler_app` makes it, below `/tiles` of the web process or alone.

Alone: `uvicorn --factory terralab.tiler.app:create_tiler_app`. Assets are addressed by collection, item and key, and by
nothing else: there is no way to name a file or an address.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from terralab.catalog.access.authenticate import Authenticate, Callers
from terralab.catalog.settings import Settings
from terralab.extensions.ids import code_version
from terralab.tiler.errors import add_error_handlers
from terralab.tiler.factory import PREFIX, AssetTilerFactory
from terralab.tiler.legend import LegendExtension
from terralab.tiler.lookup import Lookup
from terralab.tiler.rasters import OpenRasters
from terralab.tiler.viewer import FOLDER, ViewerExtension
from terralab.tiler.wmts import WmtsExtension


def create_tiler_app(settings: Settings | None = None) -> FastAPI:
    """Return the tile server.

    A parent app that mounts it wraps it in `terralab.catalog.addresses.Mounted`, so that links hold the mount's path,
    and enters `app.router.lifespan_context(app)` in its own lifespan.
    """
    chosen = settings or Settings()
    rasters = OpenRasters()
    lookup = Lookup(chosen)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        lookup.open()
        try:
            yield
        finally:
            lookup.close()
            rasters.close()

    app = FastAPI(title="TerraLab tiles", version=code_version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.lookup = lookup
    app.state.render_slots = anyio.Semaphore(_processors())
    factory = AssetTilerFactory(
        rasters=rasters,
        largest=chosen.tiler.max_size,
        extensions=[LegendExtension(), WmtsExtension(), ViewerExtension()],
    )
    app.include_router(factory.router, prefix=PREFIX)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    add_error_handlers(app)
    # Below the web process the caller is known already, and this does nothing.
    app.add_middleware(Authenticate, callers=Callers(chosen))
    return app


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
