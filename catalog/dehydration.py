"""What is left of an item without what its collection says of all: the form in which pgstac stores items.

pgstac puts the two together again by its `merge_jsonb`: what only the collection has is added, objects are merged
member by member and lists of one length entry by entry. Its loader's own function breaks off where an item has an
object and its collection something else, and loses empty lists; this one gives back every item. Its function that puts
items together in Python breaks off there, too; `rehydrated` does what `merge_jsonb` does.
"""

from collections.abc import Mapping
from typing import Any

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
            elif part.value != value or (part.has_numbers and not part.is_same(value)):
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
        has_numbers: whether there are numbers or booleans in it: only those can be equal and yet other JSON, since
            Python takes True for 1, and 1 for 1.0.
    """

    __slots__ = ("_numbers", "_type", "entries", "has_numbers", "members", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.members = BaseItem(value) if isinstance(value, dict) else None
        self.entries = None
        if isinstance(value, list):
            self.entries = [BaseItem(entry) if isinstance(entry, dict) else None for entry in value]
        self.has_numbers: bool
        self._type = type(value) if isinstance(value, int | float) else None
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        self._numbers = [(place, part) for place, entry in inner if (part := _Part(entry)).has_numbers]
        self.has_numbers = self._type is not None or bool(self._numbers)

    def is_same(self, value: Any) -> bool:
        """Say whether a value that is equal in Python is the same JSON."""
        if self._type is not None:
            return type(value) is self._type
        for place, part in self._numbers:
            if not part.is_same(value[place]):
                return False
        return True

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


def rehydrated(base: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole item of which `left` is what `dehydrated` left; it shares parts with both.

    Args:
        base: pgstac's base item of the collection.
        left: what is stored of an item, or of an object in one.
    """
    whole = {}
    for name, value in left.items():
        if value != DROP:
            whole[name] = _merged(base[name], value) if name in base else value
    for name, value in base.items():
        if name not in left and value is not None:
            whole[name] = value
    return whole


def _merged(base: Any, value: Any) -> Any:
    if isinstance(base, dict) and isinstance(value, dict):
        return rehydrated(base, value)
    if isinstance(base, list) and isinstance(value, list) and len(base) == len(value):
        return [_merged(*parts) for parts in zip(base, value, strict=True)]
    return value
