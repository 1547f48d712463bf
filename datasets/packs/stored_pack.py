"""Packs in the asset store: a few large files in place of very many small ones, read whole or by ranges of bytes.

The version's item names them as assets: `pack`, the index, and `pack-00000`, `pack-00001`, …, the shards. The store
names files by their SHA-256, which the index has of each shard, so an index that is whole vouches for all of them.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import AssetCorrupt, UnknownName
from terralab.catalog.store import Store, disk_full_as_error
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.index import INDEX_FILE, PackIndex, record_hash
from terralab.datasets.packs.pack import Pack
from terralab.extensions.checksum import SHA256_PREFIX
from terralab.extensions.item import asset

PACK_ASSET = "pack"
PACK_ROLE = "pack"
_SHARD_TYPE = "application/octet-stream"
OnChip = Callable[[int, int], None]


class PackSource(Protocol):
    """Where a pack can be fetched from."""

    def index(self) -> bytes:
        """Return the index, compared with its checksum."""
        ...

    def shard(self, number: int, sha256: str) -> Iterator[bytes]:
        """Yield the bytes of a shard."""
        ...


def store_pack(store: Store, pack: Pack) -> dict[str, dict[str, Any]]:
    """Put a pack into a store and return the assets for the version's item.

    Raises:
        OutOfSpace: the disk is full.
    """
    assets = {}
    with store.scratch() as folder:
        for number, shard in enumerate(pack.index.shards):
            copy = folder / shard.file
            _link_or_copy(pack.folder / shard.file, copy)
            stored = store.put(copy)
            if stored.checksum != SHA256_PREFIX + shard.sha256:
                store.remove([stored.checksum])
                raise AssetCorrupt(f"{pack.folder / shard.file} is damaged; delete {pack.folder}, it is made again")
            assets[_key(number)] = asset(stored, _SHARD_TYPE, [PACK_ROLE], f"Chips, part {number + 1}")
    index = store.put_bytes(pack.index.to_bytes(), INDEX_FILE)
    return {PACK_ASSET: asset(index, "application/json", [PACK_ROLE], "Index of the packed chips"), **assets}


def with_pack(item: Mapping[str, Any], assets: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version's item that names a pack, in place of one that it named before."""
    kept = {key: entry for key, entry in item["assets"].items() if PACK_ROLE not in (entry.get("roles") or ())}
    return {**item, "assets": {**kept, **assets}}


class StoredPack:
    """A pack in the asset store.

    Args:
        store: holds it.
        item: of the version.

    Raises:
        UnknownName: the version has none.
    """

    def __init__(self, store: Store, item: Mapping[str, Any]) -> None:
        if PACK_ASSET not in item["assets"]:
            raise UnknownName(f"{item['id']} has no pack in the store; make one with `terralab datasets pack --store`")
        self._store, self._index_href = store, str(item["assets"][PACK_ASSET]["href"])
        self._known: PackIndex | None = None

    def index(self) -> bytes:
        """Return the index, compared with its checksum."""
        return self._store.verify(self._index_href).read_bytes()

    def shard(self, number: int, sha256: str) -> Iterator[bytes]:
        """Yield the bytes of a shard."""
        return self._store.pieces(SHA256_PREFIX + sha256)

    def array(self, key: str, id: str) -> NDArray[Any]:
        """Return an array of one chip, (bands, rows, columns), by one range of bytes.

        Raises:
            UnknownName: the pack has no such chip.
            AssetCorrupt: the bytes differ from the chip's hash.
        """
        if self._known is None:
            self._known = PackIndex.of_bytes(self.index(), self._index_href)
        index = self._known
        ids = [chip.id for chip in index.chips]
        if id not in ids:
            raise UnknownName.of("chip of the pack", id, ids)
        position = ids.index(id)
        number, start = index.place(position)
        shard = index.shards[number]
        record = b"".join(self._store.pieces(SHA256_PREFIX + shard.sha256, start, start + index.record_bytes))
        if record_hash(record) != index.chips[position].sha256:
            raise AssetCorrupt(f"{shard.file} in {self._store.place}: the record of the chip {id} is damaged")
        place = index.array(key)
        return np.frombuffer(record, place.dtype, int(np.prod(place.shape)), place.offset).reshape(place.shape)


def fetch_pack(source: PackSource, contents: Contents, target: Path, on_chip: OnChip) -> None:
    """Fetch a whole pack.

    Args:
        source: where it is.
        contents: what it must hold.
        target: folder to make.
        on_chip: told how many chips of how many are there.

    Raises:
        AssetCorrupt: it holds other chips, or a shard differs from its hash.
        OutOfSpace: the disk is full.
    """
    index = PackIndex.of_bytes(source.index(), contents.name)
    if index.tree != contents.tree:
        raise AssetCorrupt(f"the pack of {contents.name} holds other chips ({index.tree}, not {contents.tree})")
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    done = 0
    try:
        with disk_full_as_error(aside):
            for number, shard in enumerate(index.shards):
                _fetch_shard(source, number, shard.sha256, aside / shard.file)
                done += shard.chips
                on_chip(done, len(index.chips))
            (aside / INDEX_FILE).write_bytes(index.to_bytes())
            os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fetch_shard(source: PackSource, number: int, sha256: str, path: Path) -> None:
    found = hashlib.sha256()
    with path.open("wb") as file:
        for piece in source.shard(number, sha256):
            found.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != sha256:
        raise AssetCorrupt(f"{path.name} has the SHA-256 {found.hexdigest()}, not {sha256}; store the pack anew")


def _key(number: int) -> str:
    return f"{PACK_ASSET}-{number:05d}"


def _link_or_copy(path: Path, copy: Path) -> None:
    try:
        os.link(path, copy)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, copy)
