"""A part of the catalog as a static STAC catalog: one file for each item, relative links, no server.

    catalog.json
    <collection>/collection.json
    <collection>/<item>/<item>.json
    <collection>/<item>/files/…      stored files, where they are wanted

Links to what is in the catalog are relative; all others lead to the lab that it comes from. It is for everybody who
reads STAC from files; an import takes the exact form of the same items that lies beside it.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.exchange.asset_list import AssetList
from terralab.catalog.exchange.export_files import FILES_FOLDER, copy_by_name, file_name
from terralab.catalog.exchange.stored_catalog import StoredCatalog
from terralab.catalog.rendering import INFERRED_RELS, STAC_PATH
from terralab.catalog.served_items import file_url
from terralab.catalog.store import HREF_SCHEME, parse_href
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import GEOJSON_TYPE, STAC_VERSION

ROOT = "catalog.json"
_JSON = "application/json"
_AT_ONCE = 500
_LONGEST_NAME = 200
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NOT_PLAIN = re.compile(r"[^\w.+()=@-]")
_COLLECTION_PATH = "collections/"


class StaticWriter:
    """Writes a static catalog.

    Args:
        folder: where to.
        workspace: the lab.
        catalog: its catalog at one moment.
        files: is told where bytes of stored files lie, beside the items; None where they are not wanted.
    """

    def __init__(self, folder: Path, workspace: Workspace, catalog: StoredCatalog, files: AssetList | None) -> None:
        self._folder, self._store, self._catalog = folder, workspace.store, catalog
        self._base, self._files = workspace.settings.web.url, files
        self._names: set[str] = set()

    def write(self, collections: Sequence[dict[str, Any]], items: Callable[[str], Iterable[dict[str, Any]]]) -> None:
        """Write everything.

        Args:
            collections: as stored.
            items: gives the items of a collection.
        """
        self._names = {collection["id"] for collection in collections}
        self._write_root(collections)
        for collection in collections:
            folder = file_name(collection["id"])
            (self._folder / folder).mkdir()
            links = []
            iterator = iter(items(collection["id"]))
            while batch := list(islice(iterator, _AT_ONCE)):
                known = self._known_targets(batch)
                links += [self._write_item(item, folder, known) for item in batch]
            self._write_collection(collection, folder, links)

    def _write_root(self, collections: Sequence[dict[str, Any]]) -> None:
        children = [
            {"rel": "child", "href": f"./{file_name(each['id'])}/collection.json", "type": _JSON}
            | ({"title": each["title"]} if each.get("title") else {})
            for each in collections
        ]
        root = {
            "type": "Catalog",
            "id": "terralab",
            "stac_version": STAC_VERSION,
            "description": f"{len(collections)} collections exported from a lab",
            "links": [{"rel": "root", "href": f"./{ROOT}", "type": _JSON}, *children],
        }
        self._dump(ROOT, root)

    def _write_collection(self, collection: dict[str, Any], folder: str, items: list[dict[str, Any]]) -> None:
        document = {
            **collection,
            "links": [
                {"rel": "root", "href": f"../{ROOT}", "type": _JSON},
                {"rel": "parent", "href": f"../{ROOT}", "type": _JSON},
                *self._stored_links(collection, folder, set()),
                *items,
            ],
        }
        if "assets" in collection:
            document["assets"] = self._assets(collection, folder)
        self._dump(f"{folder}/collection.json", document)

    def _write_item(self, item: dict[str, Any], collection: str, known: set[tuple[str, str]]) -> dict[str, Any]:
        """Write an item and return the link of its collection to it."""
        name = file_name(item["id"])
        folder = f"{collection}/{name}"
        (self._folder / folder).mkdir()
        parent = {"href": "../collection.json", "type": _JSON}
        document = {
            **item,
            "links": [
                {"rel": "root", "href": f"../../{ROOT}", "type": _JSON},
                {"rel": "parent", **parent},
                {"rel": "collection", **parent},
                *self._stored_links(item, folder, known),
            ],
            "assets": self._assets(item, folder),
        }
        self._dump(f"{folder}/{name}.json", document)
        return {"rel": "item", "href": f"./{name}/{name}.json", "type": GEOJSON_TYPE}

    def _stored_links(self, document: dict[str, Any], folder: str, known: set[tuple[str, str]]) -> list[dict[str, Any]]:
        return [
            {**link, "href": self._href(str(link["href"]), folder, known)}
            for link in document.get("links") or []
            if link["rel"] not in INFERRED_RELS
        ]

    def _href(self, href: str, folder: str, known: set[tuple[str, str]]) -> str:
        """Return the address of a stored link's target: in the catalog relative, else absolute."""
        target = _target(href)
        if target in known:
            collection, item = (file_name(part) for part in target)
            return _relative(f"{collection}/{item}/{item}.json", folder)
        if target is not None and not target[1] and target[0] in self._names:
            return _relative(f"{file_name(target[0])}/collection.json", folder)
        if _ABSOLUTE.match(href):
            return href
        return f"{self._base}{STAC_PATH}/{href}"

    def _known_targets(self, items: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
        """Return the items that links of `items` lead to and that are exported."""
        found = {_target(str(link["href"])) for item in items for link in item.get("links") or []}
        wanted = [target for target in found if target is not None and target[1] and target[0] in self._names]
        return self._catalog.existing(sorted(wanted)) if wanted else set()

    def _assets(self, document: dict[str, Any], folder: str) -> dict[str, Any]:
        taken: dict[str, str] = {}
        return {
            key: self._asset(asset, folder, taken) if isinstance(asset, dict) else asset
            for key, asset in (document.get("assets") or {}).items()
        }

    def _asset(self, asset: dict[str, Any], folder: str, taken: dict[str, str]) -> dict[str, Any]:
        """Return an asset with an address that holds outside of the lab.

        Args:
            asset: as stored.
            folder: of the item.
            taken: checksums of the files that lie there, by path.
        """
        href = str(asset.get("href", ""))
        if not href.startswith(HREF_SCHEME):
            return asset
        try:
            checksum, shown = parse_href(href)
        except ValueError:
            return asset  # another program wrote it, and it refers to nothing
        if self._files is None:
            return {**asset, "href": file_url(href, self._base)}
        path = next(path for path in _places(_plain(shown, checksum)) if taken.get(path, checksum) == checksum)
        if path not in taken:
            taken[path] = checksum
            copy_by_name(self._store, checksum, self._folder / folder / path)
            self._files.lies_at(checksum, f"{folder}/{path}")
        return {**asset, "href": f"./{path}"}

    def _dump(self, path: str, document: dict[str, Any]) -> None:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        with (self._folder / path).open("xb") as file:
            file.write(text)


def _plain(shown: str, checksum: str) -> str:
    """Return a file name that is the same in an address, since not every reader of static catalogs decodes those."""
    name = _NOT_PLAIN.sub("_", shown)
    return checksum if name in (".", "..") or len(name.encode()) > _LONGEST_NAME else name


def _places(shown: str) -> Iterator[str]:
    """Yield where a file may lie: several files of one name lie in folders of their own, so that each keeps it."""
    yield f"{FILES_FOLDER}/{shown}"
    for number in count(2):
        yield f"x-{number}/{shown}"


def _target(href: str) -> tuple[str, str] | None:
    """Return collection and item (or '') that an address relative to the API's root names."""
    if not href.startswith(_COLLECTION_PATH):
        return None
    parts = href.split("/")
    if len(parts) == 4 and parts[2] == "items":  # collections/<c>/items/<i>
        return parts[1], parts[3]
    return (parts[1], "") if len(parts) == 2 else None  # collections/<c>


def _relative(path: str, folder: str) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
