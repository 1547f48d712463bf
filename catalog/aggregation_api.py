"""The STAC API's aggregation extension: counts and histograms at /aggregate, of everything or of one collection."""

from typing import Annotated, Any

import attr
import orjson
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.responses import Response

from terralab.catalog.access.policy import read_filter
from terralab.catalog.access.requests import Reader
from terralab.catalog.addresses import web_base
from terralab.catalog.aggregation import AGGREGATIONS, Aggregation, Aggregator, Wanted, aggregations_of
from terralab.catalog.aggregation_request import wanted_of_body, wanted_of_query
from terralab.catalog.queryables_api import kind_of_collection
from terralab.catalog.rendering import STAC_PATH
from terralab.catalog.search_guards import check_body, read_connection

_CONFORMANCE = "https://api.stacspec.org/v0.3.0/aggregation"
Collection = Annotated[str, Path(description="Id of the collection")]
Text = Annotated[str | None, Query()]


@attr.s
class AggregationExtension(ApiExtension):
    """The extension, for `stac_fastapi.api.StacApi`; stac-fastapi knows it by its name and links to it."""

    conformance_classes: list[str] = attr.ib(
        factory=lambda: [_CONFORMANCE, f"{_CONFORMANCE}#query", f"{_CONFORMANCE}#filter"]
    )

    def register(self, app: FastAPI) -> None:
        """Add the routes to the STAC app."""
        app.include_router(aggregation_router())


def aggregation_links(base: str, collection: str) -> list[dict[str, str]]:
    """Return the links that a collection has to its aggregations; `base` is the address of the web process."""
    root = f"{base}{STAC_PATH}/collections/{collection}"
    return [
        {"rel": name, "type": "application/json", "title": name.capitalize(), "href": f"{root}/{name}"}
        for name in ("aggregate", "aggregations")
    ]


def aggregation_router() -> APIRouter:
    """Return the routes, below the STAC app."""
    router = APIRouter(tags=["Aggregation Extension"])
    aggregator = Aggregator()

    @router.api_route("/aggregations", methods=["GET", "POST"], name="Aggregations")
    async def aggregations(request: Request, caller: Reader) -> dict[str, Any]:
        """Say what can be counted of all items."""
        return _listed(AGGREGATIONS, request, "")

    @router.api_route(
        "/collections/{collection_id}/aggregations", methods=["GET", "POST"], name="Aggregations of a collection"
    )
    async def collection_aggregations(collection_id: Collection, request: Request, caller: Reader) -> dict[str, Any]:
        """Say what can be counted of the items of a collection."""
        return _listed(await _allowed(collection_id, request), request, f"/collections/{collection_id}")

    @router.get("/aggregate", name="Aggregate")
    async def aggregate(request: Request, caller: Reader, query: Annotated[_Query, Depends()]) -> Response:
        """Count the items that match a search."""
        wanted = wanted_of_query(dict(request.query_params), None, AGGREGATIONS)
        return await _aggregated(aggregator, wanted, request, caller, "")

    @router.post("/aggregate", name="Aggregate by POST", dependencies=[Depends(check_body)])
    async def post_aggregate(request: Request, caller: Reader) -> Response:
        """Count the items that match a search, given as the body of POST /search with `aggregations`."""
        wanted = wanted_of_body(await request.json(), None, AGGREGATIONS)
        return await _aggregated(aggregator, wanted, request, caller, "")

    @router.get("/collections/{collection_id}/aggregate", name="Aggregate a collection")
    async def aggregate_collection(
        collection_id: Collection, request: Request, caller: Reader, query: Annotated[_Query, Depends()]
    ) -> Response:
        """Count the items of a collection that match a search."""
        allowed = await _allowed(collection_id, request)
        wanted = wanted_of_query(dict(request.query_params), collection_id, allowed)
        return await _aggregated(aggregator, wanted, request, caller, f"/collections/{collection_id}")

    @router.post(
        "/collections/{collection_id}/aggregate",
        name="Aggregate a collection by POST",
        dependencies=[Depends(check_body)],
    )
    async def post_aggregate_collection(collection_id: Collection, request: Request, caller: Reader) -> Response:
        """Count the items of a collection that match a search, given as a body."""
        allowed = await _allowed(collection_id, request)
        wanted = wanted_of_body(await request.json(), collection_id, allowed)
        return await _aggregated(aggregator, wanted, request, caller, f"/collections/{collection_id}")

    return router


class _Query:
    """The members of a query string, for the description of the API; `wanted_of_query` reads them."""

    def __init__(
        self,
        aggregations: Annotated[str | None, Query(description="Names, separated by commas")] = None,
        collections: Text = None,
        ids: Text = None,
        bbox: Annotated[str | None, Query(description="west,south,east,north")] = None,
        intersects: Annotated[str | None, Query(description="GeoJSON geometry")] = None,
        datetime: Text = None,
        filter: Annotated[str | None, Query(description="CQL2")] = None,
        filter_lang: Annotated[str | None, Query(alias="filter-lang", description="cql2-text or cql2-json")] = None,
        query: Text = None,
        q: Annotated[str | None, Query(description="Words")] = None,
        datetime_frequency_interval: Annotated[str | None, Query(description="year, month or day")] = None,
        grid_geotile_frequency_precision: Annotated[str | None, Query(description="Zoom level, 0 to 22")] = None,
    ) -> None:
        pass


async def _allowed(collection: str, request: Request) -> dict[str, Aggregation]:
    """Return what can be counted of a collection.

    Raises:
        UnknownName: there is none that the caller may read.
    """
    return aggregations_of(await kind_of_collection(request, collection))


async def _aggregated(aggregator: Aggregator, wanted: Wanted, request: Request, caller: Reader, path: str) -> Response:
    hidden = await request.app.state.collection_access.hidden_from(caller)
    async with read_connection(request) as connection:
        found = await aggregator.aggregate(connection, wanted, read_filter(caller), hidden)
    answer = {"type": "AggregationCollection", "aggregations": found, "links": _links(request, f"{path}/aggregate")}
    return Response(orjson.dumps(answer), media_type="application/json")  # up to ten thousand buckets


def _listed(allowed: dict[str, Aggregation], request: Request, path: str) -> dict[str, Any]:
    entries = [
        {
            "name": name,
            "title": one.title,
            "data_type": one.data_type if one.facet is None else "frequency_distribution",
            **({} if one.facet is None else {"frequency_distribution_data_type": one.data_type}),
        }
        for name, one in allowed.items()
    ]
    return {
        "type": "AggregationCollection",
        "aggregations": entries,
        "links": _links(request, f"{path}/aggregations"),
    }


def _links(request: Request, path: str) -> list[dict[str, str]]:
    root = f"{web_base(request)}{STAC_PATH}"
    return [
        {"rel": "root", "type": "application/json", "href": f"{root}/"},
        {"rel": "self", "type": "application/json", "href": f"{root}{path}"},
    ]
