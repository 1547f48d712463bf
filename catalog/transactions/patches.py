"""Patches of JSON documents: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902)."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import jsonpatch
import orjson

from terralab.catalog.errors import Changed, InvalidInput, TooLarge
from terralab.extensions.rules import MAX_DEPTH

MERGE_PATCH_TYPE = "application/merge-patch+json"
JSON_PATCH_TYPE = "application/json-patch+json"
MAX_OPERATIONS = 1_000
_SHOWN = 200
# What jsonpatch lets through where a document is of another shape than the operation thinks.
_MISFITS = (TypeError, KeyError, IndexError, ValueError, AttributeError, RecursionError)


def merge_patched(document: Any, patch: Any) -> Any:
    """Return a document with a JSON Merge Patch applied; it is not changed.

    Raises:
        InvalidInput: the patch is too deep.
    """
    _check_depth(patch)
    return _merged(document, patch)


def json_patched(document: Any, operations: Any, max_bytes: int) -> Any:
    """Return a document with a JSON Patch applied, all of it or none.

    Args:
        document: JSON; it is not changed.
        operations: the patch.
        max_bytes: how much `copy` operations may copy together; a few of them can make a document of any size.

    Raises:
        InvalidInput: the patch is not one, or does not fit the document.
        Changed: a `test` operation fails.
        TooLarge: the patch has too many operations, or copies too much.
    """
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise InvalidInput('a JSON Patch is a list of operations such as {"op": "remove", "path": "/properties/gsd"}')
    if len(operations) > MAX_OPERATIONS:
        raise TooLarge(f"the patch has {len(operations)} operations; {MAX_OPERATIONS} are the most")
    _check_depth(operations)
    result, copied = deepcopy(document), 0
    for number, operation in enumerate(operations):
        try:
            copied += _size_of_copy(result, operation)
            if copied > max_bytes:
                raise TooLarge(f"operation {number}: the patch copies more than {max_bytes:,} bytes")
            result = jsonpatch.JsonPatch([operation]).apply(result, in_place=True)
        except jsonpatch.JsonPatchTestFailed as error:
            raise Changed(f"operation {number}: the test fails: {_shown(error)}") from error
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, *_MISFITS) as error:
            raise InvalidInput(f"operation {number} cannot be applied: {_shown(error)}") from error
    return result


def _size_of_copy(document: Any, operation: Mapping[str, Any]) -> int:
    if operation.get("op") != "copy":
        return 0
    return len(orjson.dumps(jsonpatch.JsonPointer(operation["from"]).resolve(document)))


def _shown(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _merged(document: Any, patch: Any) -> Any:
    """Merge: null removes a member, an object goes on within it, anything else takes its place."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _check_depth(patch: Any) -> None:
    level = [patch]
    for _ in range(MAX_DEPTH + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise InvalidInput(f"the patch has more than {MAX_DEPTH} levels of objects and lists; flatten it")


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()
