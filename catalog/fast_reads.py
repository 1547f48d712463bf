"""The fast way through the STAC API: searches and items answered from the read model, as bytes.

`FastReads` stands before the router of the web process. It takes `GET` and `POST /search`,
`GET /collections/{c}/items` and `GET /collections/{c}/items/{i}` where the read model can answer exactly. Everything
else, and everything that is wrong, it hands on. The answers of both ways are the same: tests compare them, and the
benchmark does before it measures.
"""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import asyncpg
import orjson
from brotli_asgi import BrotliMiddleware
from starlette.datastructures import State
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terralab.catalog.access.paging import check_token
from terralab.catalog.access.policy import PUBLIC, Guarded, guarded, may_read, read_filter
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import principal_of
from terralab.catalog.addresses import WEB_BASE, address_of
from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.errors import InvalidInput, ServiceUnavailable
from terralab.catalog.problems import problem, status_of
from terralab.catalog.projection import Projection
from terralab.catalog.read_model import canonical, etag_of, hydrated
from terralab.catalog.read_search import Page, ReadSearch
from terralab.catalog.rendering import STAC_PATH, holds_mark, rendered, served
from terralab.catalog.search_guards import CONNECTION_WAIT_SECONDS, MAX_BODY_BYTES, database_errors
from terralab.catalog.search_links import page_links
from terralab.catalog.search_plan import SearchPlan, compile_search
from terralab.catalog.search_query import search_of_query
from terralab.catalog.signed_files import sign_body

Handler = Callable[[Scope, bytes, Send], Awaitable[bool]]
_ITEM = """
    SELECT r.body, r.hash, r.owner, r.visibility, r.project FROM lab.items r
    WHERE r.collection = $1 AND r.id = $2
    AND NOT EXISTS (SELECT 1 FROM lab.stale s WHERE s.collection = $1 AND s.id = $2)"""
_STORED_ITEM = """
    SELECT i.collection, i.id, ST_AsGeoJSON(i.geometry, 20)::jsonb, i.content,
        collection_base_item(i.collection, (i.content->>'pgstac:base_item')::int), c.content->'renders'
    FROM items i JOIN collections c ON c.id = i.collection
    WHERE i.collection = $1 AND i.id = $2"""


