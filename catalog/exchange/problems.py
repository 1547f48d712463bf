"""Problems of documents that are found before the rules of STAC can be asked."""

from typing import Any

from terralab.catalog.exchange.chunks import NotJson
from terralab.catalog.exchange.results import BadDocument
from terralab.catalog.stac_files import FileDocument
from terralab.extensions.problem import Problem, shown

_NEEDED = {"Feature": ("id", "collection", "geometry", "properties"), "Collection": ("id", "extent")}


def not_stac(document: FileDocument) -> BadDocument:
    """Return what is wrong with something that is no item or collection."""
    content = document.content
    if isinstance(content, NotJson):
        problem = Problem("$", "not_json", f"the line is not JSON: {content.reason}", "write one JSON object a line")
        return BadDocument(document.name, None, (problem,))
    kind = content.get("type") if isinstance(content, dict) else None
    message = f"{shown(kind)} is not the type of an item or a collection"
    problem = Problem("type", "type", message, "load items (Feature) and collections (Collection)")
    return BadDocument(document.name, content.get("id") if isinstance(content, dict) else None, (problem,))


def malformed() -> Problem:
    """Return what is wrong with a document that cannot be written as JSON again."""
    return Problem("$", "not_json", "the document holds values that JSON has no form for", "write plain JSON")


def minimal_problems(document: dict[str, Any]) -> list[Problem]:
    """Check what no row can do without, where nothing else is checked."""
    lacking = [name for name in _NEEDED[document["type"]] if not document.get(name)]
    return [Problem(name, "missing", f"there is no {name}", f"add {name}") for name in lacking]
