"""API keys: `tl_<prefix>_<secret>`, made for a user, with scopes, an end and a way to revoke them.

The database has a hash only; a key is seen once, by who made it. A check remembers what it found for five seconds, so
that a revoked key stops to work within them.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from terralab.catalog.access.principal import SCOPES, Principal, Scope
from terralab.catalog.database import Catalog
from terralab.catalog.errors import InvalidInput, NotAuthenticated, UnknownName

KEY_START = "tl_"
LOCAL_NAME = "lab"
"""Name of the caller with the local token; no key may have it."""
KEPT_SECONDS = 5.0
_MOST_KEPT = 10_000
_PREFIX_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_KEY = re.compile(r"tl_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_SELECTED = "prefix, owner, scopes, projects, created, expires, revoked, last_used"
_INSERT = """
    INSERT INTO lab.api_keys (prefix, hash, owner, scopes, projects, expires)
    VALUES (%s, %s, %s, %s, %s, now() + %s) RETURNING {selected}"""
_LIST = "SELECT {selected} FROM lab.api_keys ORDER BY created DESC, prefix"
_REVOKE = "UPDATE lab.api_keys SET revoked = coalesce(revoked, now()) WHERE prefix = %s RETURNING {selected}"
_FIND = "SELECT hash, {selected} FROM lab.api_keys WHERE prefix = %s"


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key.

    Attributes:
        prefix: the part that names it.
        owner: the user that it speaks for.
        scopes: what it may do.
        projects: that its owner is a member of, by this key.
        created: when it was made.
        expires: when it ends; None for never.
        revoked: when it was revoked, if it was.
        last_used: in which hour it was used last.
    """

    prefix: str
    owner: str
    scopes: Sequence[Scope]
    projects: Sequence[str]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None

    @property
    def is_valid(self) -> bool:
        """Return whether it may be used now."""
        return self.revoked is None and (self.expires is None or self.expires > datetime.now(UTC))


def create_key(
    catalog: Catalog,
    owner: str,
    scopes: Sequence[str] = ("read",),
    projects: Sequence[str] = (),
    lifetime: timedelta | None = None,
) -> tuple[str, ApiKey]:
    """Make a key and return it, the only time that it can be seen, with what is known of it.

    Args:
        catalog: where its hash is kept.
        owner: the user that it speaks for.
        scopes: of `read`, `write` and `admin`.
        projects: that the owner is a member of.
        lifetime: how long it holds; for ever by default.

    Raises:
        InvalidInput: a name or scope is not valid.
    """
    _check(owner, scopes, projects, lifetime)
    prefix = "".join(secrets.choice(_PREFIX_LETTERS) for _ in range(8))
    key = f"{KEY_START}{prefix}_{secrets.token_urlsafe(32)}"
    with catalog.connection() as connection:
        row = connection.execute(
            _INSERT.format(selected=_SELECTED),
            (prefix, _hash(key), owner, sorted(set(scopes)), sorted(set(projects)), lifetime),
        ).fetchone()
    assert row is not None
    return key, ApiKey(*row)


def list_keys(catalog: Catalog) -> list[ApiKey]:
    """Return all keys, the newest first, also those that hold no longer."""
    with catalog.connection() as connection:
        rows = connection.execute(_LIST.format(selected=_SELECTED)).fetchall()
    return [ApiKey(*row) for row in rows]


def revoke_key(catalog: Catalog, prefix: str) -> ApiKey:
    """Revoke a key and return what is known of it; one that was revoked before stays as it is.

    Args:
        catalog: where its hash is kept.
        prefix: its prefix; a whole key will do as well.

    Raises:
        UnknownName: there is none.
    """
    match = _KEY.fullmatch(prefix)
    name = match[1] if match else prefix.removeprefix(KEY_START)
    with catalog.connection() as connection:
        row = connection.execute(_REVOKE.format(selected=_SELECTED), (name,)).fetchone()
    if row is None:
        raise UnknownName.of("key", name, [key.prefix for key in list_keys(catalog)])
    return ApiKey(*row)


class KeyCheck:
    """Finds out who has a key.

    Args:
        catalog: where the hashes are.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept: dict[bytes, tuple[float, ApiKey | None]] = {}

    def remembered(self, key: str) -> Principal | None:
        """Return the caller where the key was found a few seconds ago; None where the database must be asked.

        Raises:
            NotAuthenticated: it was found not to hold.
        """
        kept = self._kept.get(_hash(key))
        if kept is None or monotonic() - kept[0] >= KEPT_SECONDS:
            return None
        return _principal(kept[1])

    def principal(self, key: str) -> Principal:
        """Return the caller that a key speaks for, by the database.

        Raises:
            NotAuthenticated: the key does not hold.
            ServiceUnavailable: the database does not answer.
        """
        now = monotonic()
        found = self._find(key)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[_hash(key)] = (now, found)
        return _principal(found)

    def _find(self, key: str) -> ApiKey | None:
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        with self._catalog.connection() as connection:
            row = connection.execute(_FIND.format(selected=_SELECTED), (match[1],)).fetchone()
            if row is None or not hmac.compare_digest(row[0], _hash(key)):
                return None
            found = ApiKey(*row[1:])
            if found.is_valid:
                _note_use(connection, found)
        return found


def _note_use(connection: Any, key: ApiKey) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if key.last_used is None or key.last_used < hour:
        connection.execute("UPDATE lab.api_keys SET last_used = %s WHERE prefix = %s", (hour, key.prefix))


def _principal(key: ApiKey | None) -> Principal:
    if key is None:
        raise NotAuthenticated("there is no such key; make one with `terralab keys create`")
    if not key.is_valid:
        how = "was revoked" if key.revoked else f"expired at {key.expires:%Y-%m-%d %H:%M} UTC"
        raise NotAuthenticated(f"the key {KEY_START}{key.prefix}… {how}; make another with `terralab keys create`")
    return Principal(key.owner, frozenset(key.scopes), frozenset(key.projects), "admin" in key.scopes)


def _check(owner: str, scopes: Sequence[str], projects: Sequence[str], lifetime: timedelta | None) -> None:
    for name in (owner, *projects):
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is no name of a user or project: 1 to 200 letters, no control characters")
    if owner == LOCAL_NAME:
        raise InvalidInput(f"{LOCAL_NAME!r} is the name of the local token; choose another owner")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InvalidInput(f"a key has scopes of {', '.join(SCOPES)}, not {', '.join(map(repr, unknown)) or 'none'}")
    if lifetime is not None and lifetime <= timedelta(0):
        raise InvalidInput("a key must hold for longer than no time")


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
