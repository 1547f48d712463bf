"""Projects of an export, put beside those that the lab has."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from terralab.catalog.audit import ObjectChange, note_changes
from terralab.catalog.errors import InvalidInput
from terralab.catalog.read_model import etag_of
from terralab.catalog.workspace import Workspace
from terralab.extensions.ids import is_valid_id

# Structure changes one by one, so that no two of them make a circle together.
_ALONE = "LOCK TABLE lab.projects IN SHARE ROW EXCLUSIVE MODE"
_WRITE = """
    INSERT INTO lab.projects VALUES (%s, %s::jsonb)
    ON CONFLICT (id) DO UPDATE SET content = excluded.content WHERE lab.projects.content <> excluded.content
    RETURNING 1"""
_PARENT = "INSERT INTO lab.project_catalogs VALUES (%s, %s) ON CONFLICT DO NOTHING"
_MEMBER = "INSERT INTO lab.project_collections VALUES (%s, %s) ON CONFLICT DO NOTHING"
_CIRCLE = """
    WITH RECURSIVE below (top, id) AS (
        SELECT parent, child FROM lab.project_catalogs
        UNION SELECT b.top, c.child FROM below b JOIN lab.project_catalogs c ON c.parent = b.id)
    SELECT top FROM below WHERE top = id LIMIT 1"""
_OBJECT = "projects"


def write_projects(workspace: Workspace, projects: Iterable[Mapping[str, Any]], writer: str) -> int:
    """Make or replace projects, and add what they hold; return how many were made or changed.

    Args:
        workspace: the lab.
        projects: `id`, `content`, `parents` and `collections` of each.
        writer: name for the audit log.

    Raises:
        InvalidInput: one is malformed, or they would be inside one another in a circle.
    """
    written = 0
    entries = list(projects)
    with workspace.catalog.connection() as connection:
        connection.execute(_ALONE)
        for entry in entries:
            id, content = entry["id"], entry["content"]
            if not is_valid_id(id) or not isinstance(content, dict):
                raise InvalidInput(f"the export holds no project that could be called {id!r}")
            row = connection.execute("SELECT content FROM lab.projects WHERE id = %s", (id,)).fetchone()
            if connection.execute(_WRITE, (id, orjson.dumps(content).decode())).fetchone():
                written += 1
                before = etag_of(row[0]) if row else None
                note_changes(connection, writer, [ObjectChange(_OBJECT, id, before, etag_of(content))])
        for entry in entries:
            for parent in entry["parents"]:
                connection.execute(_PARENT, (parent, entry["id"]))
            for collection in entry["collections"]:
                connection.execute(_MEMBER, (entry["id"], collection))
        if circle := connection.execute(_CIRCLE).fetchone():
            raise InvalidInput(f"project {circle[0]!r} would be inside itself; take it out of one of its parents first")
    return written
