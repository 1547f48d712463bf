"""Validation of STAC documents: every problem names the field, the rule, what is wrong and what to do.

Three layers: the official JSON Schemas of the core and of each declared extension (`terralab.extensions.schema_store`),
rules that no schema can say (`terralab.extensions.rules`), and the lab's profile for what has a `lab:kind`. All rules
are in `docs/validation.md`. A typical item takes about 100 microseconds.
"""

import re
from typing import Any

from terralab.extensions.checks.bbox import bbox_problems
from terralab.extensions.checks.content import content_problems, is_readable
from terralab.extensions.checks.geometry import geometry_problems
from terralab.extensions.checks.profile import collection_profile_problems, item_profile_problems
from terralab.extensions.checks.times import interval_problems, time_problems
from terralab.extensions.problem import Problem, broken, shown
from terralab.extensions.schema_store import SchemaStore

__all__ = ["Problem", "check", "check_collection", "check_item", "is_stored_id"]

STORED_ID_PATTERN = r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}$"
"""Ids that the catalog takes from others; its own are narrower (`terralab.extensions.ids`)."""
_STORED_ID = re.compile(STORED_ID_PATTERN)
_VERSIONS = ("1.1.0", "1.0.0")


def check(
    document: Any,
    schemas: SchemaStore,
    *,
    known_extensions: bool = False,
    files: bool = False,
    text: bytes | None = None,
) -> list[Problem]:
    """Check an item, a collection or a catalog, whichever its `type` says; see `check_item` for the arguments."""
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "Collection":
        return check_collection(document, schemas, known_extensions=known_extensions, files=files)
    if kind == "Catalog":
        return _check_catalog(document, schemas, known_extensions)
    return check_item(document, schemas, known_extensions=known_extensions, files=files, text=text)


def check_item(
    item: Any,
    schemas: SchemaStore,
    *,
    known_extensions: bool = False,
    files: bool = False,
    text: bytes | None = None,
) -> list[Problem]:
    """Check an item.

    Args:
        item: any JSON value; STAC 1.1.0 and 1.0.0 items can be valid.
        schemas: the official schemas.
        known_extensions: whether an extension whose schema the store lacks is a problem; else its fields are not
            checked.
        files: the item lies in a file of a static catalog, not in the API: asset addresses may be relative, and the
            link to the collection must be there (the API writes that one itself).
        text: the item's JSON as orjson writes it, where the caller has it.

    Returns:
        Every problem found, none where the item is valid.
    """
    found = _content(item, "Feature", text)
    if not is_readable(found):
        return found
    found += _frame(item, schemas, known_extensions)
    found += geometry_problems(item)
    if isinstance(item.get("properties"), dict):
        found += time_problems(item["properties"])
    linked = _linked(item)
    if files and linked is not item:
        message = "an item that names its collection has a link to it"
        found.append(broken("collection_link_missing", ["links"], message))
    return _with_schemas(found, linked, schemas) + item_profile_problems(item, files)


def check_collection(
    collection: Any, schemas: SchemaStore, *, known_extensions: bool = False, files: bool = False
) -> list[Problem]:
    """Check a collection; see `check_item` for the arguments."""
    found = _content(collection, "Collection")
    if not is_readable(found):
        return found
    found += _frame(collection, schemas, known_extensions)
    found += _extent(collection.get("extent"))
    return _with_schemas(found, collection, schemas) + collection_profile_problems(collection)


def _check_catalog(catalog: Any, schemas: SchemaStore, known_extensions: bool) -> list[Problem]:
    found = _content(catalog, "Catalog")
    if not is_readable(found):
        return found
    return _with_schemas(found + _frame(catalog, schemas, known_extensions), catalog, schemas)


def is_stored_id(text: str) -> bool:
    """Say whether the catalog takes `text` as the id of an item or a collection."""
    return _STORED_ID.match(text) is not None and not text.endswith("\n")


def _content(document: Any, kind: str, text: bytes | None = None) -> list[Problem]:
    if not isinstance(document, dict):
        return [broken("not_an_object", [], f"{shown(document)} is not a JSON object")]
    if document.get("type") != kind:
        what = "an item" if kind == "Feature" else "a collection"
        message = f"{shown(document.get('type'))} is not the type of {what}"
        return [broken("type", ["type"], message, f'set "type" to "{kind}"')]
    return content_problems(document, text)


def _frame(document: dict[str, Any], schemas: SchemaStore, known_extensions: bool) -> list[Problem]:
    found = []
    if document.get("stac_version") not in _VERSIONS:
        message = f"{shown(document.get('stac_version'))} is not a version of STAC that can be stored"
        found.append(broken("stac_version", ["stac_version"], message))
    for name in ("id", "collection"):
        value = document.get(name)
        if isinstance(value, str) and not is_stored_id(value):
            length = f" of {len(value):,} characters" if len(value) > len(shown(value)) else ""
            found.append(broken("id_form", [name], f"{shown(value)}{length} cannot be an id"))
    if known_extensions:
        for url in schemas.missing(document):
            found.append(broken("unknown_extension", ["stac_extensions"], f"there is no schema of {shown(url, 200)}"))
    return found


def _extent(extent: Any) -> list[Problem]:
    found: list[Problem] = []
    if not isinstance(extent, dict):
        return found
    for part, member, rule in (("spatial", "bbox", bbox_problems), ("temporal", "interval", interval_problems)):
        holder = extent.get(part)
        entries = holder.get(member) if isinstance(holder, dict) else None
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            found += rule(entry, ("extent", part, member, number))
    return found


def _linked(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item with the link to its collection: the core demands it, and the API itself writes it."""
    links = item.get("links")
    if not isinstance(links, list) or "collection" not in item:
        return item
    if any(isinstance(link, dict) and link.get("rel") == "collection" for link in links):
        return item
    return {**item, "links": [*links, {"rel": "collection", "href": f"collections/{item['collection']}"}]}


def _with_schemas(own: list[Problem], document: dict[str, Any], schemas: SchemaStore) -> list[Problem]:
    """Add what the schemas say, but for what a rule of ours already said, more clearly, of the same place."""
    by_schema = schemas.problems(document)
    if not own or not by_schema:
        return own + by_schema
    return own + [problem for problem in by_schema if not any(_same_place(problem.where, each.where) for each in own)]


def _same_place(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or longer.startswith((f"{shorter}.", f"{shorter}["))
