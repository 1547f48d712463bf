"""What a document must be to be stored: its rules, the files that it refers to, and its place in the address."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from terralab.catalog.access.file_access import FileAccess
from terralab.catalog.access.principal import Principal
from terralab.catalog.errors import InvalidInput, InvalidItem, SetupProblem
from terralab.catalog.read_model import canonical
from terralab.catalog.rendering import holds_mark
from terralab.catalog.store import HREF_SCHEME, parse_href
from terralab.catalog.transactions.ownership import access_problems
from terralab.catalog.transactions.stored_form import collection_as_stored, item_as_stored, kept_links
from terralab.catalog.workspace import Workspace
from terralab.extensions.problem import Problem, path_of, shown
from terralab.extensions.schema_store import InvalidSchemaStore
from terralab.extensions.validation import check_collection, check_item

_SHOWN_PROBLEMS = 5
_NOTHING: Mapping[str, Any] = MappingProxyType({})
# These say that a document is no JSON that could be stored, rather than a wrong item.
_MALFORMED = frozenset(("too_deep", "nul_character", "not_unicode", "not_json", "not_an_object"))


class Checking:
    """Checks what a caller sends.

    Args:
        workspace: the lab, with its schemas and store.
        files: who may refer to which stored file.
        caller: who sends it.
        bases: addresses of this web process.
    """

    def __init__(self, workspace: Workspace, files: FileAccess, caller: Principal, bases: Sequence[str]) -> None:
        self._workspace, self._files, self._caller, self._bases = workspace, files, caller, bases

    def item(
        self, sent: Any, collection: str, item: str | None = None, known: Mapping[str, Any] = _NOTHING
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Return an item as it is to be stored, and what is wrong with it.

        Args:
            sent: what the caller sent, any JSON.
            collection: id of the collection in the address.
            item: id in the address, None where that has none.
            known: its assets as they are stored already, by their keys; these are not looked at again.
        """
        if not isinstance(sent, dict):
            return {}, self._rules(sent, check_item)
        placed = {"collection": collection, **sent}
        stored = item_as_stored(placed, self._bases)
        problems = self._rules(stored, check_item)
        if not _malformed(problems):
            problems += _address_problems(placed, {"collection": collection, "id": item})
            problems += access_problems(stored) + _renders_problems(stored) + _mark_problems(stored)
        return stored, self._with_files(placed, stored, problems, known)

    def collection(
        self, sent: Any, collection: str | None = None, known: Mapping[str, Any] = _NOTHING
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Return a collection as it is to be stored, and what is wrong with it; see `item`."""
        if not isinstance(sent, dict):
            return {}, self._rules(sent, check_collection)
        stored = collection_as_stored(sent, self._bases)
        problems = self._rules(stored, check_collection)
        if not _malformed(problems):
            problems += _address_problems(sent, {"id": collection})
            problems += access_problems(stored) + _renders_problems(stored)
        return stored, self._with_files(sent, stored, problems, known)

    def _rules(self, document: Any, check: Any) -> list[Problem]:
        try:
            return list(check(document, self._workspace.schemas))
        except InvalidSchemaStore as error:
            raise SetupProblem(str(error)) from error

    def _with_files(
        self, sent: Mapping[str, Any], stored: Mapping[str, Any], problems: list[Problem], known: Mapping[str, Any]
    ) -> list[Problem]:
        """Return the problems, those of files among them, with the places of links as they were sent."""
        places = kept_links(sent, self._bases)
        first = 1 if stored.get("type") == "Feature" else 0  # the link to the collection is ours
        found = [_replaced(problem, {n + first: place for n, place in enumerate(places)}) for problem in problems]
        return found or self._file_problems(stored, known)

    def _file_problems(self, document: Mapping[str, Any], known: Mapping[str, Any]) -> list[Problem]:
        """Check the stored files that a valid document refers to: they are there, of that size, and the caller's."""
        found, references = [], []
        for key, asset in (document.get("assets") or {}).items():
            href = asset["href"]
            if href.startswith(HREF_SCHEME) and asset != known.get(key):
                try:
                    references.append((key, parse_href(href)[0], asset))
                except ValueError as error:
                    fix = f"write {HREF_SCHEME}<multihash>/<file name>"
                    found.append(Problem(path_of(["assets", key, "href"]), "file_reference", str(error), fix))
        sizes = self._workspace.store.sizes({checksum for _, checksum, _ in references}) if references else {}
        hidden = set(self._files.unknown_to(self._caller, list(sizes)))
        for key, checksum, asset in references:
            # A file of others looks as if there were none.
            size = None if checksum in hidden else sizes.get(checksum)
            found.extend(_reference_problems(key, checksum, asset, size))
        return found


def refuse(problems: Sequence[Problem], what: str) -> None:
    """Refuse a document that has problems.

    Raises:
        InvalidInput: it could not be JSON of a document at all.
        InvalidItem: it is not valid; the error has all problems as its member `problems`.
    """
    if not problems:
        return
    kind = InvalidInput if _malformed(problems) else InvalidItem
    raise kind(f"{what} is not valid: {summary(problems)}", problems=[problem.to_dict() for problem in problems])


def summary(problems: Sequence[Problem]) -> str:
    """Return problems as one line."""
    listed = "; ".join(str(problem) for problem in problems[:_SHOWN_PROBLEMS])
    more = len(problems) - _SHOWN_PROBLEMS
    return f"{listed}; and {more} more" if more > 0 else listed


def _malformed(problems: Iterable[Problem]) -> bool:
    return any(problem.rule in _MALFORMED for problem in problems)


def _address_problems(document: Mapping[str, Any], wanted: Mapping[str, str | None]) -> list[Problem]:
    """Check that ids are those of the address."""
    return [
        Problem(
            name,
            "other_id",
            f"{shown(document.get(name))} is not {shown(value)}, which the address names",
            "send it to its own address, or correct the id",
        )
        for name, value in wanted.items()
        if value is not None and document.get(name) != value
    ]


def _renders_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Check the form of render presets, from which maps are made, also where their extension is not declared."""
    place = ["properties", "renders"] if document.get("type") == "Feature" else ["renders"]
    holder = document.get("properties") if len(place) > 1 else document
    renders = holder.get("renders") if isinstance(holder, Mapping) else None
    if renders is None or (isinstance(renders, Mapping) and all(_is_render(render) for render in renders.values())):
        return []
    fix = 'write {"<name>": {"title": "…", "assets": ["<key of an asset>"]}}'
    return [Problem(path_of(place), "renders_form", f"{shown(renders)} are no render presets", fix)]


def _is_render(render: Any) -> bool:
    keys = render.get("assets") if isinstance(render, Mapping) else None
    return isinstance(keys, list) and all(isinstance(key, str) for key in keys)


def _mark_problems(item: dict[str, Any]) -> list[Problem]:
    if not holds_mark(canonical(item)):
        return []
    message = "the document holds an address that the catalog uses inside"
    return [Problem("$", "reserved_address", message, "no address ends with `.invalid`; correct it")]


def _reference_problems(key: str, checksum: str, asset: Mapping[str, Any], size: int | None) -> list[Problem]:
    if size is None:
        message = f"the store has no file {checksum} that you may use"
        return [Problem(path_of(["assets", key, "href"]), "file_missing", message, "upload the file first")]
    said = asset.get("file:size")
    if said is not None and said != size:
        place = path_of(["assets", key, "file:size"])
        return [Problem(place, "file_size", f"{shown(said)} is not its size, {size}", f"write {size}")]
    return []


def _replaced(problem: Problem, places: Mapping[int, int]) -> Problem:
    """Return a problem with the place of its link in the document as it was sent."""
    if not problem.where.startswith("links["):
        return problem
    number, bracket, rest = problem.where.removeprefix("links[").partition("]")
    place = places.get(int(number)) if number.isdigit() else None
    if place is None:
        return problem
    return Problem(f"links[{place}{bracket}{rest}", problem.rule, problem.message, problem.fix)
