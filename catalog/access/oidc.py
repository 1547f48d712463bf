"""OpenID Connect bearer tokens: who signed in at the configured issuer may call as its subject (`sub`).

Only RS256 and ES256, by keys of the issuer; issuer, audience and end are required and checked; a token can name a key,
but never where to find one.
"""

from collections.abc import Mapping
from typing import Any

import anyio
import jwt

from terralab.catalog.access.issuer_keys import ALGORITHMS, IssuerKeys
from terralab.catalog.access.keys import LOCAL_NAME
from terralab.catalog.access.principal import SCOPES, Principal
from terralab.catalog.errors import NotAuthenticated, SetupProblem
from terralab.catalog.settings import AccessSettings

LEEWAY_SECONDS = 30
_LONGEST_NAME = 200
_THREADS = 4  # waiting for the issuer never takes all threads of the process
_REQUIRED = ["exp", "iss", "aud", "sub"]


class OidcCheck:
    """Finds out who a token speaks for.

    Args:
        settings: issuer, audience and the names of claims.

    Raises:
        SetupProblem: the settings do not name both an issuer and an audience, or the issuer's address is not safe.
    """

    def __init__(self, settings: AccessSettings) -> None:
        if not settings.oidc_issuer or not settings.oidc_audience:
            raise SetupProblem("set both TERRALAB_ACCESS_OIDC_ISSUER and TERRALAB_ACCESS_OIDC_AUDIENCE, or neither")
        self._audience = settings.oidc_audience
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._scope_claim, self._projects_claim = settings.oidc_scope_claim, settings.oidc_projects_claim
        self._keys = IssuerKeys(settings.oidc_issuer, settings.oidc_jwks_url)

    async def principal(self, token: str) -> Principal:
        """Return the caller that a token speaks for.

        Raises:
            NotAuthenticated: it does not hold.
            ServiceUnavailable: the issuer does not answer.
        """
        id = _key_id(token)
        key = self._keys.find(id) or await anyio.to_thread.run_sync(self._keys.fetch, id, limiter=self._threads)
        if key is None:
            raise NotAuthenticated("the token is signed by a key that the issuer does not have")
        return self._caller(self._claims(token, key))

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[ALGORITHMS[str(key.key_type)]],
                audience=self._audience,
                issuer=self._keys.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.PyJWTError as error:
            raise NotAuthenticated(f"the token does not hold: {error}") from error

    def _caller(self, claims: Mapping[str, Any]) -> Principal:
        name = claims["sub"]
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise NotAuthenticated("the token does not hold: its subject is no name")
        if name == LOCAL_NAME:
            raise NotAuthenticated(f"the token does not hold: the name {LOCAL_NAME!r} is the local token's")
        scopes = frozenset(scope for scope in SCOPES if scope in _words(claims.get(self._scope_claim)))
        return Principal(name, scopes, frozenset(_words(claims.get(self._projects_claim))), "admin" in scopes)


def _key_id(token: str) -> str | None:
    """Return which key a token says that it is signed by.

    Raises:
        NotAuthenticated: it is no token, or one of a kind that the lab does not take.
    """
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise NotAuthenticated(f"the token cannot be read: {error}") from error
    if header.get("alg") not in ALGORITHMS.values():
        raise NotAuthenticated(f"the token must be signed by {' or '.join(ALGORITHMS.values())}")
    if "crit" in header:
        raise NotAuthenticated("the token asks for an extension (`crit`) that the lab does not have")
    id = header.get("kid")
    if id is not None and not isinstance(id, str):
        raise NotAuthenticated("the token names its key in a way that is no text")
    return id


def _words(claim: Any) -> list[str]:
    """Return a claim that is a list, or text with spaces between the words."""
    words = claim.split() if isinstance(claim, str) else claim
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []
