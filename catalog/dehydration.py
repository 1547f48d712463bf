"""What is left of an item without what its collection says of all: the form in which pgstac stores items.

pgstac puts the two together again by its `merge_jsonb`: what only the collection has is added, objects are merged
member by member and lists of one length entry by entry. Its loader's own function breaks off where an item has an
object and its collection something else, and loses empty lists; this one gives back every item.
"""

from collections.abc import Mapping
from typing import Any

import orjson

DROP = "𒍟※"
"""pgstac's mark for a member that the collection has and the item has not."""


class BaseItem:
    """pgstac's base item of a collection, looked through once for all items.

    Args:
        base: what the collection says of all its items.
    """

    __slots__ = ("_parts",)

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._parts = {name: _Part(value) for name, value in base.items()}

    def dehydrated(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item, or an object in one, without what the base item says."""
        left = dict(item)
        for name, part in self._parts.items():
            value = item.get(name)
            if value is None:
                left[name] = DROP  # a null, too, would be replaced by what the collection has
            elif part.value != value or not part.is_same(value):
                left[name] = part.left_of(value)
            else:
                del left[name]
        return left


class _Part:
    """A value in a base item.

    Attributes:
        value: the value.
        members: of an object, what to compare its members with.
        entries: of a list, what to compare its entries with, None where an entry is no object.
    """

    __slots__ = ("_is_plain", "_text", "entries", "members", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.members = BaseItem(value) if isinstance(value, dict) else None
        self.entries = None
        if isinstance(value, list):
            self.entries = [BaseItem(entry) if isinstance(entry, dict) else None for entry in value]
        self._is_plain = not _has_numbers(value)
        self._text = b"" if self._is_plain else _text(value)

    def is_same(self, value: Any) -> bool:
        """Say whether a value that is equal in Python is the same JSON: Python takes True for 1, and 1 for 1.0."""
        return self._is_plain or _text(value) == self._text

    def left_of(self, value: Any) -> Any:
        """Return what is left of another value."""
        if self.members is not None and isinstance(value, dict):
            return self.members.dehydrated(value)
        if self.entries is not None and isinstance(value, list) and len(value) == len(self.entries):
            pairs = zip(self.entries, value, strict=True)
            return [base.dehydrated(v) if base is not None and isinstance(v, dict) else v for base, v in pairs]
        return value


def dehydrated(base: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item without what its collection says of all items.

    Args:
        base: pgstac's base item of the collection.
        item: the whole item.
    """
    return BaseItem(base).dehydrated(item)


def _has_numbers(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_numbers, value.values()))
    if isinstance(value, list):
        return any(map(_has_numbers, value))
    return isinstance(value, int | float)


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
