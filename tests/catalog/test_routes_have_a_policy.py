"""Every route of every app says what it asks of its caller; a route that was forgotten fails here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.applications import Starlette
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from terralab.catalog.access.requests import Access, Admin, Public, Reader, Reads, Writes
from terralab.catalog.addresses import Mounted
from terralab.catalog.app import create_app
from terralab.catalog.workspace import Workspace
from terralab.tiler.app import create_tiler_app

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
# A search is a question, whatever its method.
ASKING = {
    ("POST", "/stac/search"),
    ("POST", "/stac/aggregate"),
    ("POST", "/stac/catalogs/{catalog_id}/search"),
    ("POST", "/stac/aggregations"),
    ("POST", "/stac/collections/{collection_id}/aggregate"),
    ("POST", "/stac/collections/{collection_id}/aggregations"),
}
TRANSPARENT = (Mounted, RequestBodyLimitMiddleware)
PASSING_ON = {
    "Authenticate",
    "BodyLimits",
    "BrotliMiddleware",
    "CORSMiddleware",
    "PublicAddress",
    "RequestRecord",
    "TrustedProxies",
}
ANSWERING = {"FastReads"}


@dataclass(frozen=True)
class Found:
    """A route as the walk finds it: its whole path, its methods, and what it asks of its caller (None: nothing)."""

    path: str
    methods: frozenset[str]
    access: tuple[Access, ...]


def walk(app: Any, prefix: str = "") -> Iterator[Found]:
    """Yield all routes of an app and of what is mounted in it.

    What the walk does not understand counts as a route without a policy.
    """
    while isinstance(app, TRANSPARENT):
        app = app.app
    if isinstance(app, StaticFiles):
        yield Found(f"{prefix}/*", frozenset({"GET"}), (Public,))  # a folder of the package
    elif isinstance(app, Starlette | Router):
        for context in iter_route_contexts(app.routes):
            yield from _of_route(context, prefix, app)
    else:
        yield Found(f"{prefix}/* ({type(app).__name__})", frozenset(), ())


def _of_route(context: RouteContext, prefix: str, app: Any) -> Iterator[Found]:
    route, path = context.original_route, f"{prefix}{context.path or ''}"
    methods = frozenset(context.methods or ()) - {"HEAD", "OPTIONS"}
    if isinstance(route, Mount):
        yield from walk(context.app, path)
    elif isinstance(route, Host):
        yield from walk(context.app, f"{prefix}@{route.host}")
    elif isinstance(route, APIRoute):
        yield Found(path, methods, tuple(_access_of(context.dependant)))
    elif isinstance(route, Route) and isinstance(app, FastAPI) and context.path == app.openapi_url:
        yield Found(path, methods, (Public,))  # FastAPI's own: the names of routes
    else:
        yield Found(path, methods, ())


def _access_of(dependant: Dependant) -> Iterator[Access]:
    if isinstance(dependant.call, Access):
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _access_of(inner)


@pytest.fixture
def routes(workspace: Workspace) -> list[Found]:
    app = create_app(workspace.settings, {"/tiles": create_tiler_app(workspace.settings)})
    return list(walk(app))


def test_every_route_has_a_policy(routes: list[Found]) -> None:
    without = sorted(f"{' '.join(sorted(found.methods))} {found.path}" for found in routes if not found.access)
    assert not without, f"these name none of Public, Reads, Writes and Admin: {without}"


def test_what_changes_something_needs_a_scope(routes: list[Found]) -> None:
    open_ones = sorted(
        f"{method} {found.path}"
        for found in routes
        for method in found.methods & CHANGING
        if (method, found.path) not in ASKING and not {Writes, Admin} & set(found.access)
    )
    assert not open_ones


def test_the_walk_sees_all_apps(routes: list[Found]) -> None:
    paths = {found.path for found in routes}
    assert {
        "/",
        "/files/{checksum}/{name}",
        "/lineage/{collection}/{item}",
        "/stac/search",
        "/stac/collections/{collection_id}/items/{item_id}",
        "/tiles/collections/{collection}/items/{item}/assets/{asset}/info",
        "/tiles/static/*",
    } <= paths


def test_what_shows_objects_asks_who_reads_them(routes: list[Found]) -> None:
    """Routes with a collection, an item or a file in their path are not `Public`."""
    named = ("{collection", "{item", "{checksum", "/search", "/stac/collections")
    public = {found.path for found in routes if any(name in found.path for name in named) and Public in found.access}
    assert not public


def test_no_middleware_answers_unseen(workspace: Workspace) -> None:
    """Middleware can answer before any route does; who adds one looks at what it shows, and names it here."""
    seen: set[str] = set()
    apps: list[Any] = [create_app(workspace.settings, {"/tiles": create_tiler_app(workspace.settings)})]
    while apps:
        app = apps.pop()
        while isinstance(app, TRANSPARENT):
            app = app.app
        seen |= {entry.cls.__name__ for entry in getattr(app, "user_middleware", [])}
        apps += [route.app for route in getattr(app, "routes", []) if isinstance(route, Mount)]
    assert seen - PASSING_ON == ANSWERING


async def bare() -> None:
    """Stand for an endpoint that names no policy."""


def _on_app(app: FastAPI, inner: FastAPI) -> None:
    app.add_api_route("/bad", bare)


def _in_router(app: FastAPI, inner: FastAPI) -> None:
    router, outer = APIRouter(), APIRouter()
    router.add_api_route("/bad", bare)
    outer.include_router(router, prefix="/deeper")
    app.include_router(outer, prefix="/deep")


def _mounted(app: FastAPI, inner: FastAPI) -> None:
    inner.add_api_route("/bad", bare)
    app.mount("/inner", inner)


def _in_mounted_router(app: FastAPI, inner: FastAPI) -> None:
    router = APIRouter()
    inner.add_api_route("/bad", bare)
    router.mount("/inner", inner)
    app.include_router(router, prefix="/deep")


def _wrapped(app: FastAPI, inner: FastAPI) -> None:
    inner.add_api_route("/bad", bare)
    app.router.routes.append(Mount("/inner", Mounted(Mounted(inner)), max_body_size=10))


def _nested(app: FastAPI, inner: FastAPI) -> None:
    inner.add_api_route("/bad", bare)
    app.mount("/outer", Router([Mount("/inner", inner)]))


def _web_socket(app: FastAPI, inner: FastAPI) -> None:
    app.router.routes.append(WebSocketRoute("/bad", bare))


def _plain(app: FastAPI, inner: FastAPI) -> None:
    app.router.routes.append(Route("/bad", bare))


def _other_app(app: FastAPI, inner: FastAPI) -> None:
    app.mount("/bad", JSONResponse({}))


PLACES = [_on_app, _in_router, _mounted, _in_mounted_router, _wrapped, _nested, _web_socket, _plain, _other_app]


@pytest.mark.parametrize("place", PLACES)
def test_a_forgotten_route_is_found_wherever_it_is(place: Callable[[FastAPI, FastAPI], None]) -> None:
    app, inner = (FastAPI(docs_url=None, redoc_url=None) for _ in range(2))
    app.add_api_route("/good", bare, dependencies=[Depends(Reads)])
    inner.add_api_route("/good", bare, dependencies=[Depends(Writes)])
    place(app, inner)
    without = [found.path for found in walk(app) if not found.access]
    assert len(without) == 1
    assert "/bad" in without[0]


def test_a_policy_is_found_wherever_it_is_named() -> None:
    app, router, outer = FastAPI(docs_url=None, redoc_url=None), APIRouter(), APIRouter(dependencies=[Depends(Writes)])

    @router.get("/argument")
    def argument(caller: Reader) -> None: ...

    router.add_api_route("/inherited", bare)
    outer.include_router(router, prefix="/deeper")
    app.include_router(outer, prefix="/deep", dependencies=[Depends(Public)])
    assert {found.path: set(found.access) for found in walk(app)} == {
        "/openapi.json": {Public},
        "/deep/deeper/argument": {Public, Writes, Reads},
        "/deep/deeper/inherited": {Public, Writes},
    }
