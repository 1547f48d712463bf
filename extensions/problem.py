"""One broken rule of a STAC document: where it is, which rule, what is wrong with the value, and what to do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from terralab.extensions.rules import RULES

_PLAIN_KEY = re.compile(r"[^\s.\[\]\"'\x00-\x1f\x7f]+")
_SHOWN = 80
_SHOWN_KEY = 60
_JSON_WORDS = {"None": "null", "True": "true", "False": "false"}


@dataclass(frozen=True)
class Problem:
    """One broken rule.

    Attributes:
        where: path of the value in the document, such as `assets.B04.href` or `geometry.coordinates[0][3]`; `$` is
            the document itself.
        rule: a code of `terralab.extensions.rules`, or the URL of the JSON Schema that says so.
        message: what is wrong with the value.
        fix: what to do about it.
    """

    where: str
    rule: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}; {self.fix} ({self.rule})"

    def to_dict(self) -> dict[str, str]:
        """Return the problem as JSON has it."""
        return {"where": self.where, "rule": self.rule, "message": self.message, "fix": self.fix}


def broken(code: str, parts: Iterable[str | int], message: str, fix: str | None = None) -> Problem:
    """Return the problem that breaks the rule `code`.

    Args:
        code: one of `terralab.extensions.rules`.
        parts: keys and indices that lead to the value.
        message: what is wrong with the value.
        fix: what to do, where it says more than the rule's own remedy.
    """
    return Problem(path_of(parts), code, message, fix or RULES[code].fix)


def path_of(parts: Iterable[str | int]) -> str:
    """Write keys and indices as one path: `("assets", "a b", 0)` is `assets["a b"][0]`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{_shorten(part, _SHOWN_KEY)}"
        else:
            path += f"[{shown(part, _SHOWN_KEY)}]"
    return path.removeprefix(".") or "$"


def shown(value: object, length: int = _SHOWN) -> str:
    """Return a value as messages show it: one line of plain characters, not longer than `length`."""
    text = value if isinstance(value, str) else _JSON_WORDS.get(repr(value), repr(value))
    cleaned = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: length + 1])
    short = _shorten(cleaned, length)
    return f'"{short}"' if isinstance(value, str) else short


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
