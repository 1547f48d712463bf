"""Which addresses may be stored: none that runs code, names a file of one machine, or carries a credential."""

import re
from collections.abc import Sequence
from urllib.parse import unquote

from terralab.extensions.problem import Problem, broken, shown
from terralab.extensions.rules import ALLOWED_SCHEMES, SECRET_PARAMETERS

_MULTIHASH = r"(?:1220[0-9a-f]{64}|d50110[0-9a-f]{32})"
PLAIN_HREF = (
    r"^(?:(?:https?|s3|gs)://[!-.0->A-~]*[0-9A-Za-z](?:[/?#][!-\[\]-~]*)?"
    rf"|asset://{_MULTIHASH}/[0-9A-Za-z_][!-.0-\[\]-~]*"
    r"|[A-Za-z0-9._][!-.0-9;-\[\]-~/]*)$"
)
"""Regular expression (as JSON Schema has them) of addresses without a fault: a part of what `href_problem` accepts."""
_UPPER_OR_LOWER = "|".join(
    "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in name) for name in SECRET_PARAMETERS
)
SUSPICIOUS_QUERY = rf"[?&#;](?:[^=&#;]*%[^=&#;]*|{_UPPER_OR_LOWER})="
"""Regular expression of queries that carry a credential, or whose names must be decoded to tell."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#\\]*)")
_PARAMETER = re.compile(r"[?&#;]([^=&#;?]+)=")
_REFERENCE = re.compile(rf"asset://{_MULTIHASH}/(?!\.{{1,2}}$)[^/]+")
_FIRST_SEGMENT = re.compile(r"[^/?#]*")
# Backslashes, control characters, and those that have no width or turn the direction of writing.
_REFUSED = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# In these a part before `@` is a container, not a user.
_CONTAINER_SCHEMES = {"abfs", "abfss", "wasbs", "mailto"}


def href_problem(path: Sequence[str | int], href: str) -> Problem | None:
    """Return what is wrong with the address at `path`, None where it may be stored."""
    match = _SCHEME.match(href)
    if href.startswith(("/", "\\", "<")) or (match and len(match[1]) == 1):
        return broken("href_local_path", path, f"{shown(href)} is a path, not an address")
    if not href or href != href.strip() or _REFUSED.search(href):
        return broken("href_characters", path, f"{shown(href)} is empty, or has characters that no address has")
    # GDAL's prefixes, such as `GTIFF_DIR:1:`, have characters that no scheme has.
    scheme = match[1] if match else _FIRST_SEGMENT.match(href)[0].rpartition(":")[0]  # type: ignore[index]
    if scheme and scheme.lower() not in ALLOWED_SCHEMES:
        return broken("href_scheme", path, f"{shown(href)} has the scheme {shown(scheme)}, which is not allowed")
    if scheme.lower() == "asset" and not _REFERENCE.fullmatch(href):
        return broken("href_reference", path, f"{shown(href, 100)} is not a reference into the lab's store")
    return _credentials_problem(path, href, scheme.lower())


def _credentials_problem(path: Sequence[str | int], href: str, scheme: str) -> Problem | None:
    authority = _AUTHORITY.match(href)
    user, at, _ = authority[1].rpartition("@") if authority else ("", "", "")
    if at and (":" in user or scheme not in _CONTAINER_SCHEMES):
        # The value itself is not shown: messages are logged.
        return broken("href_credentials", path, "the address has a user name or password before its host")
    for name in _PARAMETER.findall(href):
        if unquote(name).strip().lower() in SECRET_PARAMETERS:
            return broken("href_credentials", path, f"the address carries a credential, {shown(unquote(name))}")
    return None
