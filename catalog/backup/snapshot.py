"""Taking a backup of the catalog and its store beside writers."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from terralab.catalog.backup.database import indexes_of, partitions_of, write_database
from terralab.catalog.backup.files import Tell, write_files
from terralab.catalog.backup.manifest import FILES, Manifest
from terralab.catalog.errors import SetupProblem
from terralab.catalog.migration import pgstac_version
from terralab.catalog.stored_bytes import hold_off_collector
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.item import format_time

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_COUNTS = "SELECT collection, count(*) FROM items GROUP BY 1 ORDER BY 1"


def take_snapshot(
    workspace: Workspace,
    folder: Path,
    *,
    include_files: bool,
    link: bool,
    trees: Iterable[str] = (),
    tell_step: Callable[[str], None],
    tell_files: Tell,
) -> Manifest:
    """Write database and store into a folder and return the manifest, which the caller completes and writes.

    The database is read first, in one snapshot; what the store gained since does no harm. Until both are read, the
    collection of garbage deletes nothing.

    Args:
        workspace: the lab.
        folder: of the backup.
        include_files: take the files of the store, not only their names.
        link: by hard links where the disk is the same.
        trees: `<md5>.dir` of trees that the repository of versions tracks.
        tell_step: takes what is being written.
        tell_files: takes the progress of files.

    Raises:
        SetupProblem: the database holds no catalog, or has more partitions than it can lock at once.
    """
    pgstac = pgstac_version(workspace.catalog.url)
    if pgstac is None:
        raise SetupProblem("the database holds no catalog; `terralab up` makes one")
    with workspace.catalog.connection() as guard:
        hold_off_collector(guard)
        with workspace.catalog.connection() as connection:
            connection.execute(_SNAPSHOT)
            found = _read_database(connection, folder, tell_step)
        tell_step("stored files")
        files = write_files(workspace, folder, include_files, link, trees, tell_files)
    return Manifest(
        created=format_time(datetime.now(UTC).replace(microsecond=0)),
        versions={"terralab": version("terralab"), "pgstac": pgstac, **found.pop("versions")},
        files=files,
        checksums={FILES: multihash_of_file(folder / FILES)},
        **found,
    )


def _read_database(connection: psycopg.Connection[Any], folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    try:
        return {
            "tables": write_database(connection, folder, tell),
            "partitions": partitions_of(connection),
            "indexes": indexes_of(connection),
            "counts": dict(connection.execute(_COUNTS).fetchall()),
            "schema": _one(connection, "SELECT hash FROM lab.installed"),
            "versions": {
                "postgresql": _one(connection, "SHOW server_version"),
                "postgis": _one(connection, "SELECT postgis_lib_version()"),
            },
        }
    except psycopg.errors.OutOfMemory as error:
        raise SetupProblem(
            "the database cannot lock all its partitions at once; raise max_locks_per_transaction in its settings"
        ) from error


def _one(connection: psycopg.Connection[Any], query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # each gives one row
    return str(row[0])
