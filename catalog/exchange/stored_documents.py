"""From a document in a file to the form in which the catalog stores it.

Links become relative to the API's root and assets addresses that hold on any host. In a folder of a static catalog both
are relative to the file: a link to another document of the folder becomes its address in the API, and the bytes of an
asset go into the asset store, where that is wanted.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from terralab.catalog.errors import InvalidInput
from terralab.catalog.stac_files import parse_json
from terralab.catalog.store import HREF_SCHEME, Store
from terralab.catalog.transactions.stored_form import collection_as_stored, item_as_stored
from terralab.extensions.checksum import split_multihash
from terralab.extensions.item import EXTENSION_URIS

_KNOWN_DOCUMENTS = 10_000
_ABSOLUTE = ("https://", "http://", HREF_SCHEME, "s3://")
_RELATIVE = re.compile(r"(?![A-Za-z][A-Za-z0-9+.-]*:)[^/\\]")
_CHECKSUM, _SIZE = "file:checksum", "file:size"


@dataclass(frozen=True)
class FormChoice:
    """Which form documents of a source have; it travels to the processes that load them.

    Attributes:
        bases: addresses of web processes whose links and files are those of the lab.
        folder: of a static catalog; None for anything else.
        copy_assets: whether files in that folder go into the asset store.
        is_export: whether the lab exported it, so that documents are as stored.
    """

    bases: tuple[str, ...] = ()
    folder: Path | None = None
    copy_assets: bool = False
    is_export: bool = False

    def form(self, store: Store) -> "StoredForm":
        """Return what makes the stored form of the documents."""
        if self.is_export:
            return ExactForm(self.bases)
        if self.folder is not None:
            return StaticForm(self.bases, self.folder, store if self.copy_assets else None)
        return StoredForm(self.bases)


class StoredForm:
    """Makes the stored form of documents.

    Args:
        bases: addresses of the lab's own web process, whose links and files are its own.
    """

    def __init__(self, bases: Sequence[str]) -> None:
        self._bases = bases

    def of(self, document: dict[str, Any], name: str) -> dict[str, Any]:
        """Return the stored form of an item or a collection.

        Args:
            document: as it is in the file.
            name: path of the file within its folder.

        Raises:
            InvalidInput: a file that it refers to is missing, differs from its checksum or lies outside the folder.
        """
        return self._as_stored(_at_its_address(document))

    def _as_stored(self, document: dict[str, Any]) -> dict[str, Any]:
        if document.get("type") == "Collection":
            return collection_as_stored(document, self._bases)
        return item_as_stored(document, self._bases)


class ExactForm(StoredForm):
    """Takes documents that are in stored form."""

    def of(self, document: dict[str, Any], name: str) -> dict[str, Any]:
        """Return the document."""
        return document


class StaticForm(StoredForm):
    """Makes the stored form of the documents of a static catalog.

    Args:
        bases: addresses of the lab's own web process.
        root: the catalog's folder; nothing outside of it is read.
        store: where the bytes of assets go; None to leave them where they are.
    """

    def __init__(self, bases: Sequence[str], root: Path, store: Store | None) -> None:
        super().__init__(bases)
        self._root, self._store = root.resolve(), store
        self._address = lru_cache(_KNOWN_DOCUMENTS)(self._read_address)
        self.dropped_links = 0

    def of(self, document: dict[str, Any], name: str) -> dict[str, Any]:
        """Return the stored form of an item or a collection; see `StoredForm.of`."""
        folder, own = Path(name).parent, _self_address(document)
        changed = {**document, "links": [], "assets": {}}
        for link in document.get("links") or []:
            resolved = self._link(link, folder, own)
            if resolved is None:
                self.dropped_links += 1
            else:
                changed["links"].append(resolved)
        if document.get("type") == "Feature" and "collection" not in document:
            changed.update(_collection_of(changed["links"]))
        for key, asset in (document.get("assets") or {}).items():
            changed["assets"][key] = self._asset(asset, folder, own, f"{name}, asset {key!r}")
        if "assets" not in document:
            del changed["assets"]
        return self._as_stored(_declared(changed))

    def _link(self, link: Any, folder: Path, own: str | None) -> Any | None:
        """Return a link that holds in the API; None where it leads to a file that is no STAC document."""
        href = link.get("href") if isinstance(link, dict) else None
        if not isinstance(href, str) or not _is_relative(href):
            return link
        address = self._address(os.path.normpath(folder / unquote(urlsplit(href).path)))
        if address is None and own is not None:
            address = urljoin(own, href)
        return None if address is None else {**link, "href": address}

    def _read_address(self, path: str) -> str | None:
        """Return the address in the API of the document in a file of the folder."""
        file = self._inside(path)
        if file is None or not file.is_file():
            return None
        try:
            document = parse_json(file.read_bytes())
        except ValueError:
            return None
        kind = document.get("type") if isinstance(document, dict) else None
        if kind == "Collection":
            return f"collections/{document.get('id')}"
        collection = document.get("collection") if kind == "Feature" else None
        return f"collections/{collection}/items/{document.get('id')}" if collection else None

    def _asset(self, asset: Any, folder: Path, own: str | None, where: str) -> Any:
        href = asset.get("href") if isinstance(asset, dict) else None
        if not isinstance(href, str) or not _is_relative(href):
            return asset
        if self._store is not None:
            return self._stored(asset, os.path.normpath(folder / unquote(urlsplit(href).path)), where)
        if own is not None:
            return {**asset, "href": urljoin(own, href)}
        raise InvalidInput(f"{where}: {href!r} is a file of this folder; --copy-assets puts it into the asset store")

    def _stored(self, asset: Mapping[str, Any], path: str, where: str) -> dict[str, Any]:
        assert self._store is not None  # the caller has looked
        file = self._inside(path)
        if file is None:
            raise InvalidInput(f"{where}: {path!r} lies outside of the folder {self._root}")
        if not file.is_file():
            raise InvalidInput(f"{where}: there is no file {path!r} in the folder {self._root}")
        said = asset.get(_CHECKSUM)
        with self._store.scratch() as scratch:
            copy = scratch / file.name
            shutil.copyfile(file, copy)
            stored = self._store.put(copy, file.name, _algorithm(said))
        if said not in (None, stored.checksum):
            raise InvalidInput(f"{where}: {_CHECKSUM} is {said}, the bytes of {path} have {stored.checksum}")
        return {**asset, "href": stored.href, _CHECKSUM: stored.checksum, _SIZE: stored.size}

    def _inside(self, path: str) -> Path | None:
        """Return a file of the folder; None where the path leads out of it, also by a symbolic link."""
        file = (self._root / path).resolve()
        return file if file.is_relative_to(self._root) else None


def _at_its_address(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose assets, where they are relative to its own address, are absolute."""
    assets = document.get("assets")
    if not isinstance(assets, dict) or all(_href(asset).startswith(_ABSOLUTE) for asset in assets.values()):
        return document
    own = _self_address(document)
    if own is None:
        return document
    absolute = {
        key: {**asset, "href": urljoin(own, asset["href"])} if _is_relative(_href(asset)) else asset
        for key, asset in assets.items()
    }
    return {**document, "assets": absolute}


