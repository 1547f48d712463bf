"""The STAC API: stac-fastapi on pgstac, reading only, with the lab's addresses, map links and guards.

What differs from the stock API: assets and maps get addresses of the host that was called (`served_items`); a search
that would cost too much, or that the database refuses, is a 4xx and a database that does not answer a 503
(`search_guards`); forwarded headers are not believed (`addresses`).
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any
from urllib.parse import unquote_plus

from fastapi import Depends, FastAPI, Request
from geojson_pydantic import MultiPolygon
from pydantic_core import PydanticSerializationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from stac_fastapi.api.middleware import ProxyHeaderMiddleware
from stac_fastapi.pgstac.app import instantiate_api
from stac_fastapi.pgstac.config import Settings as ApiSettings
from stac_fastapi.pgstac.core import CoreCrudClient
from stac_fastapi.pgstac.models.extensions import Extensions
from stac_fastapi.types.errors import InvalidQueryParameter, NotFoundError
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from terralab.catalog.addresses import web_base
from terralab.catalog.api_reference import reference_of
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.problems import add_problem_handlers, problem
from terralab.catalog.search_guards import (
    check_body,
    check_box,
    check_filter,
    check_geometry,
    check_no_text_search,
    check_token,
    parse_filter,
    reading_pool,
    split_box,
)
from terralab.catalog.served_items import add_map_links, address_assets, page_link, renders_of, restore_nulls
from terralab.catalog.settings import Settings

TITLE = "TerraLab"
DESCRIPTION = "Earth-observation imagery, datasets, models, runs and predictions, each linked to what it was made from."
RENDERS_KEPT_SECONDS = 30.0
_OUTER_MIDDLEWARE = (ProxyHeaderMiddleware, CORSMiddleware)


def create_stac_app(settings: Settings, database_url: str) -> FastAPI:
    """Return the STAC API over a database.

    Its lifespan opens the connections; an app that mounts it must run `app.router.lifespan_context(app)`.

    Args:
        settings: for the number of connections.
        database_url: `postgresql://user:password@host:port/name`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        async with reading_pool(app, database_url, settings.database.database_connections):
            yield

    api_settings = _ReadOnlySettings(
        stac_fastapi_title=TITLE,
        stac_fastapi_description=DESCRIPTION,
        stac_fastapi_landing_id="terralab",
        stac_fastapi_version="1.0.0",
        docs_url="",
    )
    api = instantiate_api(
        client=LabClient, extensions=Extensions(settings=api_settings), lifespan=lifespan, settings=api_settings
    )
    api.client.landing_page_id = "terralab"
    api.add_route_dependencies([{"path": "/search", "method": "POST"}], [Depends(check_body)])
    app: FastAPI = api.app
    # The outer app speaks CORS for all its parts; forwarded headers are nobody's to send.
    app.user_middleware = [entry for entry in app.user_middleware if entry.cls not in _OUTER_MIDDLEWARE]
    app.state.renders = RendersCache()
    app.add_api_route("/api.html", reference_of(app), name="swagger_ui_html", include_in_schema=False)
    add_problem_handlers(app)
    for error, (status, code) in _FOREIGN_ERRORS.items():
        app.add_exception_handler(error, _foreign_error_handler(status, code))
    return app


class LabClient(CoreCrudClient):
    """stac-fastapi's client with guarded searches and addressed results."""

    async def _search_base(self, search_request: Any, request: Request) -> Any:
        check_token(getattr(search_request, "token", None))
        if (expression := getattr(search_request, "filter_expr", None)) is not None:
            check_filter(expression)
        check_no_text_search(request.query_params)
        check_box(search_request.bbox)
        if halves := split_box(search_request.bbox):
            search_request.bbox, search_request.intersects = None, MultiPolygon(**halves)
        search_request.conf = None  # a client may not change pgstac's settings
        found = await super()._search_base(search_request, request=request)
        await self._address(found["features"], request)
        return found

    async def get_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:
        """Return a collection, its assets addressed."""
        found = await super().get_collection(collection_id, request=request, **kwargs)
        address_assets(found, web_base(request))
        return found

    async def all_collections(self, request: Request, **kwargs: Any) -> Any:
        """Return collections, their assets addressed."""
        found = await super().all_collections(request=request, **kwargs)
        if isinstance(found, JSONResponse):  # with `fields`, stac-fastapi answers ready bytes
            body = json.loads(bytes(found.body))
            _address_all(body["collections"], request)
            return JSONResponse(body)
        _address_all(found["collections"], request)
        return found

    def _clean_search_args(self, base_args: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Check what a query string holds before stac-fastapi parses it further."""
        language = kwargs.get("filter_lang") or "cql2-text"
        if text := kwargs.get("filter_query"):
            kwargs["filter_query"] = json.dumps(parse_filter(text, language))
            kwargs["filter_lang"] = "cql2-json"
        if text := kwargs.get("intersects"):
            check_geometry(json.loads(unquote_plus(text)))
        kwargs["fields"] = [name for name in kwargs.get("fields") or [] if name.strip("+-")]
        kwargs["sortby"] = [name for name in kwargs.get("sortby") or [] if name.strip("+-")]
        check_box(base_args.get("bbox"))
        cleaned: dict[str, Any] = super()._clean_search_args(base_args, **kwargs)
        return cleaned

    async def _address(self, items: list[dict[str, Any]], request: Request) -> None:
        base = web_base(request)
        cache: RendersCache = request.app.state.renders
        shared = await cache.of_collections({item["collection"] for item in items if "collection" in item}, request)
        for item in items:
            if "collection" in item and "id" in item:
                add_map_links(item, renders_of(item) or shared.get(item["collection"], {}), base)
                item.get("links", []).append(page_link(item, base))
            address_assets(item, base)
            restore_nulls(item)


class RendersCache:
    """The `renders` of collections, kept for half a minute so that searches do not ask for them one by one."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    async def of_collections(self, names: Iterable[str], request: Request) -> dict[str, dict[str, Any]]:
        """Return the renders of the collections `names` by collection, in one query for those not kept."""
        now = monotonic()
        wanted = set(names)
        missing = [name for name in wanted if self._kept.get(name, (0.0, {}))[0] < now]
        if missing:
            async with request.app.state.get_connection(request, "r") as connection:
                rows = await connection.fetch(
                    "SELECT id, content->'renders' AS renders FROM collections WHERE id = ANY($1)", missing
                )
            self._kept.update({row["id"]: (now + RENDERS_KEPT_SECONDS, row["renders"] or {}) for row in rows})
        return {name: self._kept[name][1] for name in wanted if name in self._kept}


class _ReadOnlySettings(ApiSettings):
    """stac-fastapi's settings, from our arguments alone: no variable or `.env` file can turn on writing."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the arguments only."""
        return (init_settings,)


def _address_all(collections: list[dict[str, Any]], request: Request) -> None:
    for collection in collections:
        address_assets(collection, web_base(request))


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
