"""The STAC API: stac-fastapi on pgstac, with the lab's policy, addresses, map links and guards.

What differs from the stock API: most reads are answered from the read model (`fast_reads`); everybody sees what the
policy lets them see (`access.policy`); assets and maps get addresses of the host that was called (`served_items`); a
search that would cost too much, or that the database refuses, is a 4xx and a database that does not answer a 503
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
from stac_fastapi.extensions.filter import ItemCollectionFilterExtension, SearchFilterExtension
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses
from stac_fastapi.pgstac.app import instantiate_api
from stac_fastapi.pgstac.config import Settings as ApiSettings
from stac_fastapi.pgstac.core import CoreCrudClient
from stac_fastapi.pgstac.extensions import FreeTextExtension
from stac_fastapi.pgstac.models.extensions import Extensions
from stac_fastapi.types.errors import InvalidQueryParameter, NotFoundError
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.collections import AsyncCollectionAccess, fetch_restricted_collections
from terralab.catalog.access.paging import check_token_item
from terralab.catalog.access.policy import PUBLIC, Guarded, guarded, read_filter
from terralab.catalog.access.requests import Reads, principal_of
from terralab.catalog.access.signatures import Signer
from terralab.catalog.addresses import web_base
from terralab.catalog.aggregation_api import AggregationExtension, aggregation_links
from terralab.catalog.api_reference import reference_of
from terralab.catalog.body_limits import BodyLimits
from terralab.catalog.collection_answer import collection_answer
from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.errors import InvalidInput, ServiceUnavailable, UnknownName
from terralab.catalog.problems import add_problem_handlers, problem
from terralab.catalog.projects_api import ProjectsExtension, landing_links, related_links
from terralab.catalog.queryables_api import QueryablesClient, SortablesExtension, sortables_link
from terralab.catalog.search_guards import (
    CONNECTION_WAIT_SECONDS,
    check_body,
    check_box,
    check_filter,
    check_geometry,
    check_token,
    database_errors,
    parse_filter,
    reading_pool,
    split_box,
)
from terralab.catalog.search_plan import DEFAULT_LIMIT, compile_search, conditions_of_query
from terralab.catalog.search_query import search_of_query
from terralab.catalog.served_items import add_map_links, address_assets, page_link, renders_of, restore_nulls
from terralab.catalog.settings import Settings
from terralab.catalog.signed_files import sign_assets
from terralab.catalog.transactions.routes import TransactionExtension, kept_connections, largest_body
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import GEOJSON_TYPE

TITLE = "TerraLab"
DESCRIPTION = "Earth-observation imagery, datasets, models, runs and predictions, each linked to what it was made from."
RENDERS_KEPT_SECONDS = 30.0
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


class LabClient(CoreCrudClient):
    """stac-fastapi's client with guarded searches and addressed results."""

    async def _search_base(self, search_request: Any, request: Request) -> Any:
        check_token(getattr(search_request, "token", None))
        await check_token_item(getattr(search_request, "token", None), request)
        if (expression := getattr(search_request, "filter_expr", None)) is not None:
            check_filter(expression)
        check_box(search_request.bbox)
        await _refuse_free_text(search_request, request)
        if halves := split_box(search_request.bbox):
            search_request.bbox, search_request.intersects = None, MultiPolygon(**halves)
        search_request.conf = None  # a client may not change pgstac's settings
        search_request.limit = min(search_request.limit or DEFAULT_LIMIT, request.app.state.max_limit)
        await _apply_policy(search_request, request)
        found = await super()._search_base(search_request, request=request)
        await self._address(found["features"], request)
        return found

    async def landing_page(self, **kwargs: Any) -> Any:
        """Return the landing page with links to what the lab adds."""
        request = kwargs["request"]
        page = await super().landing_page(**kwargs)
        page["links"] += [sortables_link(web_base(request)), *await landing_links(request)]
        return page

    async def get_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:
        """Return a collection, its assets addressed.

        Raises:
            NotFoundError: there is none that the caller may read.
        """
        caller, access = principal_of(request), request.app.state.collection_access
        if collection_id in await access.hidden_from(caller):
            raise NotFoundError(f"Collection {collection_id} does not exist.")
        found = await super().get_collection(collection_id, request=request, **kwargs)
        _address_all([found], request)
        found["links"] += await related_links(request, collection_id)
        return await collection_answer(found, request)

    async def all_collections(self, request: Request, **kwargs: Any) -> Any:
        """Return the collections that the caller may read, their assets addressed."""
        hidden = await request.app.state.collection_access.hidden_from(principal_of(request))
        if hidden:
            kwargs = _without_collections(kwargs, hidden)
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
            await self._sign(item, request)

    async def post_search(self, search_request: Any, request: Request, **kwargs: Any) -> Any:
        """Answer POST /search."""
        return _as_geojson(await super().post_search(search_request, request, **kwargs))

    async def get_search(self, request: Request, **kwargs: Any) -> Any:
        """Answer GET /search."""
        return _as_geojson(await super().get_search(request=request, **kwargs))

    async def item_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:
        """Answer GET /collections/{collection_id}/items."""
        return _as_geojson(await super().item_collection(collection_id, request=request, **kwargs))

    async def _sign(self, item: dict[str, Any], request: Request) -> None:
        signer = request.app.state.signer
        if signer is None or "properties" not in item or "collection" not in item:
            return
        collection = await request.app.state.collection_access.of(item["collection"])
        if not {guarded(item).visibility, collection.visibility} <= {None, PUBLIC}:
            sign_assets(item, web_base(request), signer)


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
    base, signer = web_base(request), request.app.state.signer
    for collection in collections:
        address_assets(collection, base)
        if signer is not None and guarded(collection).visibility not in (None, PUBLIC):
            sign_assets(collection, base, signer)
        if "links" in collection and "id" in collection:
            name = collection["id"]
            collection["links"] += [sortables_link(base, name), *aggregation_links(base, name)]


