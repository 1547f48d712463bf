"""Writing items: the one way by which rows of items come into the catalog, in pgstac and in the read model together.

Every function works in the caller's open transaction, so that a batch is all or nothing and a caller can put an audit
row or an idempotency key beside it. What is already there in the same form is left untouched.

Lost updates, false 404s and duplicates of the stock client come from its DELETE and INSERT without a lock. Here a write
first takes advisory locks, in one order for everybody: a shared one on each collection and then one on each item; a
large batch takes the collections' locks alone and exclusively, since locks are a limited good of the database.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg

from terralab.catalog.errors import AlreadyExists, Changed, UnknownName
from terralab.catalog.extents import items_at_the_edge, recompute_extent, widen_extents
from terralab.catalog.read_model import CollectionState, ItemRow, etag_of, hydrated, item_rows
from terralab.catalog.row_copy import copy_pgstac_rows, copy_read_rows

Mode = Literal["create", "replace", "upsert"]
Change = Literal["created", "updated", "unchanged"]
Key = tuple[str, str]
_MANY = 500
_STATES = """
    SELECT c.id, c.key, c.partition_trunc, b.base_item, b.base_item_id, c.content->'renders'
    FROM collections c, current_base_item(c.id) b WHERE c.id = ANY(%s)"""
_STORED_HASHES = """
    SELECT w.collection, w.id, encode(r.hash, 'hex') FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    JOIN lab.items r USING (collection, id)
    WHERE NOT EXISTS (SELECT 1 FROM lab.stale s WHERE s.collection = w.collection AND s.id = w.id)"""
_STORED_ITEMS = """
    SELECT i.collection, i.id, ST_AsGeoJSON(i.geometry, 20)::jsonb, i.content,
        collection_base_item(i.collection, (i.content->>'pgstac:base_item')::int)
    FROM unnest(%s::text[], %s::text[]) AS w (collection, id)
    JOIN items i ON i.collection = w.collection AND i.id = w.id"""
_FORGET = """
    DELETE FROM {table} t USING unnest(%s::text[], %s::text[]) AS w (collection, id)
    WHERE t.collection = w.collection AND t.id = w.id"""
_BUMP = """
    INSERT INTO lab.collections (id, version, longest)
    SELECT w.id, 1, w.longest FROM unnest(%s::text[], %s::interval[]) AS w (id, longest) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
        version = lab.collections.version + 1, longest = greatest(lab.collections.longest, excluded.longest)"""
_SHARE_COLLECTIONS = "SELECT pg_advisory_xact_lock_shared(hashtextextended(name, 1)) FROM unnest(%s::text[]) AS name"
_LOCK_COLLECTIONS = "SELECT pg_advisory_xact_lock(hashtextextended(name, 1)) FROM unnest(%s::text[]) AS name"
_LOCK_ITEMS = """
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT hashtextextended(name, 2) AS key FROM unnest(%s::text[]) AS name ORDER BY 1) AS ordered"""
_CHECK_PARTITION = "SELECT check_partition(%s, tstzrange(%s, %s, '[]'), tstzrange(%s, %s, '[]'))"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_READ_TABLES = ("lab.items", "lab.links", "lab.files", "lab.stale")


@dataclass(frozen=True)
class Written:
    """What a write did with one object.

    Attributes:
        collection: id of the collection.
        id: id of the item; of the collection where it is one.
        etag: its entity tag afterwards, 32 hexadecimal digits.
        change: whether it was made, changed or found as it should be.
        before: its entity tag before, None where it is new.
    """

    collection: str
    id: str
    etag: str
    change: Change
    before: str | None = None


def write_items(
    connection: psycopg.Connection[Any],
    items: Sequence[dict[str, Any]],
    mode: Mode = "upsert",
    if_match: Mapping[Key, str] | None = None,
) -> list[Written]:
    """Write items, all or nothing.

    Args:
        connection: in a transaction that the caller commits.
        items: valid STAC items as stored (asset hrefs `asset://…` or absolute, links relative to the API root); an item
            that comes twice counts as it comes last.
        mode: `create` only what is new, `replace` only what is there, or either.
        if_match: entity tags that the caller has seen, by collection and id.

    Returns:
        One entry for each item, in their order.

    Raises:
        UnknownName: a collection, or an item to replace, does not exist.
        AlreadyExists: an item to create exists, in whatever month.
        Changed: an item has another entity tag than the caller has seen.
    """
    wanted: dict[Key, dict[str, Any]] = {(item["collection"], item["id"]): item for item in items}
    states = collection_states(connection, {collection for collection, _ in wanted})
    lock_items(connection, list(wanted))
    stored = stored_etags(connection, list(wanted))
    for key in wanted:
        check_precondition(key, stored.get(key), mode, (if_match or {}).get(key))
    rows = item_rows(list(wanted.values()), states)
    changed = [row for row in rows if stored.get((row.collection, row.id)) != row.hash.hex()]
    store_rows(connection, changed, states, [key for key in wanted if key in stored])
    outcome = {(row.collection, row.id): _written(row, stored) for row in rows}
    return [outcome[item["collection"], item["id"]] for item in items]


def change_item(
    connection: psycopg.Connection[Any],
    collection: str,
    item: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    if_match: str | None = None,
) -> tuple[dict[str, Any], Written]:
    """Read, change and write an item under its lock, and return it as it is now.

    Raises:
        UnknownName: there is no such item.
        Changed: it has another entity tag than the caller has seen.
    """
    key = (collection, item)
    collection_states(connection, {collection})
    lock_items(connection, [key])
    found = read_items(connection, [key]).get(key)
    stored = stored_etags(connection, [key]).get(key)
    check_precondition(key, stored, "replace", if_match)
    assert found is not None  # the precondition says that it is there
    changed = change(found)
    return changed, write_items(connection, [changed], "replace")[0]


def delete_items(
    connection: psycopg.Connection[Any], keys: Sequence[Key], if_match: Mapping[Key, str] | None = None
) -> int:
    """Delete items, all or none, and return how many.

    Raises:
        UnknownName: one does not exist.
        Changed: one has another entity tag than the caller has seen.
    """
    collection_states(connection, {collection for collection, _ in keys})
    lock_items(connection, keys)
    stored = stored_etags(connection, keys)
    for key in keys:
        check_precondition(key, stored.get(key), "replace", (if_match or {}).get(key))
    connection.execute("SET LOCAL lab.writes_read_model = 'on'")
    edges = items_at_the_edge(connection, keys)
    forget(connection, keys, ("items", *_READ_TABLES))
    for collection in sorted(edges):
        recompute_extent(connection, collection)
    bump_versions(connection, {collection: timedelta() for collection, _ in keys})
    return len(set(keys))


def store_rows(
    connection: psycopg.Connection[Any],
    rows: Sequence[ItemRow],
    states: Mapping[str, CollectionState],
    present: Sequence[Key],
) -> None:
    """Put rows into pgstac and the read model; those of `present` replace what is there. The caller holds the locks."""
    if not rows:
        return
    connection.execute("SET LOCAL lab.writes_read_model = 'on'")
    widen_extents(connection, rows)
    partitions = _by_partition(connection, rows, states)
    replaced = set(present) & {(row.collection, row.id) for row in rows}
    if replaced:
        forget(connection, list(replaced), ("items", *_READ_TABLES))
    for partition, members in partitions.items():
        copy_pgstac_rows(connection, f'pgstac."{partition}"', members)
    copy_read_rows(connection, rows)
    unrendered = [row for row in rows if row.body is None]
    for row in unrendered:  # searches that could find it go to pgstac
        connection.execute("INSERT INTO lab.stale VALUES (%s, %s)", (row.collection, row.id))
    bump_versions(connection, longest_by_collection(rows))


def collection_states(connection: psycopg.Connection[Any], names: set[str]) -> dict[str, CollectionState]:
    """Return what the items of collections depend on.

    Raises:
        UnknownName: a collection does not exist.
    """
    rows = connection.execute(_STATES, (sorted(names),)).fetchall()
    states = {row[0]: CollectionState(*row) for row in rows}
    if missing := sorted(names - states.keys()):
        known = connection.execute("SELECT id FROM collections ORDER BY id LIMIT 1000").fetchall()
        raise UnknownName.of("collection", missing[0], [row[0] for row in known])
    return states


def lock_items(connection: psycopg.Connection[Any], keys: Sequence[Key], collections: Iterable[str] = ()) -> None:
    """Hold off other writers of these items until the transaction ends.

    Args:
        connection: in the transaction.
        keys: collection and id.
        collections: others that must not be deleted meanwhile, since items are made in them.
    """
    collections = sorted({collection for collection, _ in keys} | set(collections))
    many = len(keys) > _MANY
    connection.execute(_LOCK_COLLECTIONS if many else _SHARE_COLLECTIONS, (collections,))
    if not many:
        connection.execute(_LOCK_ITEMS, ([f"{collection}/{item}" for collection, item in keys],))


def stored_etags(connection: psycopg.Connection[Any], keys: Sequence[Key]) -> dict[Key, str]:
    """Return the entity tags of those of `keys` that are stored."""
    collections, ids = [key[0] for key in keys], [key[1] for key in keys]
    rows = connection.execute(_STORED_HASHES, (collections, ids)).fetchall()
    found = {(row[0], row[1]): str(row[2]) for row in rows}
    if len(found) < len(set(keys)) and _any_stale(connection, sorted(set(collections))):
        rest = [key for key in keys if key not in found]
        found.update({key: etag_of(item) for key, item in read_items(connection, rest).items()})
    return found


def read_items(connection: psycopg.Connection[Any], keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """Return those of `keys` that are stored, as pgstac has them, with the nulls that its own functions drop."""
    rows = connection.execute(_STORED_ITEMS, ([key[0] for key in keys], [key[1] for key in keys])).fetchall()
    return {(row[0], row[1]): hydrated(*row) for row in rows}


def check_precondition(key: Key, stored: str | None, mode: Mode, seen: str | None) -> None:
    """Refuse a write that does not fit what is stored.

    Raises:
        UnknownName: it is to be there and is not.
        AlreadyExists: it is not to be there and is.
        Changed: it has another entity tag than the caller has seen.
    """
    collection, item = key
    if stored is None and mode == "replace":
        raise UnknownName(f"collection {collection!r} has no item {item!r}")
    if stored is not None and mode == "create":
        raise AlreadyExists(f"collection {collection!r} has an item {item!r} already; PUT replaces it")
    if seen is not None and stored != seen:
        raise Changed(
            f"item {collection}/{item} is no longer what you have seen (its ETag is {stored}, not {seen});"
            " read it again and repeat the change"
        )


def forget(connection: psycopg.Connection[Any], keys: Sequence[Key], tables: Sequence[str]) -> None:
    """Delete the rows of items from tables with the columns `collection` and `id`."""
    parameters = ([key[0] for key in keys], [key[1] for key in keys])
    for table in tables:
        connection.execute(_FORGET.format(table=table).encode(), parameters)


def bump_versions(connection: psycopg.Connection[Any], collections: Mapping[str, timedelta]) -> None:
    """Say that the items of collections changed; the last step, since it holds off others until the commit.

    Args:
        connection: in the transaction of the change.
        collections: the longest time range among what was written, by collection.
    """
    connection.execute(_BUMP, (list(collections), list(collections.values())))


def longest_by_collection(rows: Sequence[ItemRow]) -> dict[str, timedelta]:
    """Return the longest time range among rows, by collection."""
    longest: dict[str, timedelta] = {}
    for row in rows:
        longest[row.collection] = max(longest.get(row.collection, timedelta()), row.end - row.start)
    return longest


def _any_stale(connection: psycopg.Connection[Any], collections: Sequence[str]) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM lab.stale WHERE collection = ANY(%s))", (collections,)
    ).fetchone()
    return bool(row and row[0])


def _by_partition(
    connection: psycopg.Connection[Any], rows: Sequence[ItemRow], states: Mapping[str, CollectionState]
) -> dict[str, list[ItemRow]]:
    """Return rows by the name of pgstac's partition for them, made now where it is missing."""
    groups: dict[tuple[str, str], list[ItemRow]] = {}
    for row in rows:
        groups.setdefault((row.collection, _period(row.start, states[row.collection].partition_trunc)), []).append(row)
    found: dict[str, list[ItemRow]] = {}
    for (collection, _), members in sorted(groups.items()):
        name = partition_of(connection, collection, members[0].start, states[collection].partition_trunc)
        found.setdefault(name, []).extend(members)
    return found


