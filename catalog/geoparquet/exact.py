"""What columns cannot hold of an item: values at places, written down beside the columns.

One is `[path, value]`: field names and list indices that lead to the place, and what is there; `[path]` alone says that
there is nothing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import orjson

COLUMN = "terralab:exact"
ItemPath = list[str | int]


class Place:
    """Where the values of a column lie in the items of a batch; asked only where something is written down."""

    def path(self, index: int) -> tuple[int, ItemPath]:
        """Return the number of the item, and the path in it, of the value number `index` of the column."""
        return index, []

    def field(self, name: str) -> "Place":
        """Return the place of a field of the objects here."""
        return _FieldPlace(self, name)

    def items(self, offsets: Sequence[int]) -> "Place":
        """Return the place of the items of the lists here; list number `n` has those from `offsets[n]` on."""
        return _ItemsPlace(self, offsets)


class _FieldPlace(Place):
    def __init__(self, parent: Place, name: str) -> None:
        self._parent, self._name = parent, name

    def path(self, index: int) -> tuple[int, ItemPath]:
        row, path = self._parent.path(index)
        return row, [*path, self._name]


class _ItemsPlace(Place):
    def __init__(self, parent: Place, offsets: Sequence[int]) -> None:
        self._parent, self._offsets = parent, offsets

    def path(self, index: int) -> tuple[int, ItemPath]:
        owner = bisect_right(self._offsets, index) - 1
        row, path = self._parent.path(owner)
        return row, [*path, index - self._offsets[owner]]


class Exact:
    """What is written down beside the columns of a batch."""

    def __init__(self) -> None:
        self._notes: dict[int, list[Any]] = {}

    def note(self, place: Place, index: int, value: Any) -> None:
        """Write down the value number `index` of a column."""
        row, path = place.path(index)
        self._notes.setdefault(row, []).append([path, value])

    def note_missing(self, place: Place, index: int) -> None:
        """Write down that the value number `index` of a column is not there."""
        row, path = place.path(index)
        self._notes.setdefault(row, []).append([path])

    def __len__(self) -> int:
        return len(self._notes)

    def column(self, rows: int) -> list[str | None]:
        """Return the cells of the column for so many items."""
        return [orjson.dumps(self._notes[row]).decode() if row in self._notes else None for row in range(rows)]


def restore(item: dict[str, Any], cell: str) -> None:
    """Put back into an item what its cell says."""
    for path, *value in orjson.loads(cell):
        *way, last = path
        target: Any = item
        for step in way:
            target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
        if value:
            target[last] = value[0]
        else:
            target.pop(last, None)
