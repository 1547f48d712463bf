"""Making a pack: every file is compared with its checksum, decoded once, and written behind the one before.

Files are read by a few threads, a little ahead of the writing, so memory holds a handful of chips whatever the size of
the dataset. The pack is made aside and renamed when it is whole.
"""

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from terralab.catalog.errors import AssetCorrupt, InvalidInput, InvalidRaster, OutOfSpace
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.packs.contents import Chip, Contents
from terralab.datasets.packs.index import (
    INDEX_FILE,
    ArrayPlace,
    PackedChip,
    PackIndex,
    Shard,
    arrange,
    record_hash,
)
from terralab.datasets.raster_file import open_raster, valid_pixels
from terralab.extensions.chip_parts import MASK_ASSET

SHARD_BYTES = 256 << 20
_AHEAD = 4
_THREADS = 4

OpenFile = Callable[[Mapping[str, Any]], AbstractContextManager[Path]]
"""Gives the file of a manifest's entry (`relpath`, `md5`) on this machine, for as long as the context lasts."""
OnChip = Callable[[int, int], None]
"""Told how many chips of how many are done."""


@dataclass(frozen=True)
class _Read:
    """A chip as it was read."""

    chip: Chip
    arrays: list[NDArray[Any]]
    nodata: list[float | None]


