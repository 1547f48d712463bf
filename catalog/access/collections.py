"""Which collections a caller may not read, from memory: few are restricted, and every request asks.

What another process changes counts within `KEPT_SECONDS`; who changes a collection in this process calls `forget`.
"""

from asyncio import Lock as AsyncLock
from collections.abc import Awaitable, Callable, Iterable, Mapping
from threading import Lock
from time import monotonic
from typing import Any

import psycopg

from terralab.catalog.access.policy import OPEN, PRIVATE, PROJECT, PUBLIC, Guarded, may_read_collection
from terralab.catalog.access.principal import Principal

KEPT_SECONDS = 2.0
_RESTRICTED = (
    "SELECT id, content->>'lab:owner', content->>'lab:visibility', content->>'lab:project' FROM pgstac.collections"
    " WHERE content ? 'lab:visibility'"
)


def restricted_collections(connection: psycopg.Connection[Any]) -> dict[str, Guarded]:
    """Return the collections that say who may read them, by id, over psycopg."""
    return _by_id(connection.execute(_RESTRICTED).fetchall())


async def fetch_restricted_collections(connection: Any) -> dict[str, Guarded]:
    """Return the same over asyncpg."""
    return _by_id([tuple(row) for row in await connection.fetch(_RESTRICTED)])


class _Memory:
    """What was read last, unless it is too old or was forgotten while it was being read."""

    def __init__(self) -> None:
        self._collections: Mapping[str, Guarded] = {}
        self._at = -KEPT_SECONDS
        self._changes = 0

    def fresh(self) -> Mapping[str, Guarded] | None:
        """Return the restricted collections where they are known well enough."""
        return self._collections if monotonic() - self._at < KEPT_SECONDS else None

    def moment(self) -> tuple[float, int]:
        """Return the moment at which a reading begins, for `keep`."""
        return monotonic(), self._changes

    def keep(self, collections: Mapping[str, Guarded], moment: tuple[float, int]) -> None:
        """Keep what was read, unless something changed meanwhile."""
        if moment[1] == self._changes:
            self._collections, self._at = collections, moment[0]

    def forget(self) -> None:
        """Read anew, as after a change."""
        self._at, self._changes = -KEPT_SECONDS, self._changes + 1


class CollectionAccess:
    """The restricted collections, at most `KEPT_SECONDS` old.

    Args:
        load: reads them, as by `restricted_collections`.
    """

    def __init__(self, load: Callable[[], Mapping[str, Guarded]]) -> None:
        self._load, self._lock, self._memory = load, Lock(), _Memory()
        self.forget = self._memory.forget

    def hidden_from(self, principal: Principal) -> frozenset[str]:
        """Return the ids of the collections that a caller may not read."""
        if principal.reads_all or principal.is_admin:
            return frozenset()
        return _hidden(principal, self._collections())

    def of(self, collection: str) -> Guarded:
        """Return what decides who may read a collection."""
        return self._collections().get(collection, OPEN)

    def _collections(self) -> Mapping[str, Guarded]:
        if (known := self._memory.fresh()) is not None:
            return known
        with self._lock:  # many requests ask at once: the first reads, the others wait
            if (known := self._memory.fresh()) is not None:
                return known
            moment = self._memory.moment()
            found = self._load()
            self._memory.keep(found, moment)
            return found


class AsyncCollectionAccess:
    """The same for an event loop.

    Args:
        load: reads them, as by `fetch_restricted_collections`.
    """

    def __init__(self, load: Callable[[], Awaitable[Mapping[str, Guarded]]]) -> None:
        self._load, self._lock, self._memory = load, AsyncLock(), _Memory()
        self.forget = self._memory.forget

    async def hidden_from(self, principal: Principal) -> frozenset[str]:
        """Return the ids of the collections that a caller may not read."""
        if principal.reads_all or principal.is_admin:
            return frozenset()
        return _hidden(principal, await self._collections())

    async def of(self, collection: str) -> Guarded:
        """Return what decides who may read a collection."""
        return (await self._collections()).get(collection, OPEN)

    async def _collections(self) -> Mapping[str, Guarded]:
        if (known := self._memory.fresh()) is not None:
            return known
        async with self._lock:
            if (known := self._memory.fresh()) is not None:
                return known
            moment = self._memory.moment()
            found = await self._load()
            self._memory.keep(found, moment)
            return found


def _hidden(principal: Principal, collections: Mapping[str, Guarded]) -> frozenset[str]:
    return frozenset(id for id, thing in collections.items() if not may_read_collection(principal, thing))


def _by_id(rows: Iterable[Any]) -> dict[str, Guarded]:
    known = (None, PRIVATE, PROJECT, PUBLIC)
    return {
        id: Guarded(owner, visibility if visibility in known else PRIVATE, project)
        for id, owner, visibility, project in rows
    }
