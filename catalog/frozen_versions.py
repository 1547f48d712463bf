"""Frozen dataset versions in the database: which archives of items are the lab's own, and whose files they have."""

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from terralab.catalog.access.policy import guarded

_NOTE = """
    INSERT INTO lab.frozen_archives (archive, version_item, collection) VALUES (%s, %s, %s)
    ON CONFLICT (archive) DO UPDATE SET version_item = excluded.version_item, collection = excluded.collection"""
_STAGE = "CREATE TEMP TABLE frozen_now (checksum text, owner text, visibility text, project text) ON COMMIT DROP"
_FILES = """
    INSERT INTO lab.frozen_files (checksum, archive, owner, visibility, project)
    SELECT DISTINCT ON (checksum) checksum, %s, owner, visibility, project FROM frozen_now
    ORDER BY checksum, visibility NULLS LAST ON CONFLICT DO NOTHING"""
_KNOWN = "SELECT EXISTS (SELECT FROM lab.frozen_archives WHERE archive = %s AND version_item = %s AND collection = %s)"


def note_archive(
    connection: psycopg.Connection[Any],
    archive: str,
    version_item: str,
    collection: str,
    chips: Iterable[Mapping[str, Any]],
) -> None:
    """Note an archive of frozen items that the lab wrote.

    Args:
        connection: in a transaction.
        archive: multihash of the file.
        version_item: id of the version's item.
        collection: whose chips it froze.
        chips: the items in it.
    """
    connection.execute(_NOTE, (archive, version_item, collection))
    connection.execute(_STAGE)
    with connection.cursor().copy("COPY frozen_now FROM STDIN") as rows:
        for chip in chips:
            guard = guarded(chip)
            for asset in chip["assets"].values():
                if checksum := asset.get("file:checksum"):
                    rows.write_row((checksum, guard.owner, guard.visibility, guard.project))
    connection.execute(_FILES, (archive,))


def is_noted(connection: psycopg.Connection[Any], archive: str, version_item: str, collection: str) -> bool:
    """Say whether an archive is the lab's own, of that version."""
    row = connection.execute(_KNOWN, (archive, version_item, collection)).fetchone()
    return bool(row and row[0])
