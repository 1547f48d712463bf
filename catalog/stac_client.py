"""How stac-fastapi's own searches and collections are answered: guarded, limited to the caller, and addressed.

What the read model answers (`terralab.catalog.fast_reads`) never comes here.
"""

import json
from collections.abc import Iterable
from time import monotonic
from typing import Any
from urllib.parse import unquote_plus

from fastapi import Request
from geojson_pydantic import MultiPolygon
from stac_fastapi.pgstac.core import CoreCrudClient
from stac_fastapi.types.errors import NotFoundError
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.paging import check_token_item
from terralab.catalog.access.policy import PUBLIC, guarded
from terralab.catalog.access.requests import principal_of
from terralab.catalog.addresses import web_base
from terralab.catalog.aggregation_api import aggregation_links
from terralab.catalog.collection_answer import collection_answer
from terralab.catalog.croissant_api import croissant_link
from terralab.catalog.projects_api import landing_links, related_links
from terralab.catalog.queryables_api import sortables_link
from terralab.catalog.search_guards import (
    check_box,
    check_filter,
    check_geometry,
    check_token,
    parse_filter,
    split_box,
)
from terralab.catalog.search_plan import DEFAULT_LIMIT
from terralab.catalog.search_policy import apply_policy, refuse_free_text, without_collections
from terralab.catalog.served_items import add_map_links, address_assets, page_link, renders_of, restore_nulls
from terralab.catalog.signed_files import sign_assets
from terralab.extensions.item import GEOJSON_TYPE

RENDERS_KEPT_SECONDS = 30.0


class LabClient(CoreCrudClient):
    """stac-fastapi's client with guarded searches and addressed results."""

    async def _search_base(self, search_request: Any, request: Request) -> Any:
        check_token(getattr(search_request, "token", None))
        await check_token_item(getattr(search_request, "token", None), request)
        if (expression := getattr(search_request, "filter_expr", None)) is not None:
            check_filter(expression)
        check_box(search_request.bbox)
        await refuse_free_text(search_request, request)
        if halves := split_box(search_request.bbox):
            search_request.bbox, search_request.intersects = None, MultiPolygon(**halves)
        search_request.conf = None  # a client may not change pgstac's settings
        search_request.limit = min(search_request.limit or DEFAULT_LIMIT, request.app.state.max_limit)
        await apply_policy(search_request, request)
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
            kwargs = without_collections(kwargs, hidden)
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


def _address_all(collections: list[dict[str, Any]], request: Request) -> None:
    base, signer = web_base(request), request.app.state.signer
    for collection in collections:
        address_assets(collection, base)
        if signer is not None and guarded(collection).visibility not in (None, PUBLIC):
            sign_assets(collection, base, signer)
        if "links" in collection and "id" in collection:
            name = collection["id"]
            collection["links"] += [
                sortables_link(base, name),
                croissant_link(base, name),
                *aggregation_links(base, name),
            ]


def _as_geojson(answer: Any) -> Any:
    """Return stac-fastapi's ready answer, which it gives for `fields`, with the media type of GeoJSON."""
    if isinstance(answer, JSONResponse):
        return Response(answer.body, answer.status_code, media_type=GEOJSON_TYPE)
    return answer
