"""When a scene was taken: as the caller says, else as the file says, else as its name says.

A file says it by TIFFTAG_DATETIME, or by a tag `datetime`, which xarray's writers leave.
"""

import re
from datetime import UTC, datetime, time

from terralab.catalog.errors import InvalidInput
from terralab.datasets.raster_file import RasterFacts

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d{2})-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?:T([01]\d|2[0-3])([0-5]\d)([0-5]\d))?(?!\d)"
)
_TIFF_FORMAT = "%Y:%m:%d %H:%M:%S"


def parse_period(text: str) -> tuple[datetime, datetime]:
    """Parse an RFC 3339 time, a day, or a range of either with `/` between; UTC where no zone is given.

    A day alone is its first instant; as the end of a range it is its last second.

    Raises:
        InvalidInput: it is none of these, or the range ends before it begins.
    """
    first, slash, last = text.strip().partition("/")
    start = _moment(first, text, end=False)
    end = _moment(last, text, end=True) if slash else start
    if end < start:
        raise InvalidInput(f"datetime {text!r}: the range ends before it begins")
    return start, end


def date_of(facts: RasterFacts) -> tuple[datetime, datetime]:
    """Return the begin and end of the acquisition of a file: from its tag of the time, else from its name.

    Raises:
        InvalidInput: neither has a date.
    """
    moment = _from_tag(facts.written) or date_in_name(facts.path.stem)
    if moment is None:
        raise InvalidInput(
            f"{facts.name}: no date in its TIFFTAG_DATETIME or name; give --datetime YYYY-MM-DD, or a range with '/'"
        )
    return moment, moment


def _moment(text: str, whole: str, *, end: bool) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            f"datetime {whole!r}: give YYYY-MM-DD, an RFC 3339 time such as 2020-05-01T10:30:00Z, or two with '/'"
        ) from None
    if end and _DAY.fullmatch(text.strip()):
        moment = datetime.combine(moment.date(), time(23, 59, 59))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _from_tag(written: str | None) -> datetime | None:
    for parse in (_tiff_time, datetime.fromisoformat):
        try:
            moment = parse(written or "")
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _tiff_time(written: str) -> datetime:
    return datetime.strptime(written, _TIFF_FORMAT).replace(tzinfo=UTC)


def date_in_name(stem: str) -> datetime | None:
    """Return the time that a file's name says, None where it says none."""
    for match in _IN_NAME.finditer(stem):
        parts = [int(part) for part in match.groups(default="0")]
        try:
            return datetime(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], tzinfo=UTC)
        except ValueError:  # the 31st of a short month: some other number
            continue
    return None
