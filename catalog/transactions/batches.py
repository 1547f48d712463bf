"""Writing many items of one collection: all of them or none, and the answer names each that is bad.

With `mode=partial` the good ones are written where others are bad.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import orjson

from terralab.catalog.access.policy import guarded
from terralab.catalog.audit import note_written
from terralab.catalog.errors import AlreadyExists, InvalidInput, InvalidItem, LabError, NotAllowed, TooLarge
from terralab.catalog.transactions.answer import JSON_TYPE, Answer
from terralab.catalog.transactions.checking import Checking, summary
from terralab.catalog.transactions.items import exists_already, writable_collection
from terralab.catalog.transactions.ownership import may_change, owned
from terralab.catalog.transactions.stored_objects import StoredItem, stored_items
from terralab.catalog.transactions.write import Write
from terralab.catalog.writing import Written, lock_items, write_items
from terralab.extensions.problem import Problem

Mode = Literal["create", "upsert"]
_METHODS: Mapping[str, Mode] = {"insert": "create", "upsert": "upsert"}
_SHOWN_ERRORS = 3


@dataclass(frozen=True)
class BadItem:
    """An item of a batch that cannot be written.

    Attributes:
        index: its place in the batch, from 0.
        id: its id, None where it has none.
        error: why.
        problems: what is wrong with it, where it is not valid.
    """

    index: int
    id: str | None
    error: LabError
    problems: Sequence[Problem] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as the answer has it."""
        told = {"index": self.index, "id": self.id, "code": self.error.code, "reason": str(self.error)}
        problems = [problem.to_dict() for problem in self.problems]
        return {**told, "problems": problems} if problems else told


@dataclass(frozen=True)
class Batch:
    """Items that were checked.

    Attributes:
        received: how many there were.
        items: the good ones, by their places.
        bad: the others.
    """

    received: int
    items: Mapping[int, dict[str, Any]]
    bad: Sequence[BadItem]


def features_of(body: Any, most: int) -> list[tuple[str | None, Any]]:
    """Return the items of a FeatureCollection; None stands for the id that each names itself.

    Raises:
        InvalidInput: the body is not one.
        TooLarge: it has more items than one write may have.
    """
    features = body.get("features") if isinstance(body, dict) else None
    if not isinstance(features, list):
        raise InvalidInput('the body is neither an item nor {"type": "FeatureCollection", "features": [<items>]}')
    _check_size(len(features), most)
    return [(None, feature) for feature in features]


def bulk_items_of(body: Any, most: int) -> tuple[list[tuple[str | None, Any]], Mode]:
    """Return the items of a body of `bulk_items` with the ids that it names them by, and how they are to be written.

    Raises:
        InvalidInput: the body is not one.
        TooLarge: it has more items than one write may have.
    """
    items = body.get("items") if isinstance(body, dict) else None
    method = body.get("method", "insert") if isinstance(body, dict) else None
    if not isinstance(items, dict) or not isinstance(method, str) or method not in _METHODS:
        raise InvalidInput('the body is {"items": {"<id>": <item>, …}, "method": "insert" or "upsert"}')
    _check_size(len(items), most)
    return list(items.items()), _METHODS[method]


def check_batch(checking: Checking, collection: str, sent: Sequence[tuple[str | None, Any]]) -> Batch:
    """Check the items of a batch, each by itself and all together.

    Args:
        checking: of the caller.
        collection: id of the collection.
        sent: the id that each must have, where it is known, and the item.
    """
    items: dict[int, dict[str, Any]] = {}
    bad: list[BadItem] = []
    seen: set[str] = set()
    for index, (name, item) in enumerate(sent):
        document, problems = checking.item(item, collection, name)
        known = document.get("id") if isinstance(document.get("id"), str) else name
        if problems:
            bad.append(BadItem(index, known, InvalidItem(summary(problems)), problems))
        elif document["id"] in seen:
            bad.append(BadItem(index, known, InvalidItem("an item before it in the batch has the same id")))
        else:
            items[index] = document
            seen.add(document["id"])
    return Batch(len(sent), items, bad)


def write_batch(write: Write, collection: str, batch: Batch, mode: Mode) -> Answer:
    """Write a batch.

    Raises:
        UnknownName: there is no such collection.
        NotAllowed: the caller may not write it.
        LabError: an item is bad, and nothing was written; the error's member `errors` lists each.
    """
    keys = {index: (collection, item["id"]) for index, item in batch.items.items()}
    lock_items(write.connection, [*keys.values()] or [(collection, "")])
    container = writable_collection(write, collection)
    stored = stored_items(write.connection, [*keys.values()], {collection: container})
    good: dict[int, dict[str, Any]] = {}
    bad = list(batch.bad)
    for index, item in batch.items.items():
        try:
            good[index] = _allowed(write, container, item, stored.get(keys[index]), mode)
        except (AlreadyExists, NotAllowed) as error:
            bad.append(BadItem(index, item["id"], error))
    bad.sort(key=lambda each: each.index)
    if bad and (not good or not write.request.partial):
        raise _refusal(batch, bad)
    written = write_items(write.connection, list(good.values()), mode) if good else []
    note_written(write.connection, write.request.caller.name, (), written, write.request.request_id)
    return _answer(batch, written, bad)


def _allowed(
    write: Write, container: dict[str, Any], item: dict[str, Any], stored: StoredItem | None, mode: Mode
) -> dict[str, Any]:
    """Return an item as the caller may write it.

    Raises:
        AlreadyExists: it is there, and is to be created.
        NotAllowed: the caller may not write it so.
    """
    caller = write.request.caller
    if stored is not None and mode == "create":
        raise exists_already(write, container, stored, item["id"])
    if stored is not None and not may_change(caller, stored.access, guarded(container)):
        raise NotAllowed("the item is there already and you may not change it")
    return owned(item, caller, stored.access if stored else None, write.default_visibility)


def _refusal(batch: Batch, bad: Sequence[BadItem]) -> LabError:
    """Return the error of a batch of which nothing is written: of the kind that its bad items have in common."""
    kinds = {type(each.error) for each in bad}
    kind = kinds.pop() if len(kinds) == 1 else InvalidItem
    listed = "; ".join(f"item {each.index} ({each.id}): {each.error}" for each in bad[:_SHOWN_ERRORS])
    more = f"; and {len(bad) - _SHOWN_ERRORS} more" if len(bad) > _SHOWN_ERRORS else ""
    message = f"{len(bad)} of {batch.received} items cannot be written, so none was: {listed}{more}"
    return kind(message, errors=[each.to_dict() for each in bad])


def _answer(batch: Batch, written: Sequence[Written], bad: Sequence[BadItem]) -> Answer:
    """Return the answer to a batch, with the members of stac-fastapi's and the outcome of each item."""
    body = {
        "received": batch.received,
        "success": len(written),
        "skipped": len(bad),
        "errors": [each.to_dict() for each in bad],
        "items": [{"id": each.id, "etag": each.etag, "change": each.change} for each in written],
    }
    all_new = not bad and written and all(each.change == "created" for each in written)
    status = HTTPStatus.CREATED if all_new else HTTPStatus.OK
    return Answer(status, orjson.dumps(body), {"Content-Type": JSON_TYPE})


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"the batch has {size} items; {most} are the most that one write takes")
