"""Validation against the lab's schema store, with the lab's own errors."""

from typing import Any

from terralab.catalog.errors import InvalidItem, SetupProblem
from terralab.catalog.workspace import Workspace
from terralab.extensions.schema_store import InvalidSchemaStore
from terralab.extensions.validation import Problem, check

_SHOWN_PROBLEMS = 5


def problems_of(
    workspace: Workspace,
    document: Any,
    *,
    known_extensions: bool = False,
    files: bool = False,
    text: bytes | None = None,
) -> list[Problem]:
    """Check an item or a collection; see `terralab.extensions.validation.check_item` for the arguments.

    Raises:
        SetupProblem: the folder of schemas is not as it must be.
    """
    try:
        return check(document, workspace.schemas, known_extensions=known_extensions, files=files, text=text)
    except InvalidSchemaStore as error:
        raise SetupProblem(str(error)) from error


def refuse_invalid(workspace: Workspace, document: dict[str, Any]) -> None:
    """Refuse an item or a collection that is not valid.

    Raises:
        InvalidItem: it is not; the message names the first five problems.
        SetupProblem: the folder of schemas is not as it must be.
    """
    problems = problems_of(workspace, document)
    if problems:
        listed = "; ".join(str(problem) for problem in problems[:_SHOWN_PROBLEMS])
        more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise InvalidItem(f"{document.get('id')} is not valid: {listed}{more}")
