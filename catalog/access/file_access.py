"""Who may read which stored file: who may read an item or collection that refers to it, or uploaded its bytes.

A chip's file that no item refers to any more is for those who may read a dataset version that froze it.

What refers to a file is remembered for a moment, since GDAL asks for many ranges of one file; the policy is asked
about each request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any

import psycopg

from terralab.catalog.access.collections import CollectionAccess
from terralab.catalog.access.policy import Guarded, may_read
from terralab.catalog.access.principal import Principal
from terralab.catalog.database import Catalog
from terralab.extensions.dataset import DATASETS_COLLECTION

KEPT_SECONDS = 2.0
_MOST_KEPT = 10_000
_REFERENCES = """
    SELECT DISTINCT f.checksum, f.collection, i.owner, i.visibility, i.project
    FROM lab.files f LEFT JOIN lab.items i ON i.collection = f.collection AND i.id = f.id
    WHERE f.checksum = ANY(%(checksums)s) AND (i.id IS NOT NULL OR f.id = '')"""
# Chips that the catalog has no longer: the version, its chips' collection and the chip as it was must all be readable.
_FROZEN = """
    SELECT f.checksum, v.collection, v.owner, v.visibility, v.project, a.collection, f.owner, f.visibility, f.project
    FROM lab.frozen_files f JOIN lab.frozen_archives a USING (archive)
    JOIN lab.files r ON r.checksum = a.archive AND r.collection = %(versions)s AND r.id = a.version_item
    JOIN lab.items v ON v.collection = r.collection AND v.id = r.id
    WHERE f.checksum = ANY(%(checksums)s)"""
_UPLOADS = "SELECT checksum, owner FROM lab.uploads WHERE checksum = ANY(%(checksums)s)"
_ANY_STALE = "SELECT EXISTS (SELECT FROM lab.stale)"
# Items that another program changed a moment ago are not in lab.files yet.
_STALE_REFERENCES = """
    SELECT DISTINCT w.checksum, i.collection, i.content->'properties'->>'lab:owner',
        i.content->'properties'->>'lab:visibility', i.content->'properties'->>'lab:project'
    FROM (SELECT DISTINCT collection, id FROM lab.stale) s
    JOIN pgstac.items i ON i.collection = s.collection AND i.id = s.id
    CROSS JOIN unnest(%(checksums)s::text[]) AS w (checksum)
    WHERE position('asset://' || w.checksum || '/' IN i.content->>'assets') > 0"""


@dataclass(frozen=True)
class _References:
    """What refers to a file: (collection, guard of its item), who uploaded it, and versions that froze it."""

    objects: tuple[tuple[str, Guarded], ...]
    uploaders: frozenset[str]
    frozen: tuple[tuple[tuple[str, Guarded], tuple[str, Guarded]], ...] = ()

    @property
    def any(self) -> bool:
        """Say whether there is anything."""
        return bool(self.objects or self.uploaders or self.frozen)


class FileAccess:
    """Decides about stored files.

    Args:
        catalog: where the references are.
        collections: who may read which collection.
    """

    def __init__(self, catalog: Catalog, collections: CollectionAccess) -> None:
        self._catalog, self._collections = catalog, collections
        self._kept: dict[str, tuple[float, _References]] = {}
        self._lock = Lock()

    def may_read(self, caller: Principal, checksum: str) -> bool:
        """Return whether a caller may read the file with that multihash."""
        if caller.reads_all or caller.is_admin:
            return True
        return self._decide(caller, self._references(checksum))

    def unknown_to(self, caller: Principal, checksums: Sequence[str]) -> list[str]:
        """Return those of `checksums` that a caller may not refer to in what it writes.

        Else it could give itself a file by its checksum. A file that nothing refers to yet and nobody else uploaded may
        be referred to.
        """
        if caller.is_admin or not checksums:
            return []
        with self._catalog.connection() as connection:
            found = _read(connection, sorted(set(checksums)))
        return [checksum for checksum, known in found.items() if known.any and not self._decide(caller, known)]

    def _decide(self, caller: Principal, known: _References) -> bool:
        if caller.name is not None and caller.name in known.uploaders:
            return True
        if known.objects:
            return any(self._reads(caller, entry) for entry in known.objects)
        return any(self._reads(caller, version) and self._reads(caller, chip) for version, chip in known.frozen)

    def _reads(self, caller: Principal, entry: tuple[str, Guarded]) -> bool:
        collection, guard = entry
        return may_read(caller, guard, self._collections.of(collection))

    def _references(self, checksum: str) -> _References:
        now = monotonic()
        at, known = self._kept.get(checksum, (now - KEPT_SECONDS, None))
        if known is None or now - at >= KEPT_SECONDS:
            with self._catalog.connection() as connection:
                known = _read(connection, [checksum])[checksum]
            with self._lock:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[checksum] = (now, known)
        return known


def note_upload(connection: psycopg.Connection[Any], checksum: str, owner: str) -> None:
    """Remember that a user has the bytes of a file, and so may refer to it."""
    connection.execute(
        "INSERT INTO lab.uploads (checksum, owner) VALUES (%s, %s) ON CONFLICT DO NOTHING", (checksum, owner)
    )


def _read(connection: psycopg.Connection[Any], checksums: list[str]) -> dict[str, _References]:
    asked = {"checksums": checksums}
    rows = connection.execute(_REFERENCES, asked).fetchall()
    stale = connection.execute(_ANY_STALE).fetchone()
    if stale is not None and stale[0]:
        rows += connection.execute(_STALE_REFERENCES, asked).fetchall()
    uploads = connection.execute(_UPLOADS, asked).fetchall()
    frozen = connection.execute(_FROZEN, {**asked, "versions": DATASETS_COLLECTION}).fetchall()
    return {checksum: _references_of(checksum, rows, uploads, frozen) for checksum in checksums}


def _references_of(checksum: str, rows: Iterable[Any], uploads: Iterable[Any], frozen: Iterable[Any]) -> _References:
    objects = tuple(
        (collection, Guarded(owner, visibility, project))
        for of, collection, owner, visibility, project in rows
        if of == checksum
    )
    versions = tuple(
        ((row[1], Guarded(*row[2:5])), (row[5], Guarded(*row[6:9]))) for row in frozen if row[0] == checksum
    )
    return _References(objects, frozenset(owner for of, owner in uploads if of == checksum), versions)
