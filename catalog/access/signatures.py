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
from secrets import token_hex
from time import time

import orjson

from terralab.catalog.access.secret_files import SIGNING_KEY, kept_secret
from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.rendering import BASE
from terralab.catalog.served_items import file_url
from terralab.catalog.store import parse_href

EXPIRES, SIGNATURE = "expires", "signature"
# Stands for the mark while JSON is read; no user can know it and write it.
_MARK = token_hex(16)
_MARKED_FILE = re.compile(_MARK + "/files/([^/]+)/")
_EXPIRES = re.compile(r"[1-9][0-9]{0,11}")


class Signer:
    """Signs and checks addresses of stored files.

    Args:
        folder: of the lab's secrets; the key is made there on first use.
        seconds: how long an address holds.
    """

    def __init__(self, folder: Path, seconds: int) -> None:
        self._folder, self._seconds, self._step = folder, seconds, max(1, seconds // 2)
        self._key: bytes | None = None

    def query(self, checksum: str) -> str:
        """Return the query of an address that holds from now on: `expires=…&signature=…`.

        The end is rounded up to a whole share of the time, so that a client that asks again for an item gets the same
        address, and finds what it keeps by it.
        """
        expires = (self.period() + 1) * self._step + self._seconds - self._step
        return f"{EXPIRES}={expires}&{SIGNATURE}={self.sign(checksum, expires)}"

    def period(self) -> int:
        """Return a number that changes when signed addresses do, for the entity tags of documents that hold them."""
        return int(time()) // self._step

    def sign_body(self, body: bytes) -> bytes:
        """Return the rendered JSON of an item or a collection with the addresses of its stored files signed.

        Args:
            body: of `rendering.rendered`, with its mark for the address of the web process. Only what the lab itself
                made of `asset://…` is signed: an address that a user wrote could name somebody else's file.
        """
        document = orjson.loads(body.replace(BASE, _MARK.encode()))
        for asset in (document.get("assets") or {}).values():
            address = _MARKED_FILE.match(str(asset.get("href", "")))
            if address is not None:
                asset["href"] = f"{asset['href']}?{self.query(address[1])}"
        return orjson.dumps(document).replace(_MARK.encode(), BASE)

    def file_url(self, href: str, base: str) -> str:
        """Return the signed address of `asset://<multihash>/<name>`; any other href as it is.

        Args:
            href: as stored.
            base: address of the web process.
        """
        url = file_url(href, base)
        return url if url == href else f"{url}?{self.query(parse_href(href)[0])}"

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
