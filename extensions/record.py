"""Reading items: what all kinds share. The readers of the kinds are beside their builders.

A reader gives typed fields of an item, whether it comes from the database (references relative to the API's root) or
from the API (absolute addresses). It raises `InvalidRecord` for an item that is of another kind or lacks a field; the
fields themselves are checked by `terralab.extensions.validation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from terralab.extensions.item import Footprint, StoredFile, item_href
from terralab.extensions.lab import EXECUTION_REL, KIND_PROP, Kind
from terralab.extensions.problem import shown
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid, classes_of_stac

T = TypeVar("T")
DERIVED_REL = "derived_from"


class InvalidRecord(ValueError):
    """An item is of another kind than the reader's, or lacks a field that its kind has."""


@dataclass(frozen=True)
class ItemRef:
    """A reference to an item of the catalog.

    Attributes:
        collection: id of its collection.
        id: its own id.
        role: `ml-aoi:role` of the link, where it has one.
    """

    collection: str
    id: str
    role: str | None = None

    @property
    def href(self) -> str:
        """Return the reference relative to the API's root, as links store it."""
        return item_href(self.collection, self.id)

    @classmethod
    def of_link(cls, link: Mapping[str, Any]) -> "ItemRef | None":
        """Read a link; None where it does not lead to an item."""
        parts = str(link.get("href")).split("?", 1)[0].rstrip("/").rsplit("/", 4)
        if len(parts) < 4 or parts[-4] != "collections" or parts[-2] != "items":
            return None
        return cls(parts[-3], parts[-1], link.get("ml-aoi:role"))


@dataclass(frozen=True)
class ItemRecord:
    """What every reader gives.

    Attributes:
        id: item id.
        collection: id of its collection.
        title: for people; the id where there is none.
        footprint: ground and time.
        files: stored files by asset key, without those whose size or checksum is unknown.
        sources: items that it was derived from.
        runs: runs that made it.
    """

    id: str
    collection: str
    title: str
    footprint: Footprint
    files: Mapping[str, StoredFile]
    sources: tuple[ItemRef, ...]
    runs: tuple[ItemRef, ...]


class ItemReader:
    """Reads the fields of one item and names what is missing.

    Args:
        item: a STAC item.
        kind: the kind that it must be of.

    Raises:
        InvalidRecord: it is of another kind, or no item at all.
    """

    def __init__(self, item: Mapping[str, Any], kind: Kind) -> None:
        self.item = item
        self.properties: Mapping[str, Any] = item.get("properties") or {}
        self.name = f"{item.get('collection')}/{item.get('id')}"
        found = self.properties.get(KIND_PROP)
        if found != kind:
            raise InvalidRecord(f"{self.name} has {KIND_PROP} {shown(found)}, not {kind.value}")

    def common(self) -> dict[str, Any]:
        """Return the arguments of `ItemRecord`."""
        return {
            "id": str(self.item["id"]),
            "collection": str(self.item["collection"]),
            "title": str(self.properties.get("title") or self.item["id"]),
            "footprint": Footprint.of_item(self.item),
            "files": self.files(),
            "sources": self.refs(DERIVED_REL),
            "runs": self.refs(EXECUTION_REL),
        }

    def field(self, name: str, kind: type[T]) -> T:
        """Return a property that must be there and of that type."""
        value = self.properties.get(name)
        if isinstance(value, int) and kind is float:
            return kind(value)  # type: ignore[call-arg]
        if not isinstance(value, kind):
            raise InvalidRecord(f"{self.name}: {name} is {shown(value)}, not {_TYPE_NAMES[kind]}")
        return value

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a property that may be absent, but is of that type where it is there."""
        return None if self.properties.get(name) is None else self.field(name, kind)

    def asset(self, key: str) -> Mapping[str, Any]:
        """Return an asset that must be there."""
        asset = (self.item.get("assets") or {}).get(key)
        if not isinstance(asset, Mapping):
            raise InvalidRecord(f"{self.name} has no asset {shown(key)}")
        return asset

    def grid(self) -> Grid | None:
        """Return where the pixels lie, None where the item does not say."""
        if not self.properties.get("proj:transform") or not self.properties.get("proj:shape"):
            return None
        return Grid.of_properties(dict(self.properties))

    def own_grid(self) -> Grid:
        """Return where the pixels lie, which the item must say."""
        grid = self.grid()
        if grid is None:
            raise InvalidRecord(f"{self.name} has no proj:transform and proj:shape")
        return grid

    def bands(self, key: str) -> tuple[BandRecord, ...]:
        """Return the bands of an asset."""
        return tuple(BandRecord.of_stac(band) for band in self.asset(key).get("bands") or ())

    def bands_by_asset(self, role: str) -> dict[str, tuple[BandRecord, ...]]:
        """Return the bands of the assets that have a role and name their bands."""
        assets = (self.item.get("assets") or {}).items()
        return {
            key: self.bands(key) for key, asset in assets if role in (asset.get("roles") or ()) and asset.get("bands")
        }

    def classes(self, key: str) -> tuple[ClassDefinition, ...]:
        """Return the classes of an asset's values."""
        return tuple(classes_of_stac(self.asset(key).get("classification:classes") or ()))

    def classes_of_properties(self) -> tuple[ClassDefinition, ...]:
        """Return the classes that the item as a whole may have."""
        return tuple(classes_of_stac(self.properties.get("classification:classes") or ()))

    def file(self, key: str) -> StoredFile:
        """Return an asset that must be there with its size and checksum."""
        self.asset(key)
        found = self.files().get(key)
        if found is None:
            raise InvalidRecord(f"{self.name}: asset {shown(key)} has no file:size and file:checksum")
        return found

    def files(self) -> dict[str, StoredFile]:
        """Return the assets whose size and checksum are known."""
        assets = (self.item.get("assets") or {}).items()
        return {
            key: StoredFile(str(asset["href"]), int(asset["file:size"]), str(asset["file:checksum"]))
            for key, asset in assets
            if asset.get("file:size") is not None and asset.get("file:checksum")
        }

    def links(self, rel: str) -> list[Mapping[str, Any]]:
        """Return the links with that rel."""
        return [link for link in self.item.get("links") or () if link.get("rel") == rel]

    def refs(self, rel: str) -> tuple[ItemRef, ...]:
        """Return the items that links with that rel lead to; others, such as web pages, are passed over."""
        found = (ItemRef.of_link(link) for link in self.links(rel))
        return tuple(ref for ref in found if ref is not None)

    def ref(self, rel: str, role: str | None = None) -> ItemRef:
        """Return the first item that a link with that rel, and that `ml-aoi:role` if one is given, leads to."""
        found = next((ref for ref in self.refs(rel) if role in (None, ref.role)), None)
        if found is None:
            of_role = f" with ml-aoi:role {role}" if role else ""
            raise InvalidRecord(f"{self.name} has no `{rel}` link{of_role} to an item")
        return found


_TYPE_NAMES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