def make_pack(
    contents: Contents, open_file: OpenFile, target: Path, on_chip: OnChip, shard_bytes: int = SHARD_BYTES
) -> PackIndex:
    """Make a pack of all chips.

    Args:
        contents: what to pack.
        open_file: gives the files.
        target: folder to make; it must not be there yet.
        on_chip: told of every chip.
        shard_bytes: size of a shard, about.

    Raises:
        AssetCorrupt: a file is missing or differs from its checksum; the message names it.
        InvalidInput: a chip has other bands, another size or another pixel type than the rest.
        OutOfSpace: the disk is full.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        with disk_full_as_error(aside):
            index = _Packing(contents, aside, shard_bytes).do(open_file, on_chip)
            _write(aside / INDEX_FILE, index.to_bytes())
            os.rename(aside, target)
        return index
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class _Packing:
    """One making of a pack."""

    def __init__(self, contents: Contents, folder: Path, shard_bytes: int) -> None:
        self._contents, self._folder, self._shard_bytes = contents.checked(), folder, shard_bytes
        self._nodata = {feature.key: feature.nodata for feature in contents.features}
        self._chips: list[PackedChip] = []
        self._shards: list[Shard] = []

    def do(self, open_file: OpenFile, on_chip: OnChip) -> PackIndex:
        total = len(self._contents.chips)
        reads = self._reads(open_file)
        first = next(reads)
        found = zip(self._contents.keys, first.arrays, first.nodata, strict=True)
        places, size = arrange([self._described(*one) for one in found])
        self._check_space(size * total)
        per_shard = max(1, self._shard_bytes // size)
        writer = _ShardWriter(self._folder, size, per_shard)
        for done, read in enumerate(_chained(first, reads), start=1):
            record = self._record(read, places, size)
            writer.add(record)
            self._chips.append(self._packed(read, record, places))
            on_chip(done, total)
        shards = writer.close()
        return PackIndex(
            self._contents.tree, self._contents.name, size, per_shard, places, tuple(self._chips), tuple(shards)
        )

    def _described(
        self, key: str, array: NDArray[Any], nodata: float | None
    ) -> tuple[str, str, tuple[int, int, int], float | None]:
        layers = {feature.key: feature.layers for feature in self._contents.features}.get(key, 1)
        if array.shape[0] != layers:
            raise self._misfit(self._contents.chips[0], f"{array.shape[0]} bands in {key!r} instead of {layers}")
        bands, rows, columns = array.shape
        return key, array.dtype.newbyteorder("<").str, (bands, rows, columns), self._nodata.get(key, nodata)

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < size:
            raise OutOfSpace(
                f"the pack of {self._contents.name} takes {size / 1e9:.1f} GB, and the disk of {self._folder.parent} "
                f"has {free / 1e9:.1f} GB left; free some and repeat the command"
            )

    def _record(self, read: _Read, places: tuple[ArrayPlace, ...], size: int) -> NDArray[np.uint8]:
        record = np.zeros(size, np.uint8)
        for array, place in zip(read.arrays, places, strict=True):
            if array.shape != place.shape or array.dtype != np.dtype(place.dtype):
                raise self._misfit(
                    read.chip, f"{place.key!r} of {array.shape} {array.dtype} instead of {place.shape} {place.dtype}"
                )
            view = record[place.offset : place.offset + place.size].view(place.dtype)
            view.reshape(place.shape)[...] = array
        return record

    def _packed(self, read: _Read, record: NDArray[np.uint8], places: tuple[ArrayPlace, ...]) -> PackedChip:
        pairs = list(zip(read.arrays, places, strict=True))
        gaps = tuple(
            place.key
            for array, place in pairs
            if place.key in self._nodata and not valid_pixels(array, place.nodata).all()
        )
        counts: dict[str, int] = {}
        for array, place in pairs:
            if place.key == MASK_ASSET:
                found = np.bincount(array.ravel(), minlength=1)
                counts = {str(value): int(found[value]) for value in np.flatnonzero(found)}
        return PackedChip(read.chip.id, read.chip.split, record_hash(record.data), gaps, counts)

    def _reads(self, open_file: OpenFile) -> Iterator[_Read]:
        """Yield the chips in order, read a little ahead."""
        waiting: deque[Future[_Read]] = deque()
        pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1))
        try:
            for chip in self._contents.chips:
                waiting.append(pool.submit(_read_chip, chip, self._contents.keys, open_file))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _misfit(self, chip: Chip, what: str) -> InvalidInput:
        return InvalidInput(
            f"{self._contents.name}: the chip {chip.id} has {what}; chips of a pack are alike, make the version anew"
        )


class _ShardWriter:
    """Writes records into shards of equal length, and hashes each of them on the way."""

    def __init__(self, folder: Path, record_bytes: int, per_shard: int) -> None:
        self._folder, self._record_bytes, self._per_shard = folder, record_bytes, per_shard
        self._shards: list[Shard] = []
        self._start()

    def add(self, record: NDArray[np.uint8]) -> None:
        if self._rows == self._per_shard:
            self._finish()
            self._start()
        self._file.write(record.data)
        self._hash.update(record.data)
        self._rows += 1

    def close(self) -> list[Shard]:
        self._finish()
        return self._shards

    def _start(self) -> None:
        self._name = f"shard-{len(self._shards):05d}.bin"
        self._file = (self._folder / self._name).open("wb")
        self._hash = hashlib.sha256()
        self._rows = 0

    def _finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._shards.append(Shard(self._name, self._rows, self._rows * self._record_bytes, self._hash.hexdigest()))


def _read_chip(chip: Chip, keys: tuple[str, ...], open_file: OpenFile) -> _Read:
    found = [_read_file(chip.files[key], key, open_file) for key in keys]
    return _Read(chip, [pixels for pixels, _ in found], [nodata for _, nodata in found])


def _read_file(entry: Mapping[str, Any], key: str, open_file: OpenFile) -> tuple[NDArray[Any], float | None]:
    """Read a file, and the value that it has for no data, after comparing it with its checksum."""
    with open_file(entry) as path:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != entry["md5"]:
            raise AssetCorrupt(
                f"{entry['relpath']} differs from its checksum {entry['md5']} (it has {found}); restore it, for "
                "instance with `dvc pull`, and repeat the command"
            )
        try:
            with open_raster(path) as source:
                pixels: NDArray[Any] = source.read([1] if key == MASK_ASSET else None)
                nodata: float | None = source.nodata
        except (RasterioError, InvalidRaster) as error:
            raise InvalidRaster(f"{entry['relpath']}: {error}") from error
    if key == MASK_ASSET and pixels.dtype != np.uint8:
        raise InvalidRaster(f"{entry['relpath']}: a mask of {pixels.dtype}; masks are uint8")
    return pixels, nodata


def _chained(first: _Read, rest: Iterator[_Read]) -> Iterator[_Read]:
    yield first
    yield from rest


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
