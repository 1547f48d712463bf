"""Identifiers: which are valid, and how those of derived objects follow from what they were made of.

An id is lowercase letters, digits, `_` and `-` (the API rejects `: / @ . +` and their like). A derived object's id
ends in a short SHA-256 of its inputs' checksums, its parameters and the code version, so the same work has the same id.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,127}$"
_ID = re.compile(ID_PATTERN)
DIGEST_LENGTH = 12  # 48 bits: a clash among a million objects has a chance below 1 in 500


def code_version() -> str:
    """Return the version of this distribution, part of every derived id."""
    return version("terralab")


def is_valid_id(text: str) -> bool:
    """Say whether `text` may be the id of an item or a collection."""
    return bool(_ID.match(text))


def slug(text: str) -> str:
    """Turn a file stem or a name into a valid id: `Spain_7370579.S2` becomes `spain_7370579-s2`.

    Raises:
        ValueError: nothing of `text` can be kept.
    """
    cleaned = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:128]
    if not cleaned:
        raise ValueError(f"{text!r} has no letter or digit that an id could be made of")
    return cleaned


def canonical_json(value: Any) -> str:
    """Serialise to JSON with sorted keys and no spaces, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_LENGTH]


def derived_id(prefix: str, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return `<prefix>-<digest>` for an object made from `inputs` with `parameters`.

    Args:
        prefix: a readable start, itself a valid id.
        inputs: what it was made from, each as its checksum (or a list of checksums).
        parameters: every choice that changes the result; JSON values only.
    """
    made_from = {"inputs": dict(inputs), "parameters": dict(parameters), "code": code_version()}
    return f"{slug(prefix)[: 127 - DIGEST_LENGTH]}-{digest(made_from)}"
