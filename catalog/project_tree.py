"""The hierarchy of projects, as one caller may see it."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import psycopg

from terralab.catalog.access.policy import Guarded, guarded, may_read_collection
from terralab.catalog.access.principal import Principal
from terralab.catalog.errors import UnknownName

_PROJECTS = "SELECT id, content FROM lab.projects ORDER BY id"
_CATALOGS = "SELECT parent, child FROM lab.project_catalogs ORDER BY parent, child"
_COLLECTIONS = """
    SELECT p.project, p.collection FROM lab.project_collections p
    WHERE EXISTS (SELECT FROM collections c WHERE c.id = p.collection) ORDER BY p.project, p.collection"""


@dataclass(frozen=True)
class ProjectTree:
    """The projects that a caller may read, and what hangs below them.

    Attributes:
        projects: STAC catalogs without links, by id.
        children: ids of the projects in each project.
        collections: ids of the collections in each project.
    """

    projects: Mapping[str, Mapping[str, Any]]
    children: Mapping[str, list[str]]
    collections: Mapping[str, list[str]]

    def project(self, id: str) -> Mapping[str, Any]:
        """Return a project.

        Raises:
            UnknownName: there is none that the caller may read.
        """
        if id not in self.projects:
            raise UnknownName.of("project", id, list(self.projects))
        return self.projects[id]

    def parents(self, id: str) -> list[str]:
        """Return the projects that a project is in."""
        return [parent for parent, children in self.children.items() if id in children]

    def projects_of(self, collection: str) -> list[str]:
        """Return the projects that a collection is in."""
        return [project for project, names in self.collections.items() if collection in names]

    def top(self) -> list[str]:
        """Return the projects that are in no other."""
        inner = {child for children in self.children.values() for child in children}
        return [id for id in self.projects if id not in inner]

    def below(self, id: str) -> list[str]:
        """Return a project and all that are in it, at any depth."""
        found = [id]
        for project in found:  # grows while it is read
            found += [child for child in self.children.get(project, []) if child not in found]
        return found

    def all_collections(self, id: str) -> list[str]:
        """Return the collections of a project and of all that are in it."""
        return sorted({name for project in self.below(id) for name in self.collections.get(project, [])})


def read_tree(connection: psycopg.Connection[Any], caller: Principal, hidden: AbstractSet[str]) -> ProjectTree:
    """Return what a caller may read; `hidden` are the collections that it may not."""
    projects: dict[str, dict[str, Any]] = dict(connection.execute(_PROJECTS).fetchall())
    children: dict[str, list[str]] = {}
    for parent, child in connection.execute(_CATALOGS).fetchall():
        children.setdefault(parent, []).append(child)
    collections: dict[str, list[str]] = {}
    for project, collection in connection.execute(_COLLECTIONS).fetchall():
        collections.setdefault(project, []).append(collection)
    return seen_by(ProjectTree(projects, children, collections), caller, hidden)


def seen_by(tree: ProjectTree, caller: Principal, hidden: AbstractSet[str]) -> ProjectTree:
    """Return of a tree what a caller may read."""
    seen = {id: one for id, one in tree.projects.items() if may_read_collection(caller, access_of(one))}

    def among(names: Mapping[str, list[str]], shown: Callable[[str], bool]) -> dict[str, list[str]]:
        return {project: list(filter(shown, inner)) for project, inner in names.items() if project in seen}

    return ProjectTree(
        seen, among(tree.children, seen.__contains__), among(tree.collections, lambda name: name not in hidden)
    )


def access_of(project: Mapping[str, Any]) -> Guarded:
    """Return what decides who may read and change a project; its members are those of the project of its name."""
    said = guarded(project)
    return Guarded(said.owner, said.visibility, project["id"])
