"""Times: RFC 3339 with a zone, and ranges that end after they start."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from terralab.extensions.problem import Problem, broken, shown

Path = tuple[str | int, ...]
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[zZ]|[+-]\d{2}:\d{2})\Z")
_NAIVE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?\Z")
_MICROSECONDS = re.compile(r"(\.\d{6})\d+")
_OTHERS = (
    "created", "updated", "published", "expires", "unpublished", "processing:datetime", "lab:started", "lab:finished",
)  # fmt: skip
_RANGES = (("start_datetime", "end_datetime"), ("lab:started", "lab:finished"))


def time_problems(properties: Mapping[str, Any]) -> list[Problem]:
    """Check the times in an item's properties."""
    found: list[Problem] = []
    times: dict[str, datetime] = {}
    for name in ("datetime", "start_datetime", "end_datetime", *_OTHERS):
        if properties.get(name) is not None:
            read = _read(("properties", name), properties[name])
            if isinstance(read, Problem):
                found.append(read)
            else:
                times[name] = read
    if not found and "datetime" not in times and not {"start_datetime", "end_datetime"} <= times.keys():
        found.append(broken("datetime_missing", ["properties", "datetime"], "the item says no time"))
    for start, end in _RANGES:
        if start in times and end in times and times[start] > times[end]:
            message = f"{properties[start]} ({start}) is after {properties[end]} ({end})"
            found.append(broken("start_after_end", ["properties", start], message))
    return found


def interval_problems(interval: Any, path: Path) -> list[Problem]:
    """Check one interval of a collection's extent: two times, None for an open end."""
    if not isinstance(interval, list | tuple) or len(interval) != 2:  # start and end
        return [broken("datetime_form", path, f"{shown(interval)} is not a pair of a start and an end")]
    read = [None if time is None else _read((*path, number), time) for number, time in enumerate(interval)]
    faults = [each for each in read if isinstance(each, Problem)]
    start, end = read
    if isinstance(start, datetime) and isinstance(end, datetime) and start > end:
        faults.append(broken("start_after_end", path, f"{interval[0]} is after {interval[1]}"))
    return faults


def _read(path: Path, written: Any) -> datetime | Problem:
    if not isinstance(written, str) or not _TIME.match(written):
        if isinstance(written, str) and _NAIVE.match(written):
            whole = written + "1970-01-01T00:00:00"[len(written) :]
            return broken("datetime_naive", path, f"{shown(written)} has no time zone", f"write {whole}Z if it is UTC")
        return broken("datetime_form", path, f"{shown(written)} is not a time of RFC 3339")
    try:
        return datetime.fromisoformat(_MICROSECONDS.sub(r"\1", written.upper()))
    except ValueError as error:
        return broken("datetime_form", path, f"{shown(written)} is not a time: {error}")