def _declared(document: dict[str, Any]) -> dict[str, Any]:
    """Declare the file extension where assets got its fields."""
    assets = (document.get("assets") or {}).values()
    declared = document.get("stac_extensions")
    if not any(_href(asset).startswith(HREF_SCHEME) for asset in assets) or not isinstance(declared, list | None):
        return document
    known = declared or []
    if any(isinstance(uri, str) and "/file/v" in uri for uri in known):
        return document
    return {**document, "stac_extensions": [*known, EXTENSION_URIS["file"]]}


def _self_address(document: Mapping[str, Any]) -> str | None:
    for link in document.get("links") or []:
        if isinstance(link, dict) and link.get("rel") == "self" and _href(link).startswith(("https://", "http://")):
            return _href(link)
    return None


def _is_relative(href: str) -> bool:
    return bool(href) and not href.startswith(_ABSOLUTE) and _RELATIVE.match(href) is not None


def _href(entry: Any) -> str:
    href = entry.get("href") if isinstance(entry, dict) else None
    return href if isinstance(href, str) else ""


def _collection_of(links: Sequence[Any]) -> dict[str, str]:
    hrefs = [_href(link) for link in links if isinstance(link, dict) and link.get("rel") == "collection"]
    names = [href.removeprefix("collections/") for href in hrefs if href.startswith("collections/")]
    return {"collection": names[-1]} if names else {}


def _algorithm(checksum: Any) -> str:
    try:
        return split_multihash(checksum)[0]
    except (TypeError, ValueError, AttributeError):
        return "sha256"
