"""Writing collections, in the caller's open transaction; the sibling of `writing`, with the same words."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

from terralab.catalog.errors import AlreadyExists, Changed, UnknownName
from terralab.catalog.extents import union_of_extents
from terralab.catalog.read_model import etag_of, stored_files
from terralab.catalog.refresh import refresh_collection
from terralab.catalog.writing import Change, Mode, Written, partition_of

_FILES = "INSERT INTO lab.files (checksum, collection, id) SELECT checksum, %s, '' FROM unnest(%s::text[]) AS checksum"
_STORED = "SELECT content FROM collections WHERE id = %s"
_HELD = f"{_STORED} FOR UPDATE"
_RENDERED_AT_ONCE = 5_000


def write_collections(
    connection: psycopg.Connection[Any],
    collections: Sequence[dict[str, Any]],
    mode: Mode = "upsert",
    if_match: Mapping[str, str] | None = None,
) -> list[Written]:
    """Write collections, all or nothing. The extent that is stored covers the one given and the one that was there.

    Args:
        connection: in a transaction that the caller commits.
        collections: valid STAC collections as stored.
        mode: `create` only what is new, `replace` only what is there, or either.
        if_match: entity tags that the caller has seen, by id.

    Raises:
        UnknownName: a collection to replace does not exist.
        AlreadyExists: a collection to create exists.
        Changed: a collection has another entity tag than the caller has seen.
    """
    ordered = sorted({collection["id"]: collection for collection in collections}.values(), key=lambda one: one["id"])
    done = {one["id"]: _write(connection, one, mode, (if_match or {}).get(one["id"])) for one in ordered}
    return [done[collection["id"]] for collection in collections]


def change_collection(
    connection: psycopg.Connection[Any],
    collection: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    if_match: str | None = None,
) -> tuple[dict[str, Any], Written]:
    """Read, change and write a collection under its lock, and return it as it is now.

    Raises:
        UnknownName: there is no such collection.
        Changed: it has another entity tag than the caller has seen.
    """
    lock_collection(connection, collection)  # its items may have to be rendered anew
    stored = _locked(connection, collection)
    _check(collection, stored, "replace", if_match)
    assert stored is not None  # checked above
    written = _write(connection, change(stored), "replace", None)
    now = _locked(connection, collection)
    assert now is not None  # written above
    return now, written


def delete_collection(connection: psycopg.Connection[Any], collection: str, if_match: str | None = None) -> None:
    """Delete a collection with its items.

    Raises:
        UnknownName: there is no such collection.
        Changed: it has another entity tag than the caller has seen.
    """
    lock_collection(connection, collection)
    _check(collection, _locked(connection, collection), "replace", if_match)
    connection.execute("SELECT delete_collection(%s)", (collection,))


def lock_collection(connection: psycopg.Connection[Any], collection: str) -> None:
    """Hold off writers of a collection's items until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (collection,))


def _write(connection: psycopg.Connection[Any], collection: dict[str, Any], mode: Mode, seen: str | None) -> Written:
    name = collection["id"]
    before = _read(connection, _STORED, name)
    if before is not None and mode == "upsert" and seen is None and _with_both_extents(before, collection) == before:
        return Written(name, name, etag_of(before), "unchanged", etag_of(before))  # nobody is held off for that
    if before is not None and before.get("renders") != collection.get("renders"):
        lock_collection(connection, name)  # its items are rendered anew
    stored = _locked(connection, name)
    _check(name, stored, mode, seen)
    wanted = collection if stored is None else _with_both_extents(stored, collection)
    if wanted == stored:
        return Written(name, name, etag_of(wanted), "unchanged", etag_of(wanted))
    connection.execute("SELECT upsert_collection(%s::jsonb)", (orjson.dumps(wanted).decode(),))
    if stored is None:
        # Made with the first item, it would hold up all who read or write any collection.
        partition_of(connection, name, datetime.now(UTC), None)
    connection.execute("DELETE FROM lab.files WHERE collection = %s AND id = ''", (name,))
    if files := stored_files(wanted):
        connection.execute(_FILES, (name, files))
    if stored is not None and stored.get("renders") != wanted.get("renders"):
        refresh_collection(connection, name, at_most=_RENDERED_AT_ONCE)
    change: Change = "created" if stored is None else "updated"
    return Written(name, name, etag_of(wanted), change, None if stored is None else etag_of(stored))


def _locked(connection: psycopg.Connection[Any], name: str) -> dict[str, Any] | None:
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", (name,))
    # The row too: a writer of items widens the extent, which must not be overwritten by what was read before.
    return _read(connection, _HELD, name)


def _read(connection: psycopg.Connection[Any], statement: str, name: str) -> dict[str, Any] | None:
    row = connection.execute(statement.encode(), (name,)).fetchone()
    return row[0] if row else None


def _check(name: str, stored: dict[str, Any] | None, mode: Mode, seen: str | None) -> None:
    if stored is None and mode == "replace":
        raise UnknownName(f"there is no collection {name!r}")
    if stored is not None and mode == "create":
        raise AlreadyExists(f"there is a collection {name!r} already; PUT replaces it")
    if seen is not None and (stored is None or etag_of(stored) != seen):
        raise Changed(f"collection {name} is no longer what you have seen; read it again and repeat the change")


def _with_both_extents(stored: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return `new` with an extent that covers the stored one too, which follows from the items."""
    if not stored.get("extent"):
        return new
    return {**new, "extent": union_of_extents(new["extent"], stored["extent"])}
