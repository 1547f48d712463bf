"""What a search may ask for, and what the database's errors mean to the caller.

The checks run before anything expensive: validating a CQL2 filter takes exponential time in its depth, and a polygon of
100,000 vertices keeps PostGIS busy for seconds.
"""

import json
import re
from asyncio import TimeoutError as AsyncTimeoutError
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import accumulate
from math import isfinite
from typing import Any, Literal

import asyncpg
from cql2 import Expr
from fastapi import FastAPI, Request
from stac_fastapi.pgstac.db import con_init

from terralab.catalog.cql2_sql import NotCompiled, Parameters, compile_filter
from terralab.catalog.errors import InvalidInput, ServiceUnavailable, UnsupportedMedia
from terralab.catalog.settings import ApiSettings

MAX_BODY_BYTES = 1 << 20
MAX_FILTER_DEPTH = 40  # of JSON; an operator takes two levels
MAX_FILTER_NODES = 5_000
MAX_FILTER_TEXT = 8_000
MAX_VERTICES = 5_000
_TOKEN = re.compile(r"^(next|prev):[^:\x00]+:[^\x00]+$")
CONNECTION_WAIT_SECONDS = 5
_GUARDS = {
    "application_name": "terralab-web",
    "search_path": "pgstac,public",
    "idle_in_transaction_session_timeout": "30000",
    # The API reads only, and the database holds it to that; pgstac then keeps no search cache either, so that
    # `numberMatched` is counted and never a day old.
    "default_transaction_read_only": "on",
    "pgstac.readonly": "true",
    "pgstac.context_stats_ttl": "0 seconds",
    # Starting a parallel worker takes longer than most of the queries.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_UNAVAILABLE = (
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that the server closed under way
    OSError,
    AsyncTimeoutError,
)
_NOT_MIGRATED = (
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)
# Everything else that pgstac raises on a read is about the request: each read is one function call with it inside.
_REFUSED = (
    asyncpg.DataError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.PLPGSQLError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.InternalServerError,
    UnicodeEncodeError,
)


@asynccontextmanager
async def reading_pool(app: FastAPI, database_url: str, connections: int, limits: ApiSettings) -> AsyncIterator[None]:
    """Keep a pool of read-only connections in `app.state` as stac-fastapi expects it.

    It opens none by itself, so that the web process starts and says 503 while the database is away.
    """
    guards = {
        **_GUARDS,
        "statement_timeout": str(round(1000 * limits.read_timeout_s)),
        "lock_timeout": str(round(1000 * limits.lock_timeout_s)),
    }
    async with asyncpg.create_pool(
        database_url, min_size=0, max_size=connections, init=con_init, server_settings=guards, reset=_keep_as_it_is
    ) as pool:
        app.state.readpool, app.state.get_connection = pool, read_connection
        yield


async def _keep_as_it_is(connection: asyncpg.Connection) -> None:
    """Do nothing: reads leave nothing behind that must be reset, and a reset is one more round trip for each."""


