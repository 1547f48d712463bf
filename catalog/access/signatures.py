"""Addresses of private files that hold for a short time, for clients that cannot send a token (GDAL, an `<img>`).

    /files/<checksum>/<name>?expires=<Unix time>&signature=<HMAC-SHA256>

A signature says that somebody who may read the file gave the address away; it names the bytes and no other file.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from time import time

from terralab.catalog.access.secret_files import SIGNING_KEY, kept_secret
from terralab.catalog.errors import ServiceUnavailable

EXPIRES, SIGNATURE = "expires", "signature"
_EXPIRES = re.compile(r"[1-9][0-9]{0,11}")


class Signer:
    """Signs and checks addresses of stored files.

    Args:
        folder: of the lab's secrets; the key is made there on first use.
        seconds: how long an address holds.
    """

    def __init__(self, folder: Path, seconds: int) -> None:
        self._folder, self._seconds = folder, seconds
        self._key: bytes | None = None

    def query(self, checksum: str) -> str:
        """Return the query of an address that holds from now on: `expires=…&signature=…`.

        The end is rounded up to a whole share of the time, so that a client that asks again for an item gets the same
        address, and finds what it keeps by it.
        """
        step = max(1, self._seconds // 2)
        expires = (int(time()) // step + 1) * step + self._seconds - step
        return f"{EXPIRES}={expires}&{SIGNATURE}={self.sign(checksum, expires)}"

    def sign(self, checksum: str, expires: int) -> str:
        """Return the signature of a file's address until a Unix time: 43 letters."""
        digest = hmac.new(self._secret(), f"{checksum}/{expires}".encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def verify(self, checksum: str, query: Mapping[str, str]) -> bool:
        """Return whether the query of a request holds a signature of that file that is not over."""
        expires, signature = query.get(EXPIRES, ""), query.get(SIGNATURE, "")
        if not _EXPIRES.fullmatch(expires) or not signature.isascii():
            return False
        wanted = self.sign(checksum, int(expires))
        return hmac.compare_digest(wanted, signature) and int(expires) > time()

    def _secret(self) -> bytes:
        if self._key is None:
            try:
                self._key = kept_secret(self._folder, SIGNING_KEY).encode()
            except OSError as error:
                reason = f"the key for signatures cannot be kept in {self._folder} ({error.strerror})"
                raise ServiceUnavailable(reason) from error
        return self._key
