"""Multihash checksums, the form that `file:checksum` of the STAC file extension takes.

`1220` + 64 hex digits is a SHA-256; `d50110` + 32 hex digits is an MD5, which the lab uses for chips only, because DVC
names its objects by MD5 and a dataset version can then be proved from catalog rows alone.
"""

import hashlib
import re
from pathlib import Path

SHA256_PREFIX = "1220"
MD5_PREFIX = "d50110"
_HEX_LENGTH = {SHA256_PREFIX: 64, MD5_PREFIX: 32}
_ALGORITHM = {SHA256_PREFIX: "sha256", MD5_PREFIX: "md5"}
_MULTIHASH = re.compile(f"{SHA256_PREFIX}[0-9a-f]{{64}}|{MD5_PREFIX}[0-9a-f]{{32}}")
_READ_BYTES = 1 << 20


def multihash_of_bytes(content: bytes, algorithm: str = "sha256") -> str:
    """Return the multihash of `content`; `algorithm` is `sha256` or `md5`."""
    return _prefix(algorithm) + hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()


def multihash_of_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the multihash of a file's bytes, read in pieces of 1 MiB."""
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(_READ_BYTES):
            state.update(piece)
    return _prefix(algorithm) + state.hexdigest()


def is_multihash(text: str) -> bool:
    """Say whether a text is a lowercase SHA-256 or MD5 multihash."""
    return _MULTIHASH.fullmatch(text) is not None


def split_multihash(checksum: str) -> tuple[str, str]:
    """Split a multihash into its algorithm name and hex digest.

    Raises:
        ValueError: it is not a lowercase SHA-256 or MD5 multihash.
    """
    for prefix, length in _HEX_LENGTH.items():
        digits = checksum[len(prefix) :]
        if checksum.startswith(prefix) and len(digits) == length and not set(digits) - set("0123456789abcdef"):
            return _ALGORITHM[prefix], digits
    raise ValueError(f"{checksum!r} is not a SHA-256 (1220…) or MD5 (d50110…) multihash")


def _prefix(algorithm: str) -> str:
    return {name: prefix for prefix, name in _ALGORITHM.items()}[algorithm]
