"""Whether the lab works, found out by doing what users do: search, read the database, write and read a file.

Each part is asked on its own and in time; a part that hangs is asked once, however often somebody wants to know.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp

from terralab.catalog.database import Catalog
from terralab.catalog.errors import AssetCorrupt, LabError, ServiceUnavailable
from terralab.catalog.migration import PGSTAC_VERSION, check_installed
from terralab.catalog.store import Store

LONGEST_SECONDS = 4.0
Check = Callable[[], Awaitable[Mapping[str, Any]]]
_PROBE = "readiness-probe"


@dataclass(frozen=True)
class Part:
    """How one part of the lab does.

    Attributes:
        status: `degraded` where it works, but somebody should know something.
        ms: how long the answer took, milliseconds.
        problem: why it failed.
        details: what else is known of it.
    """

    status: Literal["ok", "degraded", "failed"]
    ms: float
    problem: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        problem = {} if self.problem is None else {"problem": self.problem}
        return {"status": self.status, "ms": self.ms, **problem, **self.details}


class Readiness:
    """The checks of a lab.

    Args:
        checks: by the name of the part. A check returns details, with `degraded` among them where that is so, and
            raises LabError or OSError where the part does not work.
        longest: seconds that a check may take.
    """

    def __init__(self, checks: Mapping[str, Check], longest: float = LONGEST_SECONDS) -> None:
        self._checks, self._longest = checks, longest
        self._running: dict[str, asyncio.Task[Part]] = {}

    async def parts(self) -> dict[str, Part]:
        """Ask all parts at once."""
        found = await asyncio.gather(*(self._part(name) for name in self._checks))
        return dict(zip(self._checks, found, strict=True))

    async def _part(self, name: str) -> Part:
        task = self._running.get(name)
        if task is None or task.done():
            task = self._running[name] = asyncio.create_task(_asked(self._checks[name]))
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._longest)
        except TimeoutError:
            return Part("failed", 1000 * self._longest, f"did not answer within {self._longest:g} s")


def checks_of(catalog: Callable[[], Catalog], store: Callable[[], Store], web: ASGIApp) -> dict[str, Check]:
    """Return the checks of a lab's web process.

    Args:
        catalog: opens the catalog.
        store: opens the asset store.
        web: what answers searches at `/stac/search`, and is running.
    """

    async def search() -> Mapping[str, Any]:
        return await _search(web)

    async def database() -> Mapping[str, Any]:
        return await asyncio.to_thread(lambda: _database(catalog()))

    async def files() -> Mapping[str, Any]:
        return await asyncio.to_thread(lambda: _write_and_read(store()))

    return {"search": search, "database": database, "store": files}


async def _asked(check: Check) -> Part:
    started = perf_counter()
    try:
        details = dict(await check())
    except (LabError, OSError) as error:
        return Part("failed", _ms_since(started), str(error))
    return Part("degraded" if details.pop("degraded", False) else "ok", _ms_since(started), details=details)


async def _search(web: ASGIApp) -> Mapping[str, Any]:
    """Search as a user does."""
    transport = httpx.ASGITransport(app=web, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://readiness") as client:
        answer = await client.get("/stac/search", params={"limit": 1})
    if answer.status_code != httpx.codes.OK:
        reason = answer.json().get("detail") if "json" in answer.headers.get("content-type", "") else answer.text
        raise ServiceUnavailable(f"a search was answered with status {answer.status_code}: {reason}")
    if answer.json().get("type") != "FeatureCollection":
        raise ServiceUnavailable("a search was answered with something else than a FeatureCollection")
    return {}


def _database(catalog: Catalog) -> Mapping[str, Any]:
    """Compare what is installed with what this version needs, and count what the read model lacks."""
    with catalog.connection() as connection:
        connection.execute("SET LOCAL statement_timeout = '3s'")
        check_installed(connection)
        row = connection.execute("SELECT count(*) FROM lab.stale").fetchone()
    stale = int(row[0]) if row else 0
    return {"pgstac": PGSTAC_VERSION, "stale_items": stale, "degraded": stale > 0}


def _write_and_read(store: Store) -> Mapping[str, Any]:
    """Store a few bytes that nobody else has, read them back, and delete them."""
    content = secrets.token_bytes(32)
    stored = store.put_bytes(content, _PROBE)
    try:
        if b"".join(store.pieces(stored.checksum)) != content:
            raise AssetCorrupt(f"the store {store.place} gave back other bytes than it took")
    finally:
        store.remove([stored.checksum])
    return {}


def _ms_since(started: float) -> float:
    return round(1000 * (perf_counter() - started), 1)
