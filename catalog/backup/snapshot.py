"""Taking a backup of the catalog and its store beside writers."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from terralab.catalog.backup.database import write_database
from terralab.catalog.backup.files import Tell, write_files
from terralab.catalog.backup.manifest import FILES, Manifest
from terralab.catalog.errors import SetupProblem
from terralab.catalog.migration import pgstac_version
from terralab.catalog.stored_bytes import hold_off_collector
from terralab.catalog.workspace import Workspace
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.item import format_time


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
        SetupProblem: the database holds no catalog.
        ServiceUnavailable: a collection was deleted before its items were read.
    """
    pgstac = pgstac_version(workspace.catalog.url)
    if pgstac is None:
        raise SetupProblem("the database holds no catalog; `terralab up` makes one")
    with workspace.catalog.connection() as guard:
        hold_off_collector(guard)
        row = guard.execute("SELECT current_setting('server_version'), postgis_lib_version()").fetchone()
        found = write_database(workspace.catalog, folder, tell_step)
        tell_step("stored files")
        files = write_files(workspace, folder, include_files, link, trees, tell_files)
    assert row is not None  # it gives one row
    return Manifest(
        created=format_time(datetime.now(UTC).replace(microsecond=0)),
        versions={"terralab": version("terralab"), "pgstac": pgstac, "postgresql": row[0], "postgis": row[1]},
        schema=found.schema,
        counts=found.counts(),
        tables=found.tables,
        partitions=found.partitions,
        indexes=found.indexes,
        files=files,
        checksums={FILES: multihash_of_file(folder / FILES)},
    )
