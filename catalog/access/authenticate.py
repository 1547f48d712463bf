"""Who sent a request: the middleware that turns a token into a caller, and refuses a token that does not hold.

A token comes as `Authorization: Bearer …` or `X-API-Key: …` and is one of

    the local token     that `terralab up` wrote into the home folder; its caller is an admin
    an API key          `tl_…`, see `keys`
    an OIDC token       a JWT of the configured issuer, see `oidc`

A request without one is anonymous. A wrong one is 401, never anonymous: a client would take what is public for all.
"""

import hmac
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terralab.catalog.access.keys import KEY_START, LOCAL_NAME, KeyCheck
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import PRINCIPAL
from terralab.catalog.access.secret_files import TOKEN, read_secret
from terralab.catalog.database import Catalog
from terralab.catalog.errors import LabError, NotAuthenticated
from terralab.catalog.problems import problem, status_of
from terralab.catalog.settings import Settings

if TYPE_CHECKING:
    from terralab.catalog.access.oidc import OidcCheck

CREDENTIAL_HEADERS = ("Authorization", "X-API-Key")
_LONGEST_TOKEN = 16_384
_DOTS_OF_A_JWT = 2
_THREADS = 4  # asking the database about keys never takes all threads of the process


class Authenticate:
    """Middleware that puts the caller into every request, where no outer one did.

    Args:
        app: what answers.
        callers: finds out who calls.
    """

    def __init__(self, app: ASGIApp, callers: "Callers") -> None:
        self.app, self._callers = app, callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or PRINCIPAL in scope:
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._callers.of(Headers(scope=scope))
        except LabError as error:
            refusal = problem(Request(scope), status_of(error), error.code, str(error), _headers(error))
            await refusal(scope, receive, _varying(send, True))
            return
        scope[PRINCIPAL] = caller  # in place, so that outer middleware can log the name
        await self.app(scope, receive, _varying(send, caller.name is not None))


class Callers:
    """Finds the caller of a request by its headers.

    Args:
        settings: which tokens hold, and whether reads are open.

    Raises:
        SetupProblem: the settings for OpenID Connect are not whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = settings.open_reads
        self._anonymous = Principal(reads_all=self._open)
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._oidc = self._oidc_check()

    async def of(self, headers: Headers) -> Principal:
        """Return the caller.

        Raises:
            NotAuthenticated: the token does not hold.
            ServiceUnavailable: the database or the issuer, which must say so, does not answer.
        """
        token = _token(headers.getlist("authorization"), headers.getlist("x-api-key"))
        if token is None:
            return self._anonymous
        caller = await self._caller(token)
        return replace(caller, reads_all=True) if self._open else caller

    async def _caller(self, token: str) -> Principal:
        if token.startswith(KEY_START):
            if (known := self._keys.remembered(token)) is not None:
                return known
            return await anyio.to_thread.run_sync(self._keys.principal, token, limiter=self._threads)
        if self._oidc is not None and token.count(".") == _DOTS_OF_A_JWT:
            return await self._oidc.principal(token)
        local = read_secret(self._settings.secrets_folder, TOKEN)
        if local is not None and hmac.compare_digest(local.encode(), token.encode()):
            return Principal(LOCAL_NAME, frozenset({"admin"}), reads_all=True)
        raise NotAuthenticated("the token does not hold; the lab's own is in `secrets/token` of its home folder")

    @cached_property
    def _keys(self) -> KeyCheck:
        return KeyCheck(Catalog(self._settings.database_url))

    def _oidc_check(self) -> "OidcCheck | None":
        access = self._settings.access
        if access.oidc_issuer is None and access.oidc_audience is None:
            return None
        # Only a lab with an issuer waits for the import of its cryptography.
        from terralab.catalog.access.oidc import OidcCheck

        return OidcCheck(access)


def _token(authorizations: Sequence[str], keys: Sequence[str]) -> str | None:
    """Return the one token of a request.

    Raises:
        NotAuthenticated: there are several, or it is not a bearer token.
    """
    if not authorizations and not keys:
        return None
    if len(authorizations) + len(keys) > 1:
        raise NotAuthenticated("send one token, as `Authorization: Bearer …` or as `X-API-Key: …`")
    scheme, _, token = ("bearer", "", keys[0]) if keys else authorizations[0].partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii() or len(token) > _LONGEST_TOKEN:
        raise NotAuthenticated("the lab takes bearer tokens and keys only: `Authorization: Bearer …`")
    return token


def _headers(error: LabError) -> dict[str, str]:
    if not isinstance(error, NotAuthenticated):
        return {}
    return {"WWW-Authenticate": 'Bearer realm="terralab", error="invalid_token"'}


def _varying(send: Send, private: bool) -> Send:
    """Return `send`, telling caches that answers differ by caller; `private` ones are for one caller alone."""

    async def send_varying(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in CREDENTIAL_HEADERS:
                headers.add_vary_header(name)
            if private:
                headers["cache-control"] = _for_one(headers.get("cache-control", ""))
        await send(message)

    return send_varying


def _for_one(directives: str) -> str:
    """Return a Cache-Control that lets no cache of many keep the answer."""
    parts = [part for part in (part.strip() for part in directives.split(",")) if part and part.lower() != "public"]
    kept_by_none = any(part.lower().partition("=")[0] in ("private", "no-store") for part in parts)
    return ", ".join(parts if kept_by_none else ["private", *parts])
