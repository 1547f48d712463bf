"""Projects and their collections as they are served: with links that lead through the hierarchy."""

from collections.abc import Iterable, Mapping
from typing import Any

from terralab.catalog.project_tree import ProjectTree

_JSON, _GEOJSON = "application/json", "application/geo+json"
_OWN_RELS = ("self", "parent")


class ProjectLinks:
    """Makes links.

    Args:
        root: address of the STAC API, without a slash at the end.
        tree: what the caller may read.
    """

    def __init__(self, root: str, tree: ProjectTree) -> None:
        self._root, self._tree = root, tree

    def project(self, id: str, conformance: Iterable[str] = ()) -> dict[str, Any]:
        """Return a project as a STAC catalog; `conformance` is what a search of its own conforms to."""
        parents = self._tree.parents(id)
        links = [
            self.link("self", f"catalogs/{id}"),
            self.link("root", ""),
            self.link("parent", f"catalogs/{parents[0]}" if parents else ""),
            *(self.link("related", f"catalogs/{other}", self._title(other)) for other in parents[1:]),
            *(self.link("child", f"catalogs/{child}", self._title(child)) for child in self._tree.children.get(id, [])),
            *(self.link("child", f"catalogs/{id}/collections/{name}") for name in self._tree.collections.get(id, [])),
            self.link("children", f"catalogs/{id}/children"),
            self.link("catalogs", f"catalogs/{id}/catalogs"),
            self.link("data", f"catalogs/{id}/collections"),
            self.link("conformance", f"catalogs/{id}/conformance"),
            {**self.link("search", f"catalogs/{id}/search", media_type=_GEOJSON), "method": "GET"},
            {**self.link("search", f"catalogs/{id}/search", media_type=_GEOJSON), "method": "POST"},
        ]
        return {**self._tree.project(id), "conformsTo": sorted(conformance), "links": links}

    def collection(self, document: Mapping[str, Any], project: str) -> dict[str, Any]:
        """Return a collection as it is served, below a project."""
        name = document["id"]
        others = [other for other in self._tree.projects_of(name) if other != project]
        kept = [link for link in document["links"] if link["rel"] not in _OWN_RELS]
        links = [
            self.link("self", f"catalogs/{project}/collections/{name}"),
            self.link("parent", f"catalogs/{project}", self._title(project)),
            self.link("canonical", f"collections/{name}"),
            *self.related(others),
            *(self.link("duplicate", f"catalogs/{other}/collections/{name}") for other in others),
        ]
        return {**document, "links": [*links, *kept]}

    def related(self, projects: Iterable[str]) -> list[dict[str, Any]]:
        """Return links to projects that something is in as well."""
        return [self.link("related", f"catalogs/{id}", self._title(id)) for id in projects]

    def page(self, path: str, parent: str | None, total: int, limit: int, start: int) -> list[dict[str, Any]]:
        """Return the links of a page of a list.

        Args:
            path: of the list.
            parent: path of what is listed; None where that is the root.
            total: how many there are in all.
            limit: of the page.
            start: place of its first entry.
        """
        links = [self.link("self", path), self.link("root", ""), self.link("parent", parent or "")]
        if start + limit < total:
            mark = "&" if "?" in path else "?"
            links.append(self.link("next", f"{path}{mark}limit={limit}&token={start + limit}"))
        return links

    def link(self, rel: str, path: str, title: str | None = None, media_type: str = _JSON) -> dict[str, Any]:
        """Return a link to a path of the API."""
        link = {"rel": rel, "type": media_type, "href": f"{self._root}/{path}"}
        return link if title is None else {**link, "title": title}

    def _title(self, id: str) -> str:
        return str(self._tree.project(id).get("title") or id)
