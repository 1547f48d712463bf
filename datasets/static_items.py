"""Items of static catalogs: made by the lab's builders from files where they lie, with links between files.

An item in a static catalog refers to other files by paths relative to its own; the lab's builders refer to
`collections/…/items/…`. `StaticItem` does the translation.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terralab.catalog.errors import InvalidInput, InvalidItem
from terralab.extensions.item import Footprint, item_href

COLLECTION_HREF = "../collection.json"
_ITEM_RELS = ("derived_from", "source")


@dataclass(frozen=True)
class ItemFile:
    """An item in a file, which another one is derived from."""

    path: Path
    item: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "ItemFile":
        """Read an item.

        Raises:
            InvalidItem: the file is not one STAC item with a collection.
        """
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidItem(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(item, dict) or item.get("type") != "Feature" or "properties" not in item:
            raise InvalidItem(f"{path} is not a STAC item")
        if not item.get("collection"):
            raise InvalidItem(f"{path} names no collection; add the item to one first, as with `stac add`")
        return cls(path, item)

    def resolved(self) -> dict[str, Any]:
        """Return the item with its links to other items' files as the catalog has them, for the readers of items."""
        return {**self.item, "links": [self._resolved(link) for link in self.item.get("links") or ()]}

    def _resolved(self, link: dict[str, Any]) -> dict[str, Any]:
        path = self.path.parent / str(link.get("href"))
        if link.get("rel") not in _ITEM_RELS or not path.is_file():
            return link
        target = ItemFile.read(path).item
        return {**link, "href": item_href(target["collection"], target["id"])}


@dataclass(frozen=True)
class StaticItem:
    """An item to be written to a file.

    Attributes:
        path: where it is written.
        collection_href: address of its collection, relative to it.
        sources: the items that it refers to, in files.
    """

    path: Path
    collection_href: str = COLLECTION_HREF
    sources: Sequence[ItemFile] = ()

    def href(self, file: Path, address: str | None = None) -> str:
        """Return the address of a file: `address` where one is given, else its path relative to the item."""
        return address or Path(os.path.relpath(file.resolve(), self.path.resolve().parent)).as_posix()

    def write(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write an item that a builder made, and return what was written."""
        places = {item_href(source.item["collection"], source.item["id"]): source.path for source in self.sources}
        links = [self._link(link, places) for link in item["links"]]
        written = {**item, "links": links}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return written

    def _link(self, link: Mapping[str, Any], places: Mapping[str, Path]) -> dict[str, Any]:
        if link["rel"] == "collection":
            return {"rel": "collection", "href": self.collection_href, "type": "application/json"}
        place = places.get(link["href"])
        return dict(link) if place is None else {**link, "href": self.href(place)}


def joint_footprint(sources: Sequence[ItemFile]) -> Footprint:
    """Return the area and time range of all items together.

    Raises:
        InvalidInput: there is none.
    """
    if not sources:
        raise InvalidInput("give at least one item that it was made from: its footprint comes from them")
    return Footprint.union(Footprint.of_item(source.item) for source in sources)
