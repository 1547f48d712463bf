"""Times as Arrow timestamps, and back in the way in which they were written.

A style is `<digits><zone>`: how many digits the fraction of a second has, and `Z` or `+00:00`. Digits `6?` mean none
where there is no fraction, `auto` as few as are needed of 0, 3 and 6. Times in another style than their column's are
written down beside it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from terralab.catalog.geoparquet.columns import TIME_TYPE
from terralab.catalog.geoparquet.exact import Exact, Place

TIME_FIELDS = frozenset(
    ("datetime", "start_datetime", "end_datetime", "created", "updated", "expires", "published", "unpublished")
)
"""Properties that are times by name, as in the stac_geoparquet library."""
PLAIN_STYLE = "autoZ"
_SECONDS = 19  # characters of a time to the second


def tails(values: Sequence[str]) -> Counter[tuple[int, str]]:
    """Count how times are written: digits of the fraction, and zone."""
    return Counter(map(_tail, values))


def style_of(found: Counter[tuple[int, str]]) -> str:
    """Return the style that most of the times follow."""
    zones: Counter[str] = Counter()
    digits: set[int] = set()
    for (count, zone), times in found.items():
        zones[zone] += times
        digits.add(count)
    zone = next((zone for zone, _ in zones.most_common() if zone in ("Z", "+00:00")), "Z")
    fractions = sorted(digits - {0})
    if not fractions:
        return f"0{zone}"
    if len(fractions) > 1 or fractions[0] > 6:
        return f"auto{zone}"
    return f"{fractions[0]}{'?' if 0 in digits else ''}{zone}"


def time_array(values: list[Any], style: str, place: Place, exact: Exact) -> pa.Array:
    """Return the array of times; those that do not come back as they are written are written down."""
    array = _parsed(values)
    for index, (value, back) in enumerate(zip(values, written(array, style), strict=True)):
        if value is not None and value != back:
            exact.note(place, index, value)
    return array


def written(array: pa.Array, style: str) -> list[str | None]:
    """Return times as text."""
    digits, zone = (style[:-1], "Z") if style.endswith("Z") else (style.removesuffix("+00:00"), "+00:00")
    stamps = array.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    texts = np.datetime_as_string(stamps, unit="us").tolist()
    fixed = int(digits) if digits.isdigit() else None
    if fixed == 0:
        made = [text[:_SECONDS] + zone for text in texts]
    elif fixed is not None:
        made = [text[: _SECONDS + 1 + fixed] + zone for text in texts]
    else:
        most = None if digits == "auto" else int(digits.removesuffix("?"))
        made = [_shortened(text, most) + zone for text in texts]
    if array.null_count == 0:
        return list(made)
    return [text if valid else None for text, valid in zip(made, array.is_valid().to_pylist(), strict=True)]


def _shortened(text: str, digits: int | None) -> str:
    """Return a time with its fraction: none where it is 0, else `digits` of it, or as few as are needed of 3 and 6."""
    fraction = text[_SECONDS + 1 :]
    if fraction == "000000":
        return text[:_SECONDS]
    if digits is None:
        digits = 3 if fraction.endswith("000") else 6
    return text[: _SECONDS + 1 + digits]


def _parsed(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string()).cast(TIME_TYPE)
    except pa.ArrowInvalid:
        return pa.array([_parsed_one(value) for value in values], TIME_TYPE)


def _parsed_one(value: Any) -> Any:
    """Return a time; None for what Arrow cannot read, such as a leap second, which is then written down as it is."""
    try:
        return pa.scalar(value, pa.string()).cast(TIME_TYPE)
    except pa.ArrowInvalid:
        return None


def _tail(value: str) -> tuple[int, str]:
    tail = value[_SECONDS:]
    if tail == "Z":
        return 0, "Z"
    fraction = tail[1:] if tail.startswith(".") else ""
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    return digits, tail[1 + digits :] if fraction else tail
