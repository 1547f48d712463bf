"""The audit log: who made, changed or deleted which item or collection, and when.

An entry is written in the transaction of the change. The database refuses to change or delete entries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg

from terralab.catalog.writing import Written

Action = Literal["create", "update", "delete"]
_NOTE = """
    INSERT INTO lab.audit (principal, action, collection, item, etag_before, etag_after, request_id)
    SELECT %s, w.action, w.collection, w.item, w.etag_before, w.etag_after, %s
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS w (action, collection, item, etag_before, etag_after)"""
_ENTRIES = """
    SELECT number, at, principal, action, collection, item, etag_before, etag_after, request_id FROM lab.audit
    WHERE (%(collection)s::text IS NULL OR collection = %(collection)s)
    AND (%(item)s::text IS NULL OR item = %(item)s)
    AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
    ORDER BY number DESC LIMIT %(limit)s"""


@dataclass(frozen=True)
class ObjectChange:
    """What happened to one item, or to a collection where `item` is None.

    Attributes:
        collection: id of the collection.
        item: id of the item.
        before: its entity tag before; None where it is new.
        after: its entity tag afterwards; None where it is gone.
    """

    collection: str
    item: str | None
    before: str | None
    after: str | None

    @property
    def action(self) -> Action:
        """Return what was done."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "update"


@dataclass(frozen=True)
class Entry:
    """One entry of the audit log.

    Attributes:
        number: it grows with time.
        at: when, by the clock of the database.
        principal: name of the user; None for a flow or a command on the lab's own machine.
        action: what was done.
        collection: id of the collection.
        item: id of the item; None for the collection itself.
        etag_before: entity tag before, None where it is new.
        etag_after: entity tag afterwards, None where it is gone.
        request_id: id of the HTTP request, as in its answer and in the log.
    """

    number: int
    at: datetime
    principal: str | None
    action: Action
    collection: str
    item: str | None
    etag_before: str | None
    etag_after: str | None
    request_id: str | None


def note_changes(
    connection: psycopg.Connection[Any],
    principal: str | None,
    changes: Iterable[ObjectChange],
    request_id: str | None = None,
) -> None:
    """Write down changes, in the transaction that makes them; what stayed as it was is left out."""
    rows = [change for change in changes if change.before != change.after]
    if rows:
        columns = (
            [change.action for change in rows],
            [change.collection for change in rows],
            [change.item for change in rows],
            [change.before for change in rows],
            [change.after for change in rows],
        )
        connection.execute(_NOTE, (principal, request_id, *columns))


def note_written(
    connection: psycopg.Connection[Any],
    principal: str | None,
    collections: Iterable[Written] = (),
    items: Iterable[Written] = (),
    request_id: str | None = None,
) -> None:
    """Write down what `write_collections` and `write_items` did, in their transaction; see `note_changes`."""
    changes = [ObjectChange(each.collection, None, each.before, each.etag) for each in collections]
    changes += [ObjectChange(each.collection, each.id, each.before, each.etag) for each in items]
    note_changes(connection, principal, changes, request_id)


def audit_entries(
    connection: psycopg.Connection[Any],
    collection: str | None = None,
    item: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Return entries of the audit log, the newest first.

    Args:
        connection: to the catalog.
        collection: only of this collection and its items.
        item: only of items with this id.
        since: only from then on, with time zone.
        limit: at most so many.
    """
    wanted: Mapping[str, Any] = {"collection": collection, "item": item, "since": since, "limit": limit}
    return [Entry(*row) for row in connection.execute(_ENTRIES, wanted).fetchall()]
