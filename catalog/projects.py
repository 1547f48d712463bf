"""Projects: STAC catalogs that order collections, as one caller may see and change them.

A project may be in other projects, a collection in many. Who may read a project follows from its `lab:owner` and
`lab:visibility`; with visibility `project`, the members of the project of that name may. What a caller may not read is
nowhere to be seen: not the project, not what hangs below it, not its link to a collection that the caller may read.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from terralab.catalog.access.policy import (
    OWNER_PROP,
    PRIVATE,
    PROJECT,
    PUBLIC,
    VISIBILITY_PROP,
    may_write,
)
from terralab.catalog.access.principal import Principal
from terralab.catalog.audit import ObjectChange, note_changes
from terralab.catalog.errors import AlreadyExists, InvalidInput, InvalidItem, NotAllowed, UnknownName
from terralab.catalog.project_tree import ProjectTree, access_of, read_tree, seen_by
from terralab.catalog.read_model import etag_of
from terralab.catalog.workspace import Workspace
from terralab.extensions.ids import is_valid_id
from terralab.extensions.item import STAC_VERSION

MAX_PROJECT_BYTES = 100_000
# Structure changes one by one, so that no two of them make a circle together.
_ALONE = "LOCK TABLE lab.projects IN SHARE ROW EXCLUSIVE MODE"
_LEFT_OUT = ("links", "conformsTo")


class Projects:
    """Reads and changes projects.

    Args:
        workspace: the lab.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def tree(self, caller: Principal, hidden: AbstractSet[str]) -> ProjectTree:
        """Return what a caller may read; `hidden` are the collections that it may not."""
        with self._workspace.catalog.connection() as connection:
            return read_tree(connection, caller, hidden)

    def collection_names(self) -> list[str]:
        """Return the ids of all collections."""
        with self._workspace.catalog.connection() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM collections ORDER BY id").fetchall()]

    def check_writable(self, caller: Principal, id: str) -> None:
        """Check that a caller may change a project.

        Raises:
            UnknownName: there is no such project that the caller may read.
            NotAllowed: the caller may not change it.
        """
        with self._changing(caller) as (_, change):
            change.writable(id)

    def create(self, caller: Principal, document: Any, parent: str | None, request_id: str | None) -> None:
        """Create a project, in another where `parent` is not None.

        Raises:
            InvalidItem: the document is no STAC catalog.
            AlreadyExists: there is a project of that id.
            UnknownName: there is no such parent that the caller may read.
            NotAllowed: the caller may not change the parent.
        """
        content = _checked(document)
        content.setdefault(VISIBILITY_PROP, self._workspace.settings.access.default_visibility)
        content = _owned(content, caller, None)
        with self._changing(caller) as (connection, change):
            if parent is not None:
                change.writable(parent)
            made = connection.execute(
                "INSERT INTO lab.projects VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id",
                (content["id"], _json(content)),
            ).fetchone()
            if made is None:
                raise AlreadyExists(f"there is a project {content['id']!r} already, or its name is taken")
            if parent is not None:
                connection.execute("INSERT INTO lab.project_catalogs VALUES (%s, %s)", (parent, content["id"]))
            _note(connection, caller, content["id"], None, content, request_id)

    def replace(self, caller: Principal, id: str, document: Any, request_id: str | None) -> None:
        """Replace what a project says of itself; what is in it stays.

        Raises:
            InvalidItem: the document is no STAC catalog, or of another id.
            UnknownName: there is no such project that the caller may read.
            NotAllowed: the caller may not change it, or not give it away.
        """
        content = _checked(document)
        if content["id"] != id:
            raise InvalidItem(f"the catalog's id is {content['id']!r}, the address names {id!r}")
        with self._changing(caller) as (connection, change):
            stored = change.writable(id)
            content = _owned({VISIBILITY_PROP: stored.get(VISIBILITY_PROP), **content}, caller, stored)
            connection.execute("UPDATE lab.projects SET content = %s WHERE id = %s", (_json(content), id))
            _note(connection, caller, id, stored, content, request_id)

    def delete(self, caller: Principal, id: str, request_id: str | None) -> None:
        """Delete a project; what is in it stays.

        Raises:
            UnknownName: there is no such project that the caller may read.
            NotAllowed: the caller may not change it.
        """
        with self._changing(caller) as (connection, change):
            stored = change.writable(id)
            connection.execute("DELETE FROM lab.projects WHERE id = %s", (id,))
            _note(connection, caller, id, stored, None, request_id)

    def put_in(self, caller: Principal, project: str, inner: str) -> None:
        """Put a project into another.

        Raises:
            UnknownName: there is no such project that the caller may read.
            NotAllowed: the caller may not change the outer one.
            InvalidInput: the outer one is in the inner one.
        """
        with self._changing(caller) as (connection, change):
            change.writable(project)
            change.tree.project(inner)
            if project in change.everything.below(inner):
                raise InvalidInput(f"project {project!r} is in {inner!r}; a project cannot be in itself")
            statement = "INSERT INTO lab.project_catalogs VALUES (%s, %s) ON CONFLICT DO NOTHING"
            connection.execute(statement, (project, inner))

    def take_out(self, caller: Principal, project: str, inner: str) -> None:
        """Take a project out of another; it stays.

        Raises:
            UnknownName: there are no such projects, or one is not in the other.
            NotAllowed: the caller may not change the outer one.
        """
        with self._changing(caller) as (connection, change):
            change.writable(project)
            if inner not in change.tree.children.get(project, []):
                raise UnknownName(f"project {project!r} has no project {inner!r} in it")
            connection.execute("DELETE FROM lab.project_catalogs WHERE parent = %s AND child = %s", (project, inner))

    def add_collection(self, caller: Principal, project: str, collection: str) -> None:
        """Put a collection into a project; whether the caller may read it is for the caller of this to see.

        Raises:
            UnknownName: there is no such project that the caller may read.
            NotAllowed: the caller may not change it.
        """
        with self._changing(caller) as (connection, change):
            change.writable(project)
            statement = "INSERT INTO lab.project_collections VALUES (%s, %s) ON CONFLICT DO NOTHING"
            connection.execute(statement, (project, collection))

    def remove_collection(self, caller: Principal, project: str, collection: str, hidden: AbstractSet[str]) -> None:
        """Take a collection out of a project; it stays.

        Raises:
            UnknownName: there is no such project, or the collection is not in it.
            NotAllowed: the caller may not change the project.
        """
        with self._changing(caller, hidden) as (connection, change):
            change.writable(project)
            if collection not in change.tree.collections.get(project, []):
                raise UnknownName(f"project {project!r} has no collection {collection!r}")
            statement = "DELETE FROM lab.project_collections WHERE project = %s AND collection = %s"
            connection.execute(statement, (project, collection))

    @contextmanager
    def _changing(
        self, caller: Principal, hidden: AbstractSet[str] = frozenset()
    ) -> Iterator[tuple[psycopg.Connection[Any], "_Change"]]:
        with self._workspace.catalog.connection() as connection:
            connection.execute(_ALONE)
            everything = read_tree(connection, Principal(reads_all=True), frozenset())
            yield connection, _Change(caller, everything, seen_by(everything, caller, hidden))


