"""Which stored files the objects of an export refer to: gathered on disk while they are written, then listed.

To a dataset version also belong its DVC tree and the chips that the tree names, whether an item shows them or not.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.store import HREF_SCHEME, TREE_SUFFIX, Store, parse_href
from terralab.extensions.checksum import MD5_PREFIX, split_multihash
from terralab.extensions.lab import DVC_TREE_PROP

_BATCH = 1_000
_TABLE = "CREATE TABLE files (name TEXT PRIMARY KEY, shown TEXT, place TEXT, path TEXT) WITHOUT ROWID"
_NOTE = "INSERT INTO files VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING"
_FILES = "SELECT name, shown, place, path FROM files ORDER BY name"


@dataclass(frozen=True)
class ListedFile:
    """A stored file of an export.

    Attributes:
        name: its multihash; of a DVC tree with `.dir` behind it.
        shown: the file name that users see.
        size: bytes.
        path: where in the export it lies already, None where it does not.
    """

    name: str
    shown: str
    size: int
    path: str | None


class AssetList:
    """Stored files by name, in a file of their own: there may be more than fit into memory.

    Args:
        path: of a new file.
        store: the asset store.
    """

    def __init__(self, path: Path, store: Store) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute(_TABLE)
        self._store = store

    def add(self, document: Mapping[str, Any]) -> None:
        """Add the files that an item or a collection refers to."""
        collection = document.get("collection")
        place = f"{collection}/{document['id']}" if collection else str(document["id"])
        for asset in (document.get("assets") or {}).values():
            href = str(asset.get("href", "")) if isinstance(asset, dict) else ""
            if href.startswith(HREF_SCHEME):
                try:
                    checksum, shown = parse_href(href)
                except ValueError:
                    continue  # another program wrote it, and it refers to nothing
                self._note(checksum, shown, place)
        tree = (document.get("properties") or {}).get(DVC_TREE_PROP)
        if isinstance(tree, str):
            self._add_tree(tree, place)

    def lies_at(self, name: str, path: str) -> None:
        """Say where in the export a file lies already."""
        self._database.execute("UPDATE files SET path = ? WHERE name = ?", (path, name))

    def files(self) -> Iterator[ListedFile]:
        """Yield every file, by name.

        Raises:
            AssetCorrupt: the store has not got one.
        """
        rows = self._database.execute(_FILES)
        while batch := rows.fetchmany(_BATCH):
            sizes = self._store.sizes([row[0] for row in batch])
            for name, shown, place, path in batch:
                if name not in sizes:
                    raise AssetCorrupt(
                        f"{place} refers to {name}, which the store {self._store.place} has not; see `terralab store"
                        " verify`, or export without files by --assets none"
                    )
                yield ListedFile(name, shown, sizes[name], path)

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def _add_tree(self, tree: str, place: str) -> None:
        name = MD5_PREFIX + tree
        try:
            split_multihash(name.removesuffix(TREE_SUFFIX))
            chips = [(MD5_PREFIX + entry["md5"], entry["relpath"]) for entry in json.loads(self._read(name))]
        except (ValueError, TypeError, KeyError, AssetCorrupt):
            return  # the version is as incomplete in the export as it is here
        self._note(name, tree, place)
        for chip, path in chips:
            self._note(chip, Path(path).name, place)

    def _read(self, name: str) -> bytes:
        return self._store.open_name(name).read_bytes()

    def _note(self, name: str, shown: str, place: str) -> None:
        self._database.execute(_NOTE, (name, shown, place))