def partition_of(
    connection: psycopg.Connection[Any], collection: str, moment: datetime, partition_trunc: str | None
) -> str:
    """Return the name of pgstac's partition for items that begin at a time, made now where it is missing.

    pgstac keeps check constraints on the times of a partition and widens them as items come, under a lock that waits
    for all who read or write it, and without regard for who widens at the same time. So they are as wide as the
    partition can be from the start.
    """
    first, last = _whole_period(moment.astimezone(UTC), partition_trunc)
    row = connection.execute(_CHECK_PARTITION, (collection, first, last, first, _LAST)).fetchone()
    assert row is not None  # a function gives a row
    return str(row[0])


def _period(moment: datetime, partition_trunc: str | None) -> str:
    text = moment.astimezone(UTC).isoformat()
    return {"year": text[:4], "month": text[:7]}.get(partition_trunc or "", "")


def _whole_period(moment: datetime, partition_trunc: str | None) -> tuple[datetime, datetime]:
    """Return the first and the last moment of the year or month, of all time where items are not divided."""
    if partition_trunc is None:
        return _FIRST, _LAST
    month = moment.month if partition_trunc == "month" else 1
    first = datetime(moment.year, month, 1, tzinfo=UTC)
    months = first.year * 12 + month - 1 + (1 if partition_trunc == "month" else 12)
    if months // 12 > datetime.max.year:
        return first, _LAST
    return first, datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC) - timedelta(microseconds=1)


def _written(row: ItemRow, stored: Mapping[Key, str]) -> Written:
    before, now = stored.get((row.collection, row.id)), row.hash.hex()
    change: Change = "created" if before is None else "unchanged" if before == now else "updated"
    return Written(row.collection, row.id, now, change, before)