@dataclass(frozen=True)
class _Change:
    """What is needed to decide about a change: all projects, and those that the caller may read."""

    caller: Principal
    everything: ProjectTree
    tree: ProjectTree

    def writable(self, id: str) -> Mapping[str, Any]:
        """Return a project that the caller may change.

        Raises:
            UnknownName: there is none that it may read.
            NotAllowed: it may not change it.
        """
        found = self.tree.project(id)
        if not may_write(self.caller, access_of(found)):
            raise NotAllowed(f"project {id!r} is not yours to change")
        return found


def _checked(document: Any) -> dict[str, Any]:
    """Return a document as it is stored.

    Raises:
        InvalidItem: it is no STAC catalog.
    """
    if not isinstance(document, dict) or document.get("type", "Catalog") != "Catalog":
        raise InvalidItem('a project is a STAC catalog: {"type": "Catalog", "id": …, "description": …}')
    if not isinstance(document.get("id"), str) or not is_valid_id(document["id"]):
        raise InvalidItem(f"id {str(document.get('id'))[:80]!r} is not valid: use a-z, 0-9, '_' and '-'")
    for name in ("title", "description", OWNER_PROP):
        if not isinstance(document.get(name, ""), str):
            raise InvalidItem(f"{name} must be text")
    if document.get(VISIBILITY_PROP, PUBLIC) not in (PRIVATE, PROJECT, PUBLIC):
        raise InvalidItem(f"{VISIBILITY_PROP} must be one of {PRIVATE}, {PROJECT}, {PUBLIC}")
    content = {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        **{name: value for name, value in document.items() if name not in _LEFT_OUT},
    }
    content["description"] = content.get("description") or content.get("title") or content["id"]
    text = _json(content)
    if len(text) > MAX_PROJECT_BYTES or "\\u0000" in text:
        raise InvalidItem(f"the catalog is larger than {MAX_PROJECT_BYTES} bytes, or holds a zero character")
    return content


def _owned(content: dict[str, Any], caller: Principal, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a project with its owner: the one that it had, else the caller; only an admin may name another.

    Raises:
        NotAllowed: the caller names another.
    """
    owner = stored.get(OWNER_PROP) if stored is not None else caller.name
    named = content.get(OWNER_PROP, owner)
    if named != owner and not caller.is_admin:
        raise NotAllowed(f"{OWNER_PROP} is {owner!r}; only an admin may give a project away")
    known = {**content, OWNER_PROP: named}
    return {name: value for name, value in known.items() if value is not None}


def _note(
    connection: psycopg.Connection[Any],
    caller: Principal,
    id: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    request_id: str | None,
) -> None:
    tags = [None if one is None else etag_of(one) for one in (before, after)]
    change = ObjectChange(f"catalogs/{id}", None, *tags)
    note_changes(connection, caller.name, [change], request_id)


def _json(content: Mapping[str, Any]) -> str:
    return orjson.dumps(content).decode()
