"""`GET /models/matching`: models for data; `GET /models/{model}/items`: data for a model; best first, with reasons."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from terralab.catalog.access.requests import Reader
from terralab.catalog.addresses import web_base
from terralab.catalog.aggregation_request import check_time
from terralab.catalog.errors import InvalidInput
from terralab.catalog.lineage_api import ITEM_NAME
from terralab.catalog.matching import Matched, Matches, described, items_for, models_for, offer_of
from terralab.catalog.rendering import STAC_PATH
from terralab.catalog.search_guards import check_box
from terralab.catalog.workspace import Workspace

MAX_MATCHES = 100
Limit = Annotated[int, Query(ge=1, le=MAX_MATCHES, description="at most so many")]
Box = Annotated[str | None, Query(description="west,south,east,north")]
Names = Annotated[str | None, Query(description="names, separated by commas", max_length=2000)]


def matching_router(workspace: Workspace) -> APIRouter:
    """Return the routes over a lab."""
    router = APIRouter(tags=["models"])

    @router.get("/models/matching")
    def matching_models(
        request: Request,
        caller: Reader,
        item: Annotated[str | None, Query(description="collection/item", max_length=600)] = None,
        bands: Names = None,
        sensor: Annotated[str | None, Query(description="such as sentinel-2", max_length=100)] = None,
        gsd: Annotated[float | None, Query(gt=0, le=1e6, description="metres")] = None,
        task: Annotated[str | None, Query(description="such as semantic-segmentation", max_length=100)] = None,
        bbox: Box = None,
        limit: Limit = 10,
    ) -> dict[str, Any]:
        """Return the models that can look at an item, or at data with the given bands."""
        offer = offer_of(workspace, caller, item, _names(bands), gsd, sensor, parse_box(bbox))
        return _answer(models_for(workspace, caller, offer, task, limit), request)

    @router.get("/models/{model}/items")
    def matching_items(
        model: Annotated[str, Path(pattern=ITEM_NAME, description="Id of the model's item")],
        request: Request,
        caller: Reader,
        collections: Names = None,
        bbox: Box = None,
        datetime: Annotated[str | None, Query(description="STAC datetime or interval", max_length=100)] = None,
        limit: Limit = 10,
    ) -> dict[str, Any]:
        """Return the items that a model can look at, of the newest that the search finds."""
        check_time(datetime)
        found = items_for(workspace, caller, model, limit, _names(collections), parse_box(bbox), datetime)
        return _answer(found, request)

    return router


def parse_box(text: str | None) -> list[float] | None:
    """Return the four numbers of a box.

    Raises:
        InvalidInput: they are not four finite numbers, or not longitudes and latitudes.
    """
    if text is None:
        return None
    try:
        box = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput(f"bbox must be west,south,east,north, not {text[:80]!r}") from error
    check_box(box)
    if len(box) != 4 or not (-180 <= box[0] <= 180 and -180 <= box[2] <= 180 and -90 <= box[1] <= box[3] <= 90):
        raise InvalidInput(f"bbox must be west,south,east,north in degrees, not {text[:80]!r}")
    return box


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _answer(found: Matches, request: Request) -> dict[str, Any]:
    base = web_base(request)
    return {
        "matches": [_linked(one, base) for one in found.fit],
        "unfit": [{"name": one.name, "reasons": list(one.match.reasons)} for one in found.unfit],
        "looked_at": found.looked_at,
        "complete": found.complete,
    }


def _linked(one: Matched, base: str) -> dict[str, Any]:
    collection, item = one.item["collection"], one.item["id"]
    links = [
        {
            "rel": "item",
            "href": f"{base}{STAC_PATH}/collections/{collection}/items/{item}",
            "type": "application/geo+json",
        },
        {"rel": "alternate", "href": f"{base}/items/{collection}/{item}", "type": "text/html"},
    ]
    return {**described(one), "links": links}
