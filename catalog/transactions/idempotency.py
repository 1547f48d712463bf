"""The same answer to the same request, sent twice: the header `Idempotency-Key`.

A client that did not hear the answer to a write sends it again with the same key, and hears what the first one would
have been told; nothing is written twice. Answers are kept with the write itself, in its transaction, for a day. What
was refused left nothing behind, and is simply tried again.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from terralab.catalog.errors import InvalidInput, KeyReused
from terralab.catalog.transactions.answer import Answer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_HOURS = 24
_KEY = re.compile(r"[!-~]{1,255}")
_FORGET_OWN = (
    "DELETE FROM lab.idempotency WHERE principal = %s AND key = %s AND created < now() - make_interval(hours => %s)"
)
_FORGET_OLD = """
    DELETE FROM lab.idempotency WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM lab.idempotency WHERE created < now() - make_interval(hours => %s) LIMIT 100
        FOR UPDATE SKIP LOCKED))"""
# Where another transaction has just put the same key, this waits until that one is done.
_CLAIM = """
    INSERT INTO lab.idempotency (principal, key, request) VALUES (%s, %s, %s)
    ON CONFLICT DO NOTHING RETURNING true"""
_KNOWN = "SELECT request, status, headers, body FROM lab.idempotency WHERE principal = %s AND key = %s"
_KEEP = "UPDATE lab.idempotency SET status = %s, headers = %s::jsonb, body = %s WHERE principal = %s AND key = %s"


@dataclass(frozen=True)
class KeyedRequest:
    """A request with a key.

    Attributes:
        principal: name of the caller; keys of different callers have nothing to do with one another.
        key: what the client chose, up to 255 printable ASCII characters.
        request: hash of what is asked for.
    """

    principal: str
    key: str
    request: bytes

    @classmethod
    def of(cls, principal: str, key: str, *parts: bytes) -> "KeyedRequest":
        """Return the request with that key which consists of `parts`.

        Raises:
            InvalidInput: the key is of another form.
        """
        if not _KEY.fullmatch(key):
            raise InvalidInput(f"{HEADER} is 1 to 255 printable ASCII characters without spaces, such as a UUID")
        lengths = b"".join(len(part).to_bytes(8, "big") for part in parts)
        return cls(principal, key, hashlib.sha256(lengths + b"".join(parts)).digest())


def known_answer(connection: psycopg.Connection[Any], request: KeyedRequest) -> Answer | None:
    """Return the answer that the request had before, None where it is new; its key is taken from then on.

    Raises:
        KeyReused: another request had that key.
    """
    owner = (request.principal, request.key)
    connection.execute(_FORGET_OWN, (*owner, KEPT_HOURS))
    connection.execute(_FORGET_OLD, (KEPT_HOURS,))
    if connection.execute(_CLAIM, (*owner, request.request)).fetchone() is not None:
        return None
    row = connection.execute(_KNOWN, owner).fetchone()
    assert row is not None  # the claim met it
    if bytes(row[0]) != request.request:
        raise KeyReused(f"{HEADER} {request.key!r} came with another request before; use a new key for a new request")
    return Answer(row[1], bytes(row[3]), row[2])


def keep_answer(connection: psycopg.Connection[Any], request: KeyedRequest, answer: Answer) -> None:
    """Keep the answer to a request whose key was taken in this transaction."""
    headers = orjson.dumps(answer.headers).decode()
    connection.execute(_KEEP, (answer.status, headers, answer.body, request.principal, request.key))
