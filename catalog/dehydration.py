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


def dehydrated(base: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item without what its collection says of all items.

    Args:
        base: pgstac's base item of the collection.
        item: the whole item.
    """
    left = {name: DROP for name in base if name not in item}
    for name, value in item.items():
        if name not in base:
            left[name] = value
        elif value is None:
            left[name] = DROP  # a null would be replaced by what the collection has
        elif (part := base[name]) != value or not _same(part, value):
            left[name] = _left(part, value)
    return left


def _left(part: Any, value: Any) -> Any:
    if isinstance(value, dict) and isinstance(part, dict):
        return dehydrated(part, value)
    if isinstance(value, list) and isinstance(part, list) and len(value) == len(part):
        pairs = zip(part, value, strict=True)
        return [dehydrated(b, v) if isinstance(v, dict) and isinstance(b, dict) else v for b, v in pairs]
    return value


def _same(part: Any, value: Any) -> bool:
    """Say whether equal values are the same JSON: Python takes True for 1."""
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS) == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
