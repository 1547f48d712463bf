"""RFC 3339 times and intervals of searches, where they are written in full; anything else is for pgstac to judge."""

import re
from datetime import UTC, datetime

_INSTANT = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$")
_OPEN = ("", "..")


def parse_instant(text: str) -> datetime | None:
    """Return the time, None where `text` is not one with a date, a time and a zone."""
    if not _INSTANT.match(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_interval(text: str) -> tuple[datetime | None, datetime | None] | None:
    """Return begin and end of a STAC datetime, None for an open end; None where it is not plainly right."""
    parts = text.split("/")
    if len(parts) == 1:
        moment = parse_instant(text)
        return None if moment is None else (moment, moment)
    if len(parts) != 2 or (parts[0] in _OPEN and parts[1] in _OPEN):
        return None
    ends = [None if part in _OPEN else parse_instant(part) for part in parts]
    if any(end is None and part not in _OPEN for end, part in zip(ends, parts, strict=True)):
        return None
    start, end = ends
    if start is not None and end is not None and start > end:
        return None
    return start, end
