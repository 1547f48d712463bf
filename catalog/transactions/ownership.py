"""Whose an object is that is being written: `lab:owner`, `lab:visibility` and `lab:project`.

What is new belongs to who writes it; what comes with the local token is the lab's own, without an owner. Only an admin
gives an object to somebody else, and only its owner (or an admin) says who else may see it. A document that leaves
these fields out keeps what is stored.
"""

from collections.abc import Mapping
from typing import Any

from terralab.catalog.access.keys import LOCAL_NAME
from terralab.catalog.access.policy import (
    OWNER_PROP,
    PRIVATE,
    PROJECT,
    PROJECT_PROP,
    PUBLIC,
    VISIBILITY_PROP,
    Guarded,
    may_write,
)
from terralab.catalog.access.principal import Principal
from terralab.catalog.errors import NotAllowed
from terralab.extensions.problem import Problem, shown

_PROPS = (OWNER_PROP, VISIBILITY_PROP, PROJECT_PROP)


def may_change(caller: Principal, item: Guarded, collection: Guarded) -> bool:
    """Return whether a caller may change or delete an item; one without an owner belongs to its collection."""
    return may_write(caller, item) and (item.owner is not None or may_write(caller, collection))


def access_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Check the form of the fields that say whose a document is."""
    fields, place = _fields(document)
    found = [
        Problem(f"{place}{name}", "access_text", f"{shown(fields[name])} is not a name", "write the name as text")
        for name in (OWNER_PROP, PROJECT_PROP)
        if fields.get(name) is not None and not (isinstance(fields[name], str) and fields[name])
    ]
    visibility = fields.get(VISIBILITY_PROP)
    if visibility is not None and visibility not in (PRIVATE, PROJECT, PUBLIC):
        message = f"{shown(visibility)} is not a visibility"
        found.append(Problem(f"{place}{VISIBILITY_PROP}", "visibility", message, "write private, project or public"))
    if visibility == PROJECT and not fields.get(PROJECT_PROP):
        message = "there is no project whose members could see it"
        found.append(Problem(f"{place}{VISIBILITY_PROP}", "visibility", message, f"add {PROJECT_PROP}"))
    return found


def owned(document: dict[str, Any], caller: Principal, stored: Guarded | None, default: str | None) -> dict[str, Any]:
    """Return a document with its owner, visibility and project as they are to be stored.

    Args:
        document: item or collection without problems of access.
        caller: who writes it.
        stored: what is there of that name, None where nothing is.
        default: visibility of what is new and names none; None for that of everything.

    Raises:
        NotAllowed: the caller may not give it away, or not change who sees it.
    """
    fields, _ = _fields(document)
    given = Guarded(fields.get(OWNER_PROP), fields.get(VISIBILITY_PROP), fields.get(PROJECT_PROP))
    wanted = _of_new(given, caller, default) if stored is None else _of_stored(given, caller, stored)
    kept = {name: value for name, value in fields.items() if name not in _PROPS}
    access = dict(zip(_PROPS, (wanted.owner, wanted.visibility, wanted.project), strict=True))
    placed = {**kept, **{name: value for name, value in access.items() if value is not None}}
    return {**document, "properties": placed} if document.get("type") == "Feature" else placed


def _of_new(given: Guarded, caller: Principal, default: str | None) -> Guarded:
    if given.owner not in (None, caller.name) and not caller.is_admin:
        raise NotAllowed(f"{OWNER_PROP} is {given.owner!r}, and you are {caller.name!r}; only an admin gives to others")
    owner = given.owner or (None if caller.name == LOCAL_NAME else caller.name)
    wanted = Guarded(owner, given.visibility or _default(caller, default), given.project)
    if wanted.visibility == PROJECT and wanted.project is None:
        wanted = Guarded(wanted.owner, PROJECT, next(iter(caller.projects)))
    _check_project(caller, wanted)
    return wanted


def _of_stored(given: Guarded, caller: Principal, stored: Guarded) -> Guarded:
    wanted = Guarded(
        given.owner or stored.owner, given.visibility or stored.visibility, given.project or stored.project
    )
    if wanted == stored or caller.is_admin:
        return wanted
    if wanted.owner != stored.owner:
        raise NotAllowed(f"{OWNER_PROP} stays {stored.owner!r}; only an admin gives an object to somebody else")
    if stored.owner is None or stored.owner != caller.name:
        raise NotAllowed(f"only its owner says who may see it: leave {VISIBILITY_PROP} and {PROJECT_PROP} as they are")
    _check_project(caller, wanted)
    return wanted


def _default(caller: Principal, default: str | None) -> str | None:
    """Return the visibility of what names none; a caller of several projects means none of them, so it is private."""
    if default == PROJECT and len(caller.projects) != 1:
        return PRIVATE
    return None if default == PUBLIC else default


def _check_project(caller: Principal, wanted: Guarded) -> None:
    if wanted.project is not None and wanted.project not in caller.projects and not caller.is_admin:
        raise NotAllowed(f"you are no member of the project {wanted.project!r}")


def _fields(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return what holds the fields of access, and how their places begin."""
    if document.get("type") != "Feature":
        return document, ""
    properties = document.get("properties")
    return (properties if isinstance(properties, Mapping) else {}), "properties."
