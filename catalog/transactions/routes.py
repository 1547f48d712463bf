"""The routes of the transactions of the STAC API, and the extension that adds them to it.

    POST    /collections                        create a collection
    PUT     /collections/{c}                    replace it
    PATCH   /collections/{c}                    change a part of it
    DELETE  /collections/{c}                    delete it with its items
    POST    /collections/{c}/items              create an item, or those of a FeatureCollection
    PUT     /collections/{c}/items/{i}          replace it
    PATCH   /collections/{c}/items/{i}          change a part of it
    DELETE  /collections/{c}/items/{i}          delete it
    POST    /collections/{c}/bulk_items         create many items, or create and replace

The work of a write is done in threads of its own: however many wait, reads go on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import anyio
import attr
from fastapi import APIRouter, FastAPI, Path, Query, Request
from stac_fastapi.types.extension import ApiExtension
from starlette.responses import Response
from starlette.types import Scope

from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Writer
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.search_guards import MAX_BODY_BYTES
from terralab.catalog.settings import Settings
from terralab.catalog.transactions import descriptions as described
from terralab.catalog.transactions.answer import Answer
from terralab.catalog.transactions.service import Transactions
from terralab.catalog.transactions.write_request import WriteRequest, read_write
from terralab.catalog.workspace import Workspace

CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
    "https://api.stacspec.org/v1.0.0/collections/extensions/transaction",
)
_WAIT_SECONDS = 5.0
_MB = 1_000_000
_ITEM = "/collections/{collection_id}/items/{item_id}"
_ITEMS = "/collections/{collection_id}/items"
_COLLECTION = "/collections/{collection_id}"
CollectionId = Annotated[str, Path(description="Id of the collection.")]
ItemId = Annotated[str, Path(description="Id of the item.")]
Mode = Annotated[
    Literal["all", "partial"],
    Query(description="Whether nothing is written where an item is bad, or the good ones are."),
]


@attr.s
class TransactionExtension(ApiExtension):
    """The transactions as an extension of a `StacApi`.

    Args:
        workspace: the lab.
    """

    workspace: Workspace = attr.ib()
    conformance_classes: list[str] = attr.ib(factory=lambda: list(CONFORMANCE))
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes to the STAC app."""
        runs = Runs(writes_at_once(self.workspace.settings.database.database_connections))
        # Who may read which collection is remembered; what changes here counts at once.
        forget = [self.workspace.views.collections.forget, lambda: app.state.collection_access.forget()]
        app.include_router(transactions_router(Transactions(self.workspace, forget), runs))


@asynccontextmanager
async def kept_connections(workspace: Workspace) -> AsyncIterator[None]:
    """Keep connections for writes, and whatever else uses the catalog of the workspace, while the app runs."""
    settings = workspace.settings
    # A write may need a second connection to look who may have a file; half of them are for that.
    most = max(2, settings.database.database_connections)
    workspace.catalog.open_pool(most, settings.api.write_timeout_s, settings.api.lock_timeout_s)
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(workspace.catalog.close_pool)


def writes_at_once(connections: int) -> int:
    """Return how many writes are done at once, so that each may take a second connection."""
    return max(1, connections // 2)


class Runs:
    """Does writes in threads of their own.

    Args:
        at_once: how many.
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._threads = anyio.CapacityLimiter(at_once)

    async def __call__(self, request: Request, caller: Principal, write: Callable[[WriteRequest], Answer]) -> Response:
        """Do one write and return its answer.

        Raises:
            LabError: what the write raises.
            ServiceUnavailable: too many others wait.
        """
        asked = await read_write(request, caller)
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise ServiceUnavailable("too many writes wait for the database; try again soon") from error
        try:
            answer = await anyio.to_thread.run_sync(write, asked, limiter=self._threads)
        finally:
            self._free.release()
        return answer.response()


def transactions_router(transactions: Transactions, runs: Runs) -> APIRouter:
    """Return the routes over the writes of a lab."""
    router = APIRouter(tags=["Transactions"])
    _add_collections(router, transactions, runs)
    _add_items(router, transactions, runs)
    return router


def _add_collections(router: APIRouter, transactions: Transactions, runs: Runs) -> None:
    @router.post("/collections", **described.create(described.COLLECTION))
    async def create_collection(request: Request, caller: Writer) -> Response:
        """Create a collection."""
        return await runs(request, caller, transactions.create_collection)

    @router.put(_COLLECTION, **described.replace(described.COLLECTION))
    async def replace_collection(collection_id: CollectionId, request: Request, caller: Writer) -> Response:
        """Replace a collection; its extent goes on to cover its items."""
        return await runs(request, caller, lambda asked: transactions.replace_collection(asked, collection_id))

    @router.patch(_COLLECTION, **described.patch())
    async def patch_collection(collection_id: CollectionId, request: Request, caller: Writer) -> Response:
        """Change a part of a collection, as it is served."""
        return await runs(request, caller, lambda asked: transactions.patch_collection(asked, collection_id))

    @router.delete(_COLLECTION, **described.delete())
    async def delete_collection(collection_id: CollectionId, request: Request, caller: Writer) -> Response:
        """Delete a collection with all of its items."""
        return await runs(request, caller, lambda asked: transactions.delete_collection(asked, collection_id))


def _add_items(router: APIRouter, transactions: Transactions, runs: Runs) -> None:
    @router.post(_ITEMS, **described.create(described.ITEM, described.ITEMS))
    async def create_items(
        collection_id: CollectionId, request: Request, caller: Writer, mode: Mode = "all"
    ) -> Response:
        """Create an item, or the items of a FeatureCollection: all of them or none."""
        return await runs(request, caller, lambda asked: transactions.create_items(asked, collection_id))

    @router.put(_ITEM, **described.replace(described.ITEM))
    async def replace_item(collection_id: CollectionId, item_id: ItemId, request: Request, caller: Writer) -> Response:
        """Replace an item, or create it with `If-None-Match: *`."""
        return await runs(request, caller, lambda asked: transactions.replace_item(asked, collection_id, item_id))

    @router.patch(_ITEM, **described.patch())
    async def patch_item(collection_id: CollectionId, item_id: ItemId, request: Request, caller: Writer) -> Response:
        """Change a part of an item, as it is served."""
        return await runs(request, caller, lambda asked: transactions.patch_item(asked, collection_id, item_id))

    @router.delete(_ITEM, **described.delete())
    async def delete_item(collection_id: CollectionId, item_id: ItemId, request: Request, caller: Writer) -> Response:
        """Delete an item."""
        return await runs(request, caller, lambda asked: transactions.delete_item(asked, collection_id, item_id))

    @router.post(f"{_COLLECTION}/bulk_items", **described.create(described.BULK_ITEMS))
    async def bulk_items(collection_id: CollectionId, request: Request, caller: Writer, mode: Mode = "all") -> Response:
        """Create many items, or create and replace (`upsert`): all of them or none."""
        return await runs(request, caller, lambda asked: transactions.bulk_items(asked, collection_id))


def largest_body(scope: Scope, settings: Settings) -> int:
    """Return how large the body of a request to the STAC app may be, bytes."""
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    writes = scope["method"] in ("PUT", "PATCH", "DELETE") or below.startswith("/collections")
    return settings.api.max_body_mb * _MB if writes else MAX_BODY_BYTES