@asynccontextmanager
async def read_connection(request: Request, readwrite: Literal["r", "w"] = "r") -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection of the request's app, with the database's errors as the lab's own.

    Raises:
        InvalidInput: the database refuses the request, or the caller wants to write.
        ServiceUnavailable: the database does not answer in time.
    """
    if readwrite != "r":
        raise InvalidInput("this API reads only")
    with database_errors():
        async with request.app.state.readpool.acquire(timeout=CONNECTION_WAIT_SECONDS) as connection:
            yield connection


@contextmanager
def database_errors() -> Iterator[None]:
    """Translate what asyncpg raises; only its first line is shown, which never holds the statement."""
    try:
        yield
    except asyncpg.QueryCanceledError as error:
        raise ServiceUnavailable("the search took too long; ask for less, or try again later") from error
    except _NOT_MIGRATED as error:
        if isinstance(error, asyncpg.UndefinedFunctionError) and _first_line(error).startswith("operator"):
            raise InvalidInput(
                f"the filter calculates with what is no number ({_first_line(error)}); a name with '-' in it is written"
                ' in double quotes, such as "ml-aoi:split"'
            ) from error
        reason = f"the database is not ready ({_first_line(error)}); see `terralab doctor`"
        raise ServiceUnavailable(reason) from error
    except _REFUSED as error:
        raise InvalidInput(f"the catalog cannot answer this request: {_first_line(error)}") from error
    except _UNAVAILABLE as error:
        reason = _first_line(error) or type(error).__name__
        raise ServiceUnavailable(f"the database does not answer ({reason}); try again soon") from error


def check_filter(expression: Any) -> None:
    """Refuse a CQL2 JSON filter that is too large or not CQL2.

    Raises:
        InvalidInput: it is.
    """
    if not filter_size_is_fine(expression):
        raise InvalidInput(f"the filter is too large: at most {MAX_FILTER_DEPTH} levels, {MAX_FILTER_NODES} parts")
    if _compiles(expression):
        return  # it is valid then, which cql2 takes tens of milliseconds to say
    try:
        Expr(expression).validate()
    except Exception as error:  # cql2 raises bare exceptions
        raise InvalidInput(f"the filter is not valid CQL2: {_first_line(error)}") from error


def _compiles(expression: Any) -> bool:
    try:
        compile_filter(expression, Parameters())
    except NotCompiled:
        return False
    return True


def filter_size_is_fine(expression: Any) -> bool:
    """Say whether a CQL2 JSON filter is not too deep and not too large."""
    nodes, level = 0, [expression]
    for _ in range(MAX_FILTER_DEPTH):
        nodes += len(level)
        level = [child for node in level for child in _children(node)]
        if not level:
            break
    return not level and nodes <= MAX_FILTER_NODES


def parse_filter(text: str, language: str | None) -> Any:
    """Parse a filter of a query string and return it as CQL2 JSON, checked.

    Args:
        text: the filter.
        language: `cql2-text` or `cql2-json`.

    Raises:
        InvalidInput: it is too large or not CQL2.
    """
    if not filter_text_is_fine(text):
        raise InvalidInput(
            f"the filter is too large for an address: at most {MAX_FILTER_TEXT} characters and {MAX_FILTER_DEPTH}"
            " levels; POST it to /search"
        )
    try:
        expression = Expr(text).to_json() if language == "cql2-text" else json.loads(text)
    except Exception as error:  # cql2 raises bare exceptions
        raise InvalidInput(f"the filter is not valid {language}: {_first_line(error)}") from error
    check_filter(expression)
    return expression


def filter_text_is_fine(text: str) -> bool:
    """Say whether a filter of a query string is not too long and not too deep to be parsed."""
    depths = accumulate({"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(letter, 0) for letter in text)
    return len(text) <= MAX_FILTER_TEXT and max(depths, default=0) <= MAX_FILTER_DEPTH


def check_token(token: str | None) -> None:
    """Refuse a paging token that the API cannot have given.

    Raises:
        InvalidInput: it is one.
    """
    if token is not None and not _TOKEN.match(token):
        raise InvalidInput(f"token {token[:80]!r} is not one that this API gave; start without a token")


async def check_body(request: Request) -> None:
    """Refuse the body of a search that is not a JSON object or holds what the catalog cannot answer.

    Raises:
        InvalidInput: it is.
        UnsupportedMedia: it is not sent as JSON.
    """
    if "json" not in request.headers.get("content-type", ""):
        raise UnsupportedMedia("send the search as JSON, with Content-Type: application/json")
    try:
        body = json.loads(await request.body(), parse_constant=_refuse_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not valid JSON: {_first_line(error)}") from error
    if not isinstance(body, dict):
        raise InvalidInput('the body of a search is a JSON object, such as {"collections": ["models"]}')
    check_geometry(body.get("intersects"))


def check_box(box: Sequence[float] | None) -> None:
    """Refuse a bounding box with a number that is not finite.

    Raises:
        InvalidInput: it has one.
    """
    if box is not None and not all(isfinite(number) for number in box):
        raise InvalidInput("bbox must be finite numbers: west,south,east,north")


def split_box(box: Sequence[float] | None) -> dict[str, Any] | None:
    """Return a box that crosses longitude 180 as a MultiPolygon of its two halves, None for any other.

    pgstac would search the other side of the world.
    """
    if box is None:
        return None
    west, south, east, north = box if len(box) == 4 else (box[0], box[1], box[3], box[4])
    if west <= east:
        return None
    halves = [_ring(west, south, 180.0, north), _ring(-180.0, south, east, north)]
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in halves]}


def check_geometry(geometry: Any) -> None:
    """Refuse a geometry with too many vertices.

    Raises:
        InvalidInput: it has.
    """
    if count_vertices(geometry) > MAX_VERTICES:
        raise InvalidInput(f"the geometry has more than {MAX_VERTICES} vertices; simplify it")


def count_vertices(geometry: Any) -> int:
    """Return how many vertices a GeoJSON geometry has; counting ends just above `MAX_VERTICES`."""
    count, level = 0, [geometry]
    while level and count <= MAX_VERTICES:
        count += sum(1 for node in level if isinstance(node, list) and node and isinstance(node[0], int | float))
        level = [child for node in level for child in _children(node)]
    return count


def _children(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return list(node.values())
    return list(node) if isinstance(node, list | tuple) else []


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    return float(text) if isfinite(float(text)) else _refuse_number(text)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
