"""What holds for every value in a document: JSON alone, no NUL, not too deep, and addresses that may be stored.

A compiled schema looks at all values at once, in microseconds; the slow walk that names the fault runs only where that
schema or the JSON writer finds one.
"""

from collections.abc import Iterator
from functools import cache
from math import isfinite
from typing import Any

import orjson
from jsonschema_rs import Draft7Validator, RegexOptions

from terralab.extensions.checks.hrefs import PLAIN_HREF, SUSPICIOUS_QUERY, href_problem
from terralab.extensions.problem import Problem, broken, shown
from terralab.extensions.rules import MAX_DEPTH

Path = tuple[str | int, ...]
_ADDRESS_KEYS = ("href", "url")
_ESCAPED_NUL = b"\\u0000"
_MAX_FOUND = 20
_UNREADABLE = {"not_an_object", "type", "too_deep", "nul_character", "not_unicode", "not_json"}
_LARGEST_INTEGER = 2**63


def content_problems(document: dict[str, Any], text: bytes | None = None) -> list[Problem]:
    """Check every value of a document; at most 20 problems are named.

    Args:
        document: any JSON object.
        text: its JSON as orjson writes it, where the caller has it.
    """
    if _is_plain(document, text):
        return []
    found: list[Problem] = []
    for problem in _walk(document):
        found.append(problem)
        if len(found) == _MAX_FOUND:
            break
    return found


def is_readable(problems: list[Problem]) -> bool:
    """Say whether the rest of a document can be looked at: it is of the right type, JSON throughout, not too deep."""
    return not any(problem.rule in _UNREADABLE for problem in problems)


def _is_plain(document: dict[str, Any], text: bytes | None) -> bool:
    try:
        # The text of a NUL may also be an escaped backslash before `u0000`; the walk tells them apart.
        return _ESCAPED_NUL not in (text or orjson.dumps(document)) and _plain_values().is_valid(document)
    except (TypeError, ValueError, RecursionError):
        return False  # not JSON: the walk says where


@cache
def _plain_values() -> Draft7Validator:
    """Return the validator of documents without a fault; it is stricter than the walk where that is faster."""
    levels: dict[str, Any] = {f"{MAX_DEPTH}": {"not": {"type": ["object", "array"]}}}
    types = ["object", "array", "string", "number", "boolean", "null"]  # not-a-number is of none
    for level in range(MAX_DEPTH):
        below = {"$ref": f"#/definitions/{level + 1}"}
        address = {"type": "string", "pattern": PLAIN_HREF, "not": {"pattern": SUSPICIOUS_QUERY}}
        levels[f"{level}"] = {
            "type": types,
            "items": below,
            "properties": dict.fromkeys(_ADDRESS_KEYS, address),
            "additionalProperties": below,
        }
    return Draft7Validator({"definitions": levels, "$ref": "#/definitions/0"}, pattern_options=RegexOptions())


def _walk(document: dict[str, Any]) -> Iterator[Problem]:
    # A stack, not recursion: what comes from outside may be deeper than Python's own limit.
    waiting: list[tuple[Path, Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict | list | tuple):
            if len(path) >= MAX_DEPTH:
                yield broken("too_deep", path[:3], f"a value lies more than {MAX_DEPTH} levels deep")
                return
            entries = list(value.items() if isinstance(value, dict) else enumerate(value))
            waiting.extend(((*path, _as_key(key)), part) for key, part in reversed(entries))
        if isinstance(value, dict):
            yield from _key_problems(path, value)
        else:
            yield from _value_problems(path, value)


def _as_key(key: Any) -> str | int:
    return key if isinstance(key, str | int) else repr(key)


def _key_problems(path: Path, value: dict[Any, Any]) -> Iterator[Problem]:
    for key in value:
        if not isinstance(key, str):
            yield broken("not_json", path, f"the key {shown(key)} is not text")
        else:
            yield from _text_problems((*path, key), key, "the key")


def _value_problems(path: Path, value: Any) -> Iterator[Problem]:
    if isinstance(value, str):
        faults = list(_text_problems(path, value, "the text"))
        yield from faults
        if not faults and path and path[-1] in _ADDRESS_KEYS:
            problem = href_problem(path, value)
            if problem:
                yield problem
    elif isinstance(value, float):
        if not isfinite(value):
            yield broken("not_json", path, f"{value} is not a number that JSON has")
    elif isinstance(value, int):
        if not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
            yield broken("not_json", path, f"{shown(value)} has more than 64 bits, which readers round")
    elif not isinstance(value, list | tuple | None):
        yield broken("not_json", path, f"a {type(value).__name__} is not a JSON value")


def _text_problems(path: Path, text: str, what: str) -> Iterator[Problem]:
    if "\0" in text:
        yield broken("nul_character", path, f"{what} {shown(text, 40)} holds the character U+0000")
    elif not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        yield broken("not_unicode", path, f"{what} {shown(text, 40)} holds half of a surrogate pair")
