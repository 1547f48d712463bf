"""Where the files of chips lie in a version, a checkout and an export: `images/<id>.tif`, `masks/<id>.tif`, ….

A folder of very many files is slow for file systems and for DVC, which parses the list of a whole tree whenever it
looks at one. Above 20,000 files the chips are therefore divided into shards, each a tree of its own that has whole
chips: `a/images/<id>.tif` beside `a/masks/<id>.tif`. The shard follows from the chip's id, so that a chip stays where
it is when others come and go.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.extensions.checksum import MD5_PREFIX
from terralab.extensions.chip_parts import IMAGE_ASSET, MASK_ASSET

FILES_OF_A_TREE = 20_000
_FOLDERS = {IMAGE_ASSET: "images", MASK_ASSET: "masks"}


@dataclass(frozen=True)
class TreeLayout:
    """How the files of a version are arranged.

    Attributes:
        digits: hex digits that name a shard; 0 where there is one tree.
    """

    digits: int = 0

    @classmethod
    def of_count(cls, files: int) -> "TreeLayout":
        """Return the layout of a version with that many files."""
        digits = 0
        while files > FILES_OF_A_TREE * 16**digits:
            digits += 1
        return cls(digits)

    @classmethod
    def of_chips(cls, chips: Sequence[Mapping[str, Any]]) -> "TreeLayout":
        """Return the layout of chips."""
        return cls.of_count(sum(len(versioned_keys(chip)) for chip in chips))

    def relpath(self, chip: Mapping[str, Any], key: str) -> str:
        """Return where the file of an asset of a chip lies."""
        path = f"{_FOLDERS.get(key, key)}/{chip['id']}{_suffix(chip, key)}"
        return f"{self.shard(str(chip['id']))}/{path}" if self.digits else path

    def shard(self, chip: str) -> str:
        """Return the shard of a chip by its id."""
        return hashlib.md5(chip.encode(), usedforsecurity=False).hexdigest()[: self.digits]


def versioned_keys(chip: Mapping[str, Any]) -> list[str]:
    """Return the keys of the assets that a version holds: those that are stored by MD5, as only files of chips are.

    Raises:
        InvalidInput: there are none.
    """
    keys = [key for key, asset in chip["assets"].items() if str(asset.get("file:checksum")).startswith(MD5_PREFIX)]
    if not keys:
        raise InvalidInput(f"the chip {chip['id']} has no file with an MD5 checksum, so no version can hold it")
    return keys


def _suffix(chip: Mapping[str, Any], key: str) -> str:
    return ".tif" if key in _FOLDERS else PurePosixPath(str(chip["assets"][key]["href"])).suffix
