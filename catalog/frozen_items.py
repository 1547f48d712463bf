"""The items of a frozen dataset version in one file, from which a single one is read without the others.

The file is a zip of blocks: each entry is a few dozen items, one JSON text a line, in the order of their ids, and is
named by the first of them. Any program that opens zip files reads it.
"""

import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.errors import AssetCorrupt

ITEMS_FILE = "items.zip"
_BLOCK = 64
_SUFFIX = ".ndjson"
_MOST_BYTES = 64 << 20  # of one block; what claims to be more was not written here
_WHEN = (1980, 1, 1, 0, 0, 0)  # equal items give equal bytes


def write_items(items: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write items into a new file."""
    ordered = sorted(items, key=lambda item: str(item["id"]))
    with zipfile.ZipFile(path, "w") as archive:
        for start in range(0, len(ordered), _BLOCK):
            block = ordered[start : start + _BLOCK]
            entry = zipfile.ZipInfo(f"{block[0]['id']}{_SUFFIX}", _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            lines = b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in block)
            archive.writestr(entry, lines, compresslevel=3)


class FrozenItems:
    """The items in such a file.

    Args:
        path: of the file.

    Raises:
        AssetCorrupt: it is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise AssetCorrupt(f"{path.name} does not hold the items of a version: {error}") from error
        self._firsts = sorted(name.removesuffix(_SUFFIX) for name in names)

    def find(self, id: str) -> dict[str, Any] | None:
        """Return an item; None where there is none of that id."""
        place = bisect_right(self._firsts, id) - 1
        if place < 0:
            return None
        return next((item for item in self._block(self._firsts[place]) if item["id"] == id), None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield all items by their ids."""
        for first in self._firsts:
            yield from self._block(first)

    def _block(self, first: str) -> list[dict[str, Any]]:
        try:
            with zipfile.ZipFile(self._path) as archive:
                entry = archive.getinfo(f"{first}{_SUFFIX}")
                if entry.file_size > _MOST_BYTES:
                    raise AssetCorrupt(f"{self._path.name}: the block {first} is too large")
                return [orjson.loads(line) for line in archive.read(entry).splitlines()]
        except (OSError, zipfile.BadZipFile, zlib.error, KeyError, orjson.JSONDecodeError) as error:
            raise AssetCorrupt(f"{self._path.name}: the block {first} cannot be read: {error}") from error
