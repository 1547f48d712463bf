"""The web process: the catalog's application with the tile application mounted under `/tiles`.

uvicorn terralab.infra.web:create_app --factory
"""

from fastapi import FastAPI

from terralab.catalog.app import create_app as create_catalog_app
from terralab.catalog.logs import configure_logging
from terralab.catalog.settings import Settings
from terralab.tiler.app import create_tiler_app


def create_app() -> FastAPI:
    """Return the lab's web application, configured by the environment."""
    settings = Settings()
    configure_logging(settings)
    return create_catalog_app(settings, mounts={"/tiles": create_tiler_app(settings)})