async def _restricted_collections(app: FastAPI) -> Mapping[str, Guarded]:
    with database_errors():
        async with app.state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
            return await fetch_restricted_collections(connection)


async def _refuse_free_text(search_request: Any, request: Request) -> None:
    """Refuse free text that the read model did not answer: pgstac finds no item without a description.

    Raises:
        ServiceUnavailable: items wait to be rendered.
        InvalidInput: the search holds what cannot be combined with free text.
    """
    if not getattr(search_request, "q", None):
        return
    try:
        # As it was sent: stac-fastapi makes other terms of some.
        query = request.method == "GET"
        members = search_of_query(request.scope["query_string"]) if query else json.loads(await request.body())
        compile_search(members, request.app.state.max_limit)
    except NotCompiled as error:
        raise InvalidInput(f"free text (q) cannot be combined with {error}; use it with plain members") from error
    raise ServiceUnavailable("another program just changed items; free text finds them in a moment")


async def _apply_policy(search_request: Any, request: Request) -> None:
    """Limit a search to what the caller may read, inside the query, so that counts obey it too."""
    caller = principal_of(request)
    hidden = await request.app.state.collection_access.hidden_from(caller)
    conditions = [condition for condition in (read_filter(caller), _not_in("collection", hidden)) if condition]
    if not conditions:
        return
    if getattr(search_request, "filter_expr", None) is not None:
        conditions.append(search_request.filter_expr)
    if query := getattr(search_request, "query", None):
        conditions += conditions_of_query(query)  # pgstac takes a query or a filter
        search_request.query = None
    search_request.filter_expr = {"op": "and", "args": conditions} if len(conditions) > 1 else conditions[0]
    search_request.filter_lang = "cql2-json"


def _without_collections(arguments: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    """Return the arguments of a search for collections with a filter that leaves some out."""
    expression = arguments.get("filter_expr")
    condition = _not_in("id", hidden)
    if expression is not None:
        condition = {"op": "and", "args": [condition, parse_filter(expression, arguments.get("filter_lang"))]}
    if query := arguments.pop("query", None):
        condition = {"op": "and", "args": [condition, *conditions_of_query(json.loads(query))]}
    return {**arguments, "filter_expr": json.dumps(condition), "filter_lang": "cql2-json"}


def _not_in(name: str, values: frozenset[str]) -> dict[str, Any] | None:
    if not values:
        return None
    return {"op": "not", "args": [{"op": "in", "args": [{"property": name}, sorted(values)]}]}


def _as_geojson(answer: Any) -> Any:
    """Return stac-fastapi's ready answer, which it gives for `fields`, with the media type of GeoJSON."""
    if isinstance(answer, JSONResponse):
        return Response(answer.body, answer.status_code, media_type=GEOJSON_TYPE)
    return answer


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
