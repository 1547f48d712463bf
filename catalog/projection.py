"""The fields extension over finished items: what to include and exclude, as pgstac reads it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from terralab.catalog.cql2_sql import NotCompiled
from terralab.catalog.rendering import INFERRED_RELS
from terralab.catalog.served_items import PAGE_REL, is_map_link
from terralab.extensions.item import EXTENSION_URIS

_ALWAYS = ("id", "collection")


@dataclass(frozen=True)
class Projection:
    """Which members of an item are wanted, as dotted paths.

    Attributes:
        include: nothing else than these, the id and the collection; empty for everything.
        exclude: but not these.
    """

    include: frozenset[str]
    exclude: frozenset[str]

    @classmethod
    def of_search(cls, fields: Any) -> "Projection | None":
        """Read the `fields` of a search's body, None where everything is wanted.

        Raises:
            NotCompiled: they are not plain lists of names, or exclude what identifies an item.
        """
        if fields is None or fields == {}:
            return None
        if not isinstance(fields, Mapping) or fields.keys() - {"include", "exclude"}:
            raise NotCompiled("fields")
        include, exclude = (_names(fields.get(name)) for name in ("include", "exclude"))
        # What is included wins over the exclusion of it or of what it is a part of.
        exclude = frozenset(
            name for name in exclude if not any(one == name or one.startswith(f"{name}.") for one in include)
        )
        if exclude & set(_ALWAYS):
            raise NotCompiled("fields")
        return cls(include, exclude) if include or exclude else None

    def apply(self, content: bytes) -> bytes:
        """Return an item's JSON with the wanted members."""
        item = orjson.loads(content)
        wanted = _included(item, self.include) if self.include else item
        for path in self.exclude:
            _remove(wanted, path.split("."))
        if "links" in self.exclude:
            wanted.pop("links", None)
        else:
            wanted["links"] = self._links(item, wanted)
        if not any(is_map_link(link) for link in wanted.get("links", [])):
            _without_map_links(wanted)
        return orjson.dumps(wanted)

    def _links(self, item: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the links that serving makes, which are always there, and the stored ones where they are wanted."""
        shown = [f"/assets/{quote(key)}/" for key in wanted.get("assets", ())]
        links = [link for link in item["links"] if not is_map_link(link) or any(part in link["href"] for part in shown)]
        if not self.include or "links" in self.include:
            return links
        return [link for link in links if link["rel"] in {*INFERRED_RELS, PAGE_REL} or is_map_link(link)]


def fields_of_query(text: str) -> dict[str, list[str]]:
    """Return the `fields` of a body for those of a query string: `id,+properties.datetime,-assets`."""
    names = [name for name in text.split(",") if name.strip("+- ")]
    return {
        "include": [name.lstrip("+ ") for name in names if not name.startswith("-")],
        "exclude": [name[1:] for name in names if name.startswith("-")],
    }


def _names(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise NotCompiled("fields")
    return frozenset(value)


def _included(item: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    for path in sorted((*paths, *_ALWAYS)):
        source: Any = item
        target = wanted
        *parents, last = path.split(".")
        for name in parents:
            source = source.get(name) if isinstance(source, Mapping) else None
            if not isinstance(source, Mapping):
                break
            target = target.setdefault(name, {})
        if isinstance(source, Mapping) and last in source and last not in target:
            target[last] = source[last]
    return wanted


def _remove(document: dict[str, Any], path: list[str]) -> None:
    """Remove what a path names, and what is empty then."""
    name, *rest = path
    if not rest:
        document.pop(name, None)
    elif isinstance(document.get(name), dict) and document[name]:
        _remove(document[name], rest)
        if not document[name]:
            del document[name]


def _without_map_links(item: dict[str, Any]) -> None:
    """Do not declare the extension of the links that were left out."""
    uri = EXTENSION_URIS["web-map-links"]
    if uri in item.get("stac_extensions", []):
        item["stac_extensions"] = [one for one in item["stac_extensions"] if one != uri]
