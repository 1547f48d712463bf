"""The one policy: who may read and write an item or a collection.

    visibility          who may read it
    private             its owner
    project             its owner and the members of its project
    public, or none     everybody who may read its collection

An admin may do everything; a caller without the scope `read` reads what is public. An item is readable where both it
and its collection are. Any other visibility counts as private. The policy exists in three forms that decide alike (a
test compares them): `may_read` for one object, `read_filter` for a search and `readable_sql` for a query of our own.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from terralab.catalog.access.principal import Principal

OWNER_PROP = "lab:owner"
VISIBILITY_PROP = "lab:visibility"
PROJECT_PROP = "lab:project"
PRIVATE, PROJECT, PUBLIC = "private", "project", "public"

Document = TypeVar("Document", bound=Mapping[str, Any])


@dataclass(frozen=True)
class Guarded:
    """What decides who may read and write an object.

    Attributes:
        owner: name of the user that it belongs to; None where it is the lab's.
        visibility: `private`, `project` or `public`; None counts as public, anything else as private.
        project: whose members may read it where its visibility is `project`.
    """

    owner: str | None = None
    visibility: str | None = None
    project: str | None = None


OPEN = Guarded()
"""The lab's own object that everybody may read."""


def guarded(document: Mapping[str, Any]) -> Guarded:
    """Return what an item's properties, or a collection's top level, say of its access."""
    fields = document["properties"] if document.get("type") == "Feature" else document
    visibility = fields.get(VISIBILITY_PROP)
    known = visibility is None or visibility in (PRIVATE, PROJECT, PUBLIC)
    return Guarded(_text(fields.get(OWNER_PROP)), visibility if known else PRIVATE, _text(fields.get(PROJECT_PROP)))


def may_read(principal: Principal, item: Guarded, collection: Guarded) -> bool:
    """Return whether a caller may read an item of a collection."""
    return _may_read(principal, collection) and _may_read(principal, item)


def may_read_collection(principal: Principal, collection: Guarded) -> bool:
    """Return whether a caller may read a collection."""
    return _may_read(principal, collection)


def may_write(principal: Principal, thing: Guarded) -> bool:
    """Return whether a caller may change or delete an item or collection, or add items to a collection.

    It needs the scope `write`, and the object must be its own, its project's where the visibility is `project`, or
    nobody's and public.
    """
    if principal.is_admin:
        return True
    if not principal.has("write"):
        return False
    if _owns(principal, thing):
        return True
    if thing.visibility == PROJECT:
        return thing.project in principal.projects
    return thing.owner is None and thing.visibility in (None, PUBLIC)


def read_filter(principal: Principal) -> dict[str, Any] | None:
    """Return the CQL2 JSON that items meet which a caller may read, but for their collections; None for all of them."""
    if principal.reads_all or principal.is_admin:
        return None
    visibility = {"property": VISIBILITY_PROP}
    choices: list[dict[str, Any]] = [
        {"op": "isNull", "args": [visibility]},
        {"op": "=", "args": [visibility, PUBLIC]},
    ]
    if principal.has("read") and principal.name is not None:
        choices.append({"op": "=", "args": [{"property": OWNER_PROP}, principal.name]})
    if principal.has("read") and principal.projects:
        member = {"op": "in", "args": [{"property": PROJECT_PROP}, sorted(principal.projects)]}
        choices.append({"op": "and", "args": [{"op": "=", "args": [visibility, PROJECT]}, member]})
    return {"op": "or", "args": choices}


def guarded_filter(
    principal: Principal, hidden: Collection[str], expression: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return a search's filter with the policy in it, as CQL2 JSON; None where nothing is filtered.

    Args:
        principal: the caller.
        hidden: ids of the collections that it may not read, from `CollectionAccess.hidden_from`.
        expression: what the caller asks for, CQL2 JSON.
    """
    parts = [dict(part) for part in (read_filter(principal), expression) if part is not None]
    if hidden:
        within = {"op": "in", "args": [{"property": "collection"}, sorted(hidden)]}
        parts.append({"op": "not", "args": [within]})
    return {"op": "and", "args": parts} if len(parts) > 1 else next(iter(parts), None)


def readable_sql(principal: Principal, table: str) -> tuple[str, dict[str, Any]]:
    """Return the same as an SQL condition on the columns owner, visibility and project, with its named parameters.

    It is true or false, never null, so that its opposite is what the caller may not read.

    Args:
        principal: the caller.
        table: name or alias of the table with the columns, such as `lab.items`.
    """
    if principal.reads_all or principal.is_admin:
        return "true", {}
    condition = (
        f"(({table}.visibility IS NULL OR {table}.visibility = 'public' OR {table}.owner = %(policy_name)s"
        f" OR ({table}.visibility = 'project' AND {table}.project = ANY(%(policy_projects)s))) IS TRUE)"
    )
    reads = principal.has("read")
    return condition, {
        "policy_name": principal.name if reads else None,
        "policy_projects": sorted(principal.projects) if reads else [],
    }


def visible(principal: Principal, documents: Iterable[Document], hidden: Collection[str] = ()) -> list[Document]:
    """Return those items and collections that a caller may read.

    Args:
        principal: the caller.
        documents: STAC items and collections.
        hidden: ids of the collections that the caller may not read, from `CollectionAccess.hidden_from`.
    """
    return [
        document
        for document in documents
        if document.get("collection", document["id"]) not in hidden and _may_read(principal, guarded(document))
    ]


def _may_read(principal: Principal, thing: Guarded) -> bool:
    if principal.reads_all or principal.is_admin or thing.visibility in (None, PUBLIC):
        return True
    if not principal.has("read"):
        return False
    return _owns(principal, thing) or (thing.visibility == PROJECT and thing.project in principal.projects)


def _owns(principal: Principal, thing: Guarded) -> bool:
    return principal.name is not None and thing.owner == principal.name


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
