"""What the tile server knows of an item before it opens any file."""

from dataclasses import dataclass
from typing import Any

from terralab.catalog.errors import UnknownName


@dataclass(frozen=True)
class Entry:
    """An item and its collection as the catalog has them; `version` where the item is as a dataset version froze it."""

    item: dict[str, Any]
    collection: dict[str, Any]
    version: str | None = None

    @property
    def query(self) -> dict[str, str]:
        """Return the query by which addresses of this very item are told from those of the current one."""
        return {} if self.version is None else {"version": self.version}


def unknown_item(collection: str, item: str) -> UnknownName:
    """Return the error of an item that is not there, or not for the caller."""
    return UnknownName(f"no item is called {item!r} in collection {collection!r}")
