"""The index of a pack: where which array of which chip lies, and what it must hash to.

A pack is `index.json` beside `shard-00000.bin`, `shard-00001.bin`, …. A shard is a row of records of equal size, one
for each chip, and a record is the chip's arrays one behind the other, each at a multiple of 64 bytes. So a chip's bytes
are one range of one file: shard `position // chips_per_shard`, from `position % chips_per_shard * record_bytes`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from terralab.catalog.errors import AssetCorrupt

INDEX_FILE = "index.json"
ALIGNMENT = 64
ArrayShape = tuple[str, str, tuple[int, int, int], float | None]
"""Key, dtype, shape and nodata of an array."""
_FORMAT, _FORMAT_VERSION = "terralab-pack", 1


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array lies in each record.

    Attributes:
        key: of the asset that it was read from.
        dtype: numpy's name of the pixel type, little-endian.
        shape: bands, rows, columns.
        offset: from the record's begin.
        nodata: value of pixels without data, by which `gaps` were looked for.
    """

    key: str
    dtype: str
    shape: tuple[int, int, int]
    offset: int
    nodata: float | None

    @property
    def size(self) -> int:
        """Return its bytes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class PackedChip:
    """One record.

    Attributes:
        id: of the chip's item.
        split: when the pack was made; loaders ask the manifest.
        sha256: of the record.
        gaps: keys of the arrays that have pixels without data.
        counts: pixels by value of the mask; empty where there is none.
    """

    id: str
    split: str | None
    sha256: str
    gaps: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Shard:
    """One file of records."""

    file: str
    chips: int
    size: int
    sha256: str


@dataclass(frozen=True)
class PackIndex:
    """What a pack holds.

    Attributes:
        tree: tree hash of the files that it was made from.
        name: of the dataset, for messages.
        record_bytes: size of a record.
        chips_per_shard: records of a shard; the last one may have fewer.
        arrays: of a record, in order.
        chips: in the order of the records.
        shards: in order.
    """

    tree: str
    name: str
    record_bytes: int
    chips_per_shard: int
    arrays: tuple[ArrayPlace, ...]
    chips: tuple[PackedChip, ...]
    shards: tuple[Shard, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all records."""
        return self.record_bytes * len(self.chips)

    def array(self, key: str) -> ArrayPlace:
        """Return where the arrays of a key lie."""
        return next(entry for entry in self.arrays if entry.key == key)

    def place(self, position: int) -> tuple[int, int]:
        """Return shard and first byte of a record."""
        shard, row = divmod(position, self.chips_per_shard)
        return shard, row * self.record_bytes

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        document = {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            **vars(self),
            "arrays": [{**vars(entry), "nodata": _written(entry.nodata)} for entry in self.arrays],
            "chips": [vars(chip) for chip in self.chips],  # not `asdict`, which takes half a minute for 100,000 chips
            "shards": [vars(shard) for shard in self.shards],
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def of_bytes(cls, content: bytes, name: str) -> "PackIndex":
        """Read it.

        Raises:
            AssetCorrupt: it is something else.
        """
        try:
            found = json.loads(content)
            if (found.pop("format"), found.pop("format_version")) != (_FORMAT, _FORMAT_VERSION):
                raise AssetCorrupt(f"{name}: not a pack that this version reads; delete it, it is made again")
            arrays = [_array(entry) for entry in found.pop("arrays")]
            chips = [PackedChip(**{**entry, "gaps": tuple(entry["gaps"])}) for entry in found.pop("chips")]
            shards = [Shard(**entry) for entry in found.pop("shards")]
            return cls(**found, arrays=tuple(arrays), chips=tuple(chips), shards=tuple(shards))
        except (ValueError, KeyError, TypeError) as error:
            raise AssetCorrupt(f"{name}: the index of a pack is damaged; delete it, it is made again") from error

    @classmethod
    def of_folder(cls, folder: Path) -> "PackIndex":
        """Read the index of a pack on this machine."""
        return cls.of_bytes((folder / INDEX_FILE).read_bytes(), str(folder))


def arrange(shapes: Sequence[ArrayShape]) -> tuple[tuple[ArrayPlace, ...], int]:
    """Return where arrays (key, dtype, shape, nodata) lie in a record, and the record's size."""
    places, offset = [], 0
    for key, dtype, shape, nodata in shapes:
        place = ArrayPlace(key, dtype, shape, offset, nodata)
        places.append(place)
        offset += -(-place.size // ALIGNMENT) * ALIGNMENT
    return tuple(places), offset


def record_hash(record: bytes | memoryview) -> str:
    """Return what a record hashes to."""
    return hashlib.sha256(record).hexdigest()


def _written(nodata: float | None) -> float | str | None:
    return "nan" if nodata is not None and math.isnan(nodata) else nodata


def _array(entry: Mapping[str, Any]) -> ArrayPlace:
    nodata = entry["nodata"]
    return ArrayPlace(**{**entry, "shape": tuple(entry["shape"]), "nodata": None if nodata is None else float(nodata)})
