"""What values there are at each place of many JSON documents, found in one pass, column by column.

From it follows the type of each column (`columns`). Values of one place are looked at together, since a list of a
thousand values costs a few microseconds where a thousand walks through documents cost milliseconds.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

MOST_FIELDS = 500
"""Fields of one object that become columns; the rarer ones of an object with more are kept beside the columns."""
_TRACKED_FIELDS = 4 * MOST_FIELDS
_BOTH_NUMBERS = {"int", "float"}
_PATTERNS = 50


class Shape:
    """The values at one place.

    Attributes:
        kinds: `bool`, `int`, `float`, `text`, `list`, `object`: what was there besides null.
        nulls: how many were null.
        values: how many were not.
        fields: shapes of the fields of objects.
        items: shape of the items of lists.
        integral: whether there were floating-point numbers without a fraction, such as `1.0`.
        largest: largest absolute value of the integers.
        crowded: whether there were more fields than are told apart.
        patterns: of lists of numbers of both types: at which places integers were, as often as that was seen.
    """

    __slots__ = ("crowded", "fields", "integral", "items", "kinds", "largest", "nulls", "patterns", "values")

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.nulls = self.values = self.largest = 0
        self.integral = self.crowded = False
        self.fields: dict[str, Shape] = {}
        self.items: Shape | None = None
        self.patterns: Counter[tuple[bool, ...]] = Counter()

    @property
    def present(self) -> int:
        """Return how many values there were, nulls among them."""
        return self.nulls + self.values

    def field(self, name: str) -> "Shape":
        """Return the shape of a field, a new one where it was not there."""
        found = self.fields.get(name)
        if found is None:
            found = self.fields[name] = Shape()
        return found


def observe(shape: Shape, values: Sequence[Any]) -> None:
    """Add values to a shape.

    Args:
        shape: is changed.
        values: JSON values; those of documents that lack the place are left out.
    """
    types = set(map(type, values))
    if type(None) in types:
        types.discard(type(None))
        full = [value for value in values if value is not None]
        shape.nulls += len(values) - len(full)
        values = full
    shape.values += len(values)
    for kind in types:
        chosen = values if len(types) == 1 else [value for value in values if type(value) is kind]
        _OBSERVERS[kind](shape, chosen)


def _objects(shape: Shape, values: Sequence[dict[str, Any]]) -> None:
    shape.kinds.add("object")
    for name in sorted(set().union(*values)):
        if len(shape.fields) >= _TRACKED_FIELDS and name not in shape.fields:
            shape.crowded = True
            continue
        try:
            found = list(map(itemgetter(name), values))
        except KeyError:
            found = [value[name] for value in values if name in value]
        observe(shape.field(name), found)


def _lists(shape: Shape, values: Sequence[list[Any]]) -> None:
    shape.kinds.add("list")
    if shape.items is None:
        shape.items = Shape()
    flat = list(chain.from_iterable(values))
    observe(shape.items, flat)
    if shape.items.kinds == _BOTH_NUMBERS and len(shape.patterns) < _PATTERNS:
        shape.patterns.update(tuple(type(part) is int for part in value) for value in values if value)


def _integers(shape: Shape, values: Sequence[int]) -> None:
    shape.kinds.add("int")
    shape.largest = max(shape.largest, max(values), -min(values))


def _floats(shape: Shape, values: Sequence[float]) -> None:
    shape.kinds.add("float")
    if not shape.integral:
        shape.integral = any(map(float.is_integer, values))


def _texts(shape: Shape, values: Sequence[str]) -> None:
    shape.kinds.add("text")


def _booleans(shape: Shape, values: Sequence[bool]) -> None:
    shape.kinds.add("bool")


_OBSERVERS: dict[type, Any] = {
    dict: _objects,
    list: _lists,
    int: _integers,
    float: _floats,
    str: _texts,
    bool: _booleans,
}
