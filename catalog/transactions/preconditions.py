"""What a client saw before it writes: `If-Match` and `If-None-Match` (RFC 9110)."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

from terralab.catalog.errors import Changed, ConditionMissing, InvalidInput

_ANY = "*"
# A proxy that compresses makes a tag weak; what is in front of the hash says enough. Documents with signed addresses
# have more behind it.
_TAG = re.compile(r'(?:W/)?"([0-9a-f]{32})?[^"]*"')
_TAGS = re.compile(rf"\s*{_TAG.pattern}\s*(?:,\s*{_TAG.pattern}\s*)*", re.ASCII)


@dataclass(frozen=True)
class Preconditions:
    """What must be so for a write to be done.

    Attributes:
        match: entity tags of which it must have one; None where that does not matter. A tag that no document can have
            is the empty text.
        match_any: whether the client says that anything may be there.
        none_match: whether there must be nothing yet.
    """

    match: frozenset[str] | None = None
    match_any: bool = False
    none_match: bool = False

    @classmethod
    def of(cls, headers: Headers) -> "Preconditions":
        """Read the headers of a request.

        Raises:
            InvalidInput: they are not of the form of RFC 9110, or ask for what a write does not know.
        """
        match, none_match = headers.get("if-match"), headers.get("if-none-match")
        if none_match is not None and none_match.strip() != _ANY:
            raise InvalidInput("a write knows `If-None-Match: *` only: nothing is to be there yet")
        if match is None or match.strip() == _ANY:
            return cls(None, match is not None, none_match is not None)
        if not _TAGS.fullmatch(match):
            raise InvalidInput(
                'If-Match is a list of entity tags in quotes, such as "1c4497b9a5637a7ff147ce64007430f7"'
            )
        return cls(frozenset(_TAG.findall(match)), False, none_match is not None)

    def check(self, name: str, stored: str, required: bool) -> None:
        """Check what is there.

        Args:
            name: of the item or collection, for messages.
            stored: its entity tag.
            required: whether the client must say what it saw.

        Raises:
            Changed: the client saw something else.
            ConditionMissing: it does not say what it saw.
        """
        if self.none_match:
            raise Changed(f"{name} is there already, and `If-None-Match: *` asks for nothing to be there")
        if self.match is None and not self.match_any and required:
            raise ConditionMissing(f'{name} changes only with `If-Match: "<ETag>"`; read it to get its ETag')
        if self.match is not None and stored not in self.match:
            raise Changed(
                f"{name} is no longer what you have seen (its ETag is {stored}); read it again and repeat the change"
            )
