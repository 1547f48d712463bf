"""The license of a dataset, as STAC wants it."""

import re

_IDENTIFIER = re.compile(r"^[\w\-.+]+$")


def spdx_license(given: str, written: str | None) -> str:
    """Return the license: as given, else as the source writes it where that is an identifier, else `other`."""
    if given != "other" or written is None:
        return given
    return written if _IDENTIFIER.match(written) else "other"
