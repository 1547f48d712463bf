"""Which stored files the objects of an export refer to: gathered on disk while they are written, then listed.

To a dataset version also belong its DVC tree and the chips that the tree names, whether an item shows them or not.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.store import HREF_SCHEME, TREE_SUFFIX, Store, parse_href
from terralab.extensions.checksum import MD5_PREFIX, split_multihash

TREE_PROP = "lab:dvc_tree"
_BATCH = 1_000
_TABLE = "CREATE TABLE files (name TEXT PRIMARY KEY, shown TEXT, place TEXT, is_asset INTEGER) WITHOUT ROWID"
_NOTE = """
    INSERT INTO files VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET is_asset = max(is_asset, excluded.is_asset)"""


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
                self._note(checksum, shown, place, True)
        tree = (document.get("properties") or {}).get(TREE_PROP)
        if isinstance(tree, str):
            self._add_tree(tree, place)

    def entries(self) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield checksum, size and shown name of every file, and whether it is an asset, by checksum.

        Raises:
            AssetCorrupt: the store has not got one.
        """
        rows = self._database.execute("SELECT name, shown, place, is_asset FROM files ORDER BY name")
        while batch := rows.fetchmany(_BATCH):
            sizes = self._store.sizes([row[0] for row in batch])
            for name, shown, place, is_asset in batch:
                if name not in sizes:
                    raise AssetCorrupt(
                        f"{place} refers to {name}, which the store {self._store.place} has not; see `terralab store"
                        " verify`, or export without files by --assets none"
                    )
                yield {"checksum": name, "size": sizes[name], "name": shown}, bool(is_asset)

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def _add_tree(self, tree: str, place: str) -> None:
        name = MD5_PREFIX + tree
        try:
            split_multihash(name.removesuffix(TREE_SUFFIX))
            entries = json.loads(self._store.open_name(name).read_bytes())
        except (ValueError, AssetCorrupt):
            return  # the version is as incomplete in the export as it is here
        self._note(name, tree, place, False)
        for entry in entries:
            self._note(MD5_PREFIX + entry["md5"], Path(entry["relpath"]).name, place, False)

    def _note(self, name: str, shown: str, place: str, is_asset: bool) -> None:
        self._database.execute(_NOTE, (name, shown, place, is_asset))
