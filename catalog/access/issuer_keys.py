"""The public keys of an OpenID Connect issuer: fetched from its own host, kept, and fetched again when they change."""

import logging
from collections.abc import Mapping
from ipaddress import ip_address
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from terralab.catalog.errors import ServiceUnavailable, SetupProblem

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""The one algorithm of each type of key; the issuer's other keys are passed over."""
FRESH_SECONDS = 600.0
STALE_SECONDS = 3600.0
ASK_AGAIN_SECONDS = 60.0
RETRY_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1 << 20
_LEAST_RSA_BITS = 2048
_LOG = logging.getLogger("terralab.access.oidc")


class IssuerKeys:
    """Keys by their id.

    Args:
        issuer: address of the issuer.
        jwks_url: where its keys are; by default its discovery document says.

    Raises:
        SetupProblem: an address is neither https nor on this machine.
    """

    def __init__(self, issuer: str, jwks_url: str | None = None) -> None:
        self.issuer, self._jwks_url = issuer, jwks_url
        for url in (issuer, *([jwks_url] if jwks_url else [])):
            _check_address(url)
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = Lock()

    def find(self, id: str | None) -> jwt.PyJWK | None:
        """Return a key that is known, None where `fetch` should be asked first; without an id the only key there is."""
        if monotonic() - self._fetched >= FRESH_SECONDS:
            return None
        return self._known(id)

    def fetch(self, id: str | None) -> jwt.PyJWK | None:
        """Return a key, asking the issuer where that may help; this takes the time of two requests.

        The issuer is asked at most once a minute for a key that it does not have, and every few seconds while it does
        not answer. Keys that are known hold for an hour without it.

        Raises:
            ServiceUnavailable: the issuer does not answer, and the key is not known from before.
        """
        with self._lock:
            age, since = monotonic() - self._fetched, monotonic() - self._tried
            found = self._known(id) if age < STALE_SECONDS else None
            wait = ASK_AGAIN_SECONDS if self._fetched == self._tried else RETRY_SECONDS
            if (found is None or age >= FRESH_SECONDS) and since >= wait:
                self._ask(keep_going=found is not None)
            elif age >= STALE_SECONDS:
                raise ServiceUnavailable(f"the issuer {self.issuer} did not answer a moment ago; try again soon")
            return self._known(id)

    def _known(self, id: str | None) -> jwt.PyJWK | None:
        if id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(id)

    def _ask(self, keep_going: bool) -> None:
        self._tried = monotonic()
        try:
            self._keys = _usable(_get_json(self._jwks_url or self._discovered()))
        except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
            _LOG.warning("the keys of %s cannot be read: %s", self.issuer, error)
            if keep_going:
                return
            raise ServiceUnavailable(f"the keys of the issuer {self.issuer} cannot be read; try again soon") from error
        self._fetched = self._tried

    def _discovered(self) -> str:
        document = _get_json(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        url = str(document["jwks_uri"])
        if document.get("issuer") != self.issuer:
            raise ValueError(f"its discovery document is that of {document.get('issuer')!r}")
        if urlsplit(url)[:2] != urlsplit(self.issuer)[:2]:
            raise ValueError(f"its keys are on another host ({url}); set TERRALAB_ACCESS_OIDC_JWKS_URL to trust it")
        return url


def _get_json(url: str) -> Mapping[str, Any]:
    with httpx.stream("GET", url, timeout=_TIMEOUT_SECONDS, follow_redirects=False) as response:
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"{url} answers {response.status_code}")
        body = b""
        for part in response.iter_bytes():
            body += part
            if len(body) > _MAX_BYTES:
                raise ValueError(f"{url} answers more than {_MAX_BYTES} bytes")
        document = httpx.Response(200, content=body).json()
    if not isinstance(document, dict):
        raise ValueError(f"{url} answers no JSON object")
    return document


def _usable(document: Mapping[str, Any]) -> dict[str | None, jwt.PyJWK]:
    """Return the keys for signatures that the lab takes: RSA of 2048 bits or more, and EC on P-256."""
    usable: dict[str | None, jwt.PyJWK] = {}
    for entry in document["keys"]:
        algorithm = ALGORITHMS.get(entry.get("kty"))
        if algorithm is None or entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwt.PyJWK.from_dict(entry, algorithm)
        except jwt.PyJWTError as error:
            _LOG.warning("a key of the issuer cannot be read: %s", error)
            continue
        if key.key.key_size >= _LEAST_RSA_BITS if entry["kty"] == "RSA" else entry.get("crv") == "P-256":
            usable[entry.get("kid")] = key
    return usable


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(parts.hostname or "")):
        return
    raise SetupProblem(f"{url!r} is no https address; set TERRALAB_ACCESS_OIDC_ISSUER or _JWKS_URL to one")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
