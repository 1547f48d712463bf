"""Chips as a dataset version froze them, also where the catalog has changed or deleted them since.

The version's item refers to an archive of the chips' items (`terralab.catalog.frozen_items`). Only an archive that the
lab wrote itself counts, since what is in it opens files.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from terralab.catalog.access.policy import guarded, may_read, may_read_collection
from terralab.catalog.access.principal import Principal
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.frozen_items import FrozenItems
from terralab.catalog.store import HREF_SCHEME, parse_href
from terralab.extensions.dataset import DATASETS_COLLECTION, ITEMS_ASSET
from terralab.tiler.entry import Entry, unknown_item

VERSION_PATTERN = r"^v?\d{1,9}\.\d{1,9}\.\d{1,9}$"
_KEPT_ARCHIVES, _KEPT_CHIPS = 16, 512


class FrozenChips:
    """Finds them.

    Args:
        current: gives an item of the catalog as it is now; raises UnknownName.
        collection: gives a collection as it is now; raises UnknownName.
        is_noted: says whether an archive is the lab's own, by its multihash, the version's item and the collection.
        intact_path: gives the verified file behind a reference.
    """

    def __init__(
        self,
        current: Callable[[str, str], Entry],
        collection: Callable[[str], dict[str, Any]],
        is_noted: Callable[[str, str, str], bool],
        intact_path: Callable[[str], Path],
    ) -> None:
        self._current, self._collection = current, collection
        self._is_noted, self._intact_path = is_noted, intact_path
        self._opened = lru_cache(maxsize=_KEPT_ARCHIVES)(FrozenItems)
        self._chips = lru_cache(maxsize=_KEPT_CHIPS)(self._read)

    def entry(self, collection: str, item: str, caller: Principal, version: str) -> Entry:
        """Return a chip as a version froze it.

        The caller must be able to read the version, the chip as it was, and the chip as it is, where it still is.

        Raises:
            InvalidInput: that is no version.
            UnknownName: there is no such chip that the caller may read.
            AssetCorrupt: the archive is lost or damaged.
        """
        if not re.match(VERSION_PATTERN, version):
            raise InvalidInput(f"version: {version[:64]!r} is no version such as 1.0.0")
        try:
            frozen, described = self._version_item(collection, version), self._collection(collection)
        except UnknownName:
            raise unknown_item(collection, item) from None
        if not (self._may_read(caller, frozen) and may_read_collection(caller, guarded(described))):
            raise unknown_item(collection, item)
        chip = self._chips(self._archive(frozen, collection, version), item)
        if chip is None:
            raise unknown_item(collection, item)
        found = Entry(chip, described, version)
        if not (self._may_read(caller, found) and self._may_read_current(caller, collection, item)):
            raise unknown_item(collection, item)
        return found

    def _version_item(self, collection: str, version: str) -> Entry:
        dataset, number = collection.rsplit("-v", 1)[0], version.removeprefix("v").replace(".", "-")
        return self._current(DATASETS_COLLECTION, f"{dataset}-v{number}")

    def _archive(self, frozen: Entry, collection: str, version: str) -> Path:
        href = str((frozen.item["assets"].get(ITEMS_ASSET) or {}).get("href", ""))
        archive = parse_href(href)[0] if href.startswith(HREF_SCHEME) else ""
        if not self._is_noted(archive, str(frozen.item["id"]), collection):
            raise UnknownName(
                f"the version {version} of {collection} keeps no items of its chips here;"
                f" `terralab datasets prove {frozen.item['properties'].get('lab:dataset')}@{version}` tells more"
            )
        return self._intact_path(href)

    def _read(self, archive: Path, item: str) -> dict[str, Any] | None:
        return self._opened(archive).find(item)

    def _may_read_current(self, caller: Principal, collection: str, item: str) -> bool:
        try:
            return self._may_read(caller, self._current(collection, item))
        except UnknownName:
            return True  # it is gone, so nobody has closed it since

    @staticmethod
    def _may_read(caller: Principal, entry: Entry) -> bool:
        return may_read(caller, guarded(entry.item), guarded(entry.collection))
