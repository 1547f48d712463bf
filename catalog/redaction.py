"""Removing secrets from text that is about to be written down: tokens, signatures, passwords, and those of this lab.

Authorization: Bearer eyJ…                     Authorization: [removed]
/files/1220…/a.tif?token=ab&signature=cd       /files/1220…/a.tif?token=[removed]&signature=[removed]
postgresql://lab:pass@host/db                  postgresql://lab:[removed]@host/db
"""

import re
from collections.abc import Iterable

REMOVED = "[removed]"
_SHORTEST = 6  # of a known secret; a shorter one would take ordinary words with it
# Most text holds none of these; to look is all that it costs.
_SUSPECT = (
    *("token", "signature", "secret", "passw", "pwd", "key", "credential", "sig=", "sig:", '"sig', "'sig", "x-amz"),
    *("authorization", "cookie", "bearer", "basic", "://", "tl_", "eyj"),
)
_VALUE = r"""(?:b(?=["']))?(?:"[^"]*"|'[^']*'|[^\s&"',;)}\]]+)"""
_NAMES = (
    r"[\w-]*(?:token|signature|secret|password|passwd|pwd|api[_-]?key|access[_-]?key(?:[_-]?id)?|credentials?)[\w-]*"
    r"|sig|x-amz-[\w-]+"
)
# A name, how it is joined with its value (in addresses, headers, Python and JSON), and the value.
_NAMED = re.compile(rf"""(?i)(?<![\w-])((?:{_NAMES})["']?\s*[=:]\s*){_VALUE}""")
_HEADERS = r"(?:proxy-)?authorization|x-api-key|(?:set-)?cookie"
_HEADER = re.compile(rf"""(?i)\b((?:{_HEADERS})["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\r\n"',;}}]+)""")
_PAIR = re.compile(rf"""(?i)\b((?:{_HEADERS})["']\s*,\s*)(?:b(?=["']))?(?:"[^"]*"|'[^']*')""")
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_PASSWORD_IN_ADDRESS = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@"']*:)[^\s"']*@""")
_KEY = re.compile(r"\btl_[a-z0-9]{8}_[\w-]+")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?")


class Redaction:
    """What is removed.

    Args:
        known: secrets of this lab, removed wherever they stand, whatever stands before them.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        longest_first = sorted({secret for secret in known if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def clean(self, text: str) -> str:
        """Return a text without its secrets."""
        if self._known is not None:
            text = self._known.sub(REMOVED, text)
        lower = text.lower()
        if not any(part in lower for part in _SUSPECT):
            return text
        text = _PASSWORD_IN_ADDRESS.sub(rf"\1{REMOVED}@", text)
        for pattern in (_PAIR, _HEADER, _NAMED):
            text = pattern.sub(rf"\1{REMOVED}", text)
        text = _SCHEME.sub(rf"\1 {REMOVED}", text)
        return _JWT.sub(REMOVED, _KEY.sub(REMOVED, text))
