"""Reading a pack: its shards are mapped into memory, so that a chip is a view of the page cache and no copy."""

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import AssetCorrupt
from terralab.datasets.packs.index import INDEX_FILE, ArrayPlace, PackIndex, record_hash


class Pack:
    """The chips of a pack; each record is compared with its hash when it is read first.

    While the object lives, the pack is not deleted to make room for others. It can be sent to another process, which
    opens the files for itself.

    Args:
        folder: of the pack.

    Raises:
        FileNotFoundError: there is none.
        AssetCorrupt: its index or the size of a shard is not what it was.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = (folder / INDEX_FILE).open("rb")
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.index = PackIndex.of_folder(folder)
        self._places: Mapping[str, ArrayPlace] = {entry.key: entry for entry in self.index.arrays}
        self._positions = {chip.id: position for position, chip in enumerate(self.index.chips)}
        self._shards: dict[int, NDArray[np.uint8]] = {}
        self._seen = np.zeros(len(self.index.chips), bool)
        for shard in self.index.shards:
            path = folder / shard.file
            if not path.is_file() or path.stat().st_size != shard.size:
                raise AssetCorrupt(f"{path}: the shard is missing or cut short; delete {folder}, it is made again")

    def __repr__(self) -> str:
        return f"Pack({self.index.name!r}, {len(self.index.chips)} chips, {self.index.size / 1e6:.0f} MB)"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    def position(self, id: str) -> int:
        """Return where the record of a chip is.

        Raises:
            AssetCorrupt: the pack has no such chip.
        """
        if id not in self._positions:
            raise AssetCorrupt(f"{self.folder} has no chip {id}; delete it, it is made again")
        return self._positions[id]

    def array(self, key: str, position: int) -> NDArray[Any]:
        """Return an array of a chip, (bands, rows, columns), as a read-only view.

        Raises:
            AssetCorrupt: the record differs from its hash.
        """
        record = self._record(position)
        place = self._places[key]
        return record[place.offset : place.offset + place.size].view(place.dtype).reshape(place.shape)

    def verify(self) -> None:
        """Compare every record with its hash.

        Raises:
            AssetCorrupt: one differs; the message names the chip.
        """
        self._seen[:] = False
        for position in range(len(self.index.chips)):
            self._record(position)

    def _record(self, position: int) -> NDArray[np.uint8]:
        number, start = self.index.place(position)
        shard = self._shards.get(number)
        if shard is None:
            shard = self._shards[number] = _mapped(self.folder / self.index.shards[number].file)
        record = shard[start : start + self.index.record_bytes]
        if not self._seen[position]:
            chip = self.index.chips[position]
            if record_hash(record.data) != chip.sha256:
                file = self.folder / self.index.shards[number].file
                raise AssetCorrupt(f"{file}: the record of the chip {chip.id} is damaged; delete {self.folder}")
            self._seen[position] = True
        return record


def _mapped(path: Path) -> NDArray[np.uint8]:
    # A plain array over the mapping: slices of `np.memmap` objects cost ten times as much.
    return np.asarray(np.memmap(path, np.uint8, "r"))
