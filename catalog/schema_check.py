"""Whether a database still has everything that the migration made, and every collection that items belong to."""

from typing import Any

import psycopg

from terralab.catalog.errors import SetupProblem

_SHOWN = 4
_REMEDY = (
    "it was restored by `pg_restore`, which cannot restore pgstac, or changed by hand; restore a backup with"
    " `terralab restore` (docs/backup.md)"
)
_LOST = "SELECT kind, name FROM lab.objects EXCEPT SELECT kind, name FROM lab.present_objects"
_HOMELESS = """
    SELECT DISTINCT collection FROM pgstac.partition_stats WHERE collection IS NOT NULL
    EXCEPT SELECT id FROM pgstac.collections ORDER BY 1"""


def check_objects(connection: psycopg.Connection[Any]) -> int:
    """Compare a database with what the migration noted, and return how many things that are.

    Raises:
        SetupProblem: something is lost.
    """
    if not _has(connection, "lab.objects") or not _has(connection, "lab.present_objects"):
        raise SetupProblem(f"the database has pgstac but not the lab's own tables: {_REMEDY}, or start the lab once")
    lost = sorted(connection.execute(_LOST).fetchall(), key=lambda row: (row[0] != "table", *row))
    if lost:
        raise SetupProblem(f"the database lost {_listed([f'the {kind} {name}' for kind, name in lost])}: {_REMEDY}")
    homeless = [row[0] for row in connection.execute(_HOMELESS).fetchall()]
    if homeless:
        raise SetupProblem(f"the database has items of collections that are lost, {_listed(homeless)}: {_REMEDY}")
    row = connection.execute("SELECT count(*) FROM lab.objects").fetchone()
    return int(row[0]) if row else 0


def _has(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return bool(row and row[0])


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
