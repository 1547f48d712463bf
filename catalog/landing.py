"""The landing page: what the lab holds, what it made last, and where everything is; HTML, or the same as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Reader
from terralab.catalog.access.views import View
from terralab.catalog.addresses import web_base
from terralab.catalog.browser import PATH as BROWSER
from terralab.catalog.browser import has_browser
from terralab.catalog.pages import render_page
from terralab.catalog.served_items import map_links, renders_of, thumbnail_url
from terralab.catalog.workspace import Workspace
from terralab.extensions.lab import (
    FINISHED_PROP,
    KIND_PROP,
    METRICS_PROP,
    PRODUCED_REL,
    RUN_TYPE_PROP,
    STARTED_PROP,
    STATUS_PROP,
    Kind,
)
from terralab.extensions.run import RUNS_COLLECTION

SHOWN_ITEMS = 12
SHOWN_RUNS = 8
_READ_RUNS = 40
_KINDS_OF_ITEMS = [kind.value for kind in Kind if kind not in (Kind.RUN, Kind.CHIPS)]


@dataclass(frozen=True)
class Card:
    """One item as the page shows it; addresses are absolute.

    Attributes:
        title: for people.
        kind: `lab:kind`.
        time: when it was made; of the data where that is not known. RFC 3339.
        page: its page.
        stac: its STAC JSON.
        image: thumbnail, where there is one.
        map: map page, where there is one.
        metric: best known figure, such as `test mIoU 0.87`.
    """

    title: str
    kind: str
    time: str | None
    page: str
    stac: str
    image: str | None
    map: str | None
    metric: str | None


def landing_router(workspace: Workspace, tiles: bool) -> APIRouter:
    """Return the route `/` over a lab; `tiles` says whether tiles are served beside it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def landing(request: Request, caller: Reader) -> Response:
        """Answer with the landing page, or the same as JSON where the client asks for that."""
        base = web_base(request)
        content = landing_content(workspace, caller, base, tiles)
        if wants_json(request):
            return JSONResponse(content)
        return render_page("landing.html", base, **content)

    return router


def landing_content(workspace: Workspace, caller: Principal, base: str, tiles: bool) -> dict[str, Any]:
    """Return what the landing page shows a caller, as JSON values."""
    view = workspace.views.of(caller)
    counts = view.counts()
    order = [kind.value for kind in Kind]
    runs = latest_runs(view)
    renders = {entry["id"]: entry.get("renders") or {} for entry in view.collections()} if tiles else None
    return {
        "title": "TerraLab",
        "counts": dict(sorted(counts.items(), key=lambda entry: (*_place(order, entry[0]), entry[0]))),
        "items": [asdict(card) for card in latest_items(view, runs, renders, base)],
        "runs": [_run_row(run, base) for run in runs[:SHOWN_RUNS]],
        "links": {
            "stac": f"{base}/stac/",
            "api": f"{base}/stac/api.html",
            **({"browser": f"{base}{BROWSER}/"} if has_browser(workspace.settings) else {}),
            **({"tiles": f"{base}/tiles/api.html"} if tiles else {}),
            "prefect": workspace.settings.prefect.url,
        },
    }


def latest_runs(view: View) -> list[dict[str, Any]]:
    """Return the runs that started last, newest first."""
    newest_first = [{"field": STARTED_PROP, "direction": "desc"}]
    return list(view.search(limit=_READ_RUNS, collections=[RUNS_COLLECTION], sortby=newest_first))


def latest_items(view: View, runs: list[dict[str, Any]], renders: Mapping[str, Any] | None, base: str) -> list[Card]:
    """Return what `runs` made, newest first, and where that is little, the newest data of the catalog.

    Args:
        view: the catalog as the caller sees it.
        runs: newest first.
        renders: render presets by collection; None where no tiles are served.
        base: address of the web process.
    """
    made: dict[str, str | None] = {}
    for run in runs:
        for link in run["links"]:
            if link["rel"] == PRODUCED_REL:
                collection, item = link["href"].split("/")[1::2]
                made.setdefault(f"{collection}/{item}", run["properties"].get(FINISHED_PROP))
    names = list(made)[:SHOWN_ITEMS]
    items = {f"{item['collection']}/{item['id']}": item for item in view.items(names)}
    if len(items) < SHOWN_ITEMS:
        known = {"op": "in", "args": [{"property": KIND_PROP}, _KINDS_OF_ITEMS]}
        for item in view.search(limit=SHOWN_ITEMS, filter=known):
            items.setdefault(f"{item['collection']}/{item['id']}", item)
    ordered = [*(name for name in names if name in items), *(name for name in items if name not in made)]
    shown = [(view.addressed(items[name], base), made.get(name)) for name in ordered[:SHOWN_ITEMS]]
    return [card_of_item(item, renders, base, when) for item, when in shown]


def card_of_item(
    item: Mapping[str, Any], renders: Mapping[str, Any] | None, base: str, made: str | None = None
) -> Card:
    """Return an item as the page shows it.

    Args:
        item: stored item.
        renders: render presets by collection, for items without their own; None where no tiles are served.
        base: address of the web process.
        made: when its run ended, where that is known.
    """
    properties = item["properties"]
    name = f"{item['collection']}/{item['id']}"
    shown = {} if renders is None else renders_of(item) or renders.get(item["collection"], {})
    maps = [link["href"] for link in map_links(item, shown, base) if link["rel"] == "preview"]
    return Card(
        str(properties.get("title") or item["id"]),
        str(properties.get(KIND_PROP, "other")),
        made or properties.get("datetime") or properties.get("start_datetime"),
        f"{base}/items/{name}",
        f"{base}/stac/collections/{item['collection']}/items/{item['id']}",
        thumbnail_url(item, shown, base),
        maps[0] if maps else None,
        _metric(properties.get(METRICS_PROP) or {}),
    )


def wants_json(request: Request) -> bool:
    """Say whether the client asks for JSON rather than for a page."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _run_row(run: Mapping[str, Any], base: str) -> dict[str, Any]:
    properties = run["properties"]
    return {
        "id": run["id"],
        "type": properties.get(RUN_TYPE_PROP),
        "status": properties.get(STATUS_PROP),
        "started": properties.get(STARTED_PROP),
        "page": f"{base}/items/{run['collection']}/{run['id']}",
        "error": (properties.get("lab:error") or {}).get("message"),
    }


def _metric(metrics: Mapping[str, Any]) -> str | None:
    value = metrics.get("test_miou")
    return f"test mIoU {value:.3f}" if isinstance(value, int | float) else None


def _place(order: list[str], kind: str) -> tuple[int]:
    return (order.index(kind) if kind in order else len(order),)
