"""The STAC API: stac-fastapi on pgstac, with the lab's policy, addresses, map links and guards.

What differs from the stock API: most reads are answered from the read model (`fast_reads`); everybody sees what the
policy lets them see (`access.policy`); assets and maps get addresses of the host that was called (`served_items`); a
search that would cost too much, or that the database refuses, is a 4xx and a database that does not answer a 503
(`search_guards`); forwarded headers are not believed (`addresses`).
"""

import json
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from pydantic_core import PydanticSerializationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from stac_fastapi.api.middleware import ProxyHeaderMiddleware
from stac_fastapi.extensions.filter import ItemCollectionFilterExtension, SearchFilterExtension
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses
from stac_fastapi.pgstac.app import instantiate_api
from stac_fastapi.pgstac.config import Settings as ApiSettings
from stac_fastapi.pgstac.extensions import FreeTextExtension
from stac_fastapi.pgstac.models.extensions import Extensions
from stac_fastapi.types.errors import InvalidQueryParameter, NotFoundError
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from terralab.catalog.access.collections import AsyncCollectionAccess, fetch_restricted_collections
from terralab.catalog.access.policy import Guarded
from terralab.catalog.access.requests import Reads
from terralab.catalog.access.signatures import Signer
from terralab.catalog.aggregation_api import AggregationExtension
from terralab.catalog.api_reference import reference_of
from terralab.catalog.body_limits import BodyLimits
from terralab.catalog.croissant_api import CroissantExtension
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.problems import add_problem_handlers, problem
from terralab.catalog.projects_api import ProjectsExtension
from terralab.catalog.queryables_api import QueryablesClient, SortablesExtension
from terralab.catalog.search_guards import (
    CONNECTION_WAIT_SECONDS,
    check_body,
    database_errors,
    reading_pool,
)
from terralab.catalog.settings import Settings
from terralab.catalog.stac_client import LabClient, RendersCache
from terralab.catalog.transactions.routes import TransactionExtension, kept_connections, largest_body
from terralab.catalog.workspace import Workspace

TITLE = "TerraLab"
DESCRIPTION = "Earth-observation imagery, datasets, models, runs and predictions, each linked to what it was made from."
_OUTER_MIDDLEWARE = (ProxyHeaderMiddleware, CORSMiddleware)


def create_stac_app(settings: Settings, database_url: str, workspace: Workspace | None = None) -> FastAPI:
    """Return the STAC API over a database.

    Its lifespan opens the connections; an app that mounts it must run `app.router.lifespan_context(app)`.

    Args:
        settings: for the number of connections.
        database_url: `postgresql://user:password@host:port/name`.
        workspace: the lab that is written to; made of the two by default.
    """
    lab = workspace or Workspace(settings, database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        async with (
            reading_pool(app, database_url, settings.database.database_connections, settings.api),
            kept_connections(lab),
        ):
            yield

    api_settings = _ReadOnlySettings(
        stac_fastapi_title=TITLE,
        stac_fastapi_description=DESCRIPTION,
        stac_fastapi_landing_id="terralab",
        stac_fastapi_version="1.0.0",
        docs_url="",
    )
    extensions = Extensions(
        search_map={
            "filter": SearchFilterExtension(client=QueryablesClient()),
            "free_text": FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.SEARCH]),
        },
        item_collection_map={
            "filter": ItemCollectionFilterExtension(client=QueryablesClient()),
            "free_text": FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.ITEMS]),
        },
        extra_map={
            "aggregation": AggregationExtension(),
            "sortables": SortablesExtension(),
            "projects": ProjectsExtension(lab),
            "croissant": CroissantExtension(lab),
            "transaction": TransactionExtension(lab),
        },
        settings=api_settings,
    )
    api = instantiate_api(client=LabClient, extensions=extensions, lifespan=lifespan, settings=api_settings)
    api.client.landing_page_id = "terralab"
    api.add_route_dependencies([{"path": "/search", "method": "POST"}], [Depends(check_body)])
    api.add_route_dependencies([{"path": "*", "method": "*"}], [Depends(Reads)])
    app: FastAPI = api.app
    # The outer app speaks CORS for all its parts; forwarded headers are nobody's to send.
    app.user_middleware = [entry for entry in app.user_middleware if entry.cls not in _OUTER_MIDDLEWARE]
    app.state.renders = RendersCache()
    app.state.max_limit = settings.api.max_limit
    app.state.signer = (
        None if settings.open_reads else Signer(settings.secrets_folder, settings.access.signature_seconds)
    )
    app.state.collection_access = AsyncCollectionAccess(lambda: _restricted_collections(app))
    app.add_middleware(BodyLimits, limit_of=lambda scope: largest_body(scope, settings))
    app.add_api_route("/api.html", reference_of(app), name="swagger_ui_html", include_in_schema=False)
    add_problem_handlers(app)
    for error, (status, code) in _FOREIGN_ERRORS.items():
        app.add_exception_handler(error, _foreign_error_handler(status, code))
    return app


class _ReadOnlySettings(ApiSettings):
    """stac-fastapi's settings, from our arguments alone: no variable or `.env` file can turn on writing."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the arguments only."""
        return (init_settings,)


async def _restricted_collections(app: FastAPI) -> Mapping[str, Guarded]:
    with database_errors():
        async with app.state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
            return await fetch_restricted_collections(connection)


_FOREIGN_ERRORS: Mapping[type[Exception], tuple[int, str]] = {
    NotFoundError: (404, UnknownName.code),
    InvalidQueryParameter: (400, InvalidInput.code),
    json.JSONDecodeError: (400, InvalidInput.code),
    PydanticSerializationError: (400, InvalidInput.code),  # text that is not Unicode
}


def _foreign_error_handler(status: int, code: str) -> Any:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        return problem(request, status, code, str(error))

    return answer