class FastReads:
    """Middleware of the web process, inside those that say who calls and what the address is.

    Args:
        app: the stock way.
        state: of the STAC app: `readpool` are its connections, `collection_access` says which collections a caller may
            not read, `signer` signs the addresses of private files; None where anybody may read them.
        max_limit: largest page.
    """

    def __init__(self, app: ASGIApp, state: State, max_limit: int) -> None:
        self.app, self._state, self._max_limit = app, state, max_limit
        self._search = ReadSearch()
        self._compressed = BrotliMiddleware(self._read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or self._handler(scope) is None:
            await self.app(scope, receive, send)
        elif b"br" in (encodings := _header(scope, b"accept-encoding")) or b"gzip" in encodings:
            await self._compressed(scope, receive, send)
        else:
            await self._read(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may be a fast read."""
        handler = self._handler(scope)
        assert handler is not None  # the caller has looked
        scope[WEB_BASE] = address_of(scope)
        body, replay = (b"", receive) if scope["method"] == "GET" else await _read_body(receive)
        try:
            answered = await handler(scope, body, send)
        except NotCompiled:
            answered = False
        except (InvalidInput, ServiceUnavailable) as error:
            await problem(Request(scope), status_of(error), error.code, str(error))(scope, receive, send)
            return
        if not answered:
            await self.app(scope, replay, send)

    def _handler(self, scope: Scope) -> Handler | None:
        """Return what may answer a request."""
        path, method = _path(scope), scope["method"]
        if path == "/search" and method in ("GET", "POST"):
            return self._answer_search
        if method != "GET" or not path.startswith("/collections/"):
            return None
        parts = path.split("/")
        if len(parts) == 4 and parts[3] == "items":
            return self._answer_items
        return self._answer_item if len(parts) == 5 and parts[3] == "items" else None

    async def _answer_search(self, scope: Scope, body: bytes, send: Send) -> bool:
        search = search_of_query(scope["query_string"]) if scope["method"] == "GET" else _posted(scope, body)
        return await self._answer(scope, search, None, send)

    async def _answer_items(self, scope: Scope, body: bytes, send: Send) -> bool:
        search = search_of_query(scope["query_string"])
        if search.keys() & {"collections", "ids", "intersects"}:
            return False
        return await self._answer(scope, search, unquote(_path(scope).split("/")[2]), send)

    async def _answer(self, scope: Scope, search: Mapping[str, Any], collection: str | None, send: Send) -> bool:
        """Answer a search, of one collection's items where that is not None."""
        projection = Projection.of_search(search.get("fields"))
        caller = principal_of(scope)
        hidden = await self._state.collection_access.hidden_from(caller)
        wanted = search if collection is None else {**search, "collections": [collection]}
        plan = compile_search(wanted, self._max_limit, read_filter(caller), hidden)
        if plan.token is not None and not (caller.reads_all or caller.is_admin):
            with database_errors():
                async with self._state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
                    await check_token(connection, str(search["token"]), caller, hidden)
        page = await self._page(plan)
        if page is None:
            return False
        if collection is not None and not page.items and not await self._is_readable(collection, hidden):
            return False  # the stock way says that there is no such collection
        period = self._state.signer.period() if self._state.signer else 0
        tag = _tag_of_page(scope, plan, page, period) if scope["method"] == "GET" else None
        if tag is not None and _header(scope, b"if-none-match") == tag:
            await _send(send, 304, b"", tag, caller)
        else:
            features = await self._features(scope, page, projection)
            links = page_links(scope, search, collection, page.next, page.previous)
            content = _feature_collection(features, links, page)
            await _send(send, 200, content, tag, caller)
        return True

    async def _is_readable(self, collection: str, hidden: Collection[str]) -> bool:
        with database_errors():
            async with self._state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
                exists = await connection.fetchval("SELECT EXISTS (SELECT FROM collections WHERE id = $1)", collection)
        return bool(exists) and collection not in hidden

    async def _answer_item(self, scope: Scope, body: bytes, send: Send) -> bool:
        parts = _path(scope).split("/")
        collection, item = unquote(parts[2]), unquote(parts[4])
        if scope["query_string"] or not (collection + item).isprintable():
            return False
        with database_errors():
            async with self._state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
                row = await connection.fetchrow(_ITEM, collection, item)
                found = _rendered_row(row) if row else await _render_stored(connection, collection, item)
        caller = principal_of(scope)
        if found is None or not may_read(caller, found.access, await self._state.collection_access.of(collection)):
            return False
        tag = f'"{found.etag}"'.encode()
        (private,) = await self._private([(collection, found.access.visibility)])
        # Signed addresses end sooner than what the tag stands for.
        if _header(scope, b"if-none-match") == tag and not private:
            await _send(send, 304, b"", tag, caller)
        else:
            await _send(send, 200, self._served(found.body, private, scope), tag, caller)
        return True

    async def _page(self, plan: SearchPlan) -> Page | None:
        with database_errors():
            async with self._state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
                try:
                    return await self._search.page(connection, plan)
                except (asyncpg.DataError, asyncpg.InternalServerError) as error:
                    # A geometry that PostGIS cannot read, say: the stock way says what is wrong.
                    raise NotCompiled("data") from error

    async def _features(self, scope: Scope, page: Page, projection: Projection | None) -> bytes:
        """Return the items of a page, with commas between them."""
        private = await self._private([(item.collection, item.visibility) for item in page.items])
        bodies = [item.body for item in page.items]
        if any(private) or projection is not None:
            bodies = [self._served(body, closed, scope) for body, closed in zip(bodies, private, strict=True)]
        if projection is not None:
            bodies = [projection.apply(body) for body in bodies]
        return served(b",".join(bodies), scope[WEB_BASE])

    async def _private(self, items: Sequence[tuple[str, str | None]]) -> list[bool]:
        """Return for each (collection, visibility) whether its files' addresses must be signed."""
        if self._state.signer is None:
            return [False] * len(items)
        access = {name: await self._state.collection_access.of(name) for name in {name for name, _ in items}}
        return [not {visibility, access[name].visibility} <= {None, PUBLIC} for name, visibility in items]

    def _served(self, body: bytes, private: bool, scope: Scope) -> bytes:
        """Return an item with addresses, signed where they are those of private files."""
        return served(sign_body(body, self._state.signer) if private else body, scope[WEB_BASE])


def _feature_collection(features: bytes, links: list[dict[str, Any]], page: Page) -> bytes:
    matched = {} if page.matched is None else {"numberMatched": page.matched}
    rest = orjson.dumps({"links": links, **matched, "numberReturned": len(page.items)})
    return b"".join([b'{"type":"FeatureCollection","features":[', features, b"],", rest[1:]])


@dataclass(frozen=True)
class _Rendered:
    """One item, ready to be served."""

    body: bytes
    etag: str
    access: Guarded


def _rendered_row(row: Mapping[str, Any]) -> _Rendered:
    return _Rendered(row["body"], row["hash"].hex(), Guarded(row["owner"], row["visibility"], row["project"]))


async def _render_stored(connection: asyncpg.Connection, collection: str, item: str) -> _Rendered | None:
    """Return an item that pgstac has and the read model has not yet, None where there is none."""
    row = await connection.fetchrow(_STORED_ITEM, collection, item)
    if row is None:
        return None
    *stored, renders = row
    found = hydrated(*stored)
    if holds_mark(canonical(found)):
        return None
    return _Rendered(rendered(found, renders), etag_of(found), guarded(found))


def _path(scope: Scope) -> str:
    """Return the path below the STAC API, an empty text for any other path."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.removeprefix(STAC_PATH) if path.startswith(STAC_PATH) else ""


def _posted(scope: Scope, body: bytes) -> dict[str, Any]:
    if b"json" not in _header(scope, b"content-type"):
        raise NotCompiled("content type")
    try:
        search = orjson.loads(body)
    except ValueError as error:
        raise NotCompiled("body") from error
    if not isinstance(search, dict):
        raise NotCompiled("body")
    return search


async def _read_body(receive: Receive) -> tuple[bytes, Receive]:
    """Return the body of a request (nothing, where it is too large), and what gives the same messages again."""
    messages: list[Message] = []
    size, more = 0, True
    while more and size <= MAX_BODY_BYTES:  # what is larger is refused by the stock way, which reads on
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    whole = b"".join(message.get("body", b"") for message in messages) if size <= MAX_BODY_BYTES else b""
    remaining = iter(messages)

    async def replay() -> Message:
        return next(remaining, None) or await receive()

    return whole, replay


def _tag_of_page(scope: Scope, plan: SearchPlan, page: Page, period: int) -> bytes:
    """Return the entity tag of a page: the same query of the same caller on unchanged collections has the same."""
    made_of = (scope[WEB_BASE], scope["path"], scope["query_string"], plan.where, plan.parameters, page.version, period)
    return b'"' + hashlib.blake2b(repr(made_of).encode(), digest_size=16).hexdigest().encode() + b'"'


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


async def _send(send: Send, status: int, body: bytes, tag: bytes | None, caller: Principal) -> None:
    headers = [
        (b"content-type", b"application/geo+json"),
        (b"content-length", str(len(body)).encode()),
        # Nobody may use it without asking whether it still holds; others' caches may not keep what one caller sees.
        (b"cache-control", b"no-cache" if caller.name is None else b"private, no-cache"),
        (b"vary", b"Authorization, X-API-Key"),
    ]
    if tag is not None:
        headers.append((b"etag", tag))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
