"""How a Prefect flow calls the plain function that does its work.

The function gets the workspace and a progress that Prefect shows. What it returns becomes a `result` artifact; an
error of the lab becomes a failed state whose message starts with the error's code in brackets, so that the command
line and other clients give the same one-line message.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from pydantic import BaseModel

from terralab.catalog.errors import LabError
from terralab.catalog.store import parse_href
from terralab.catalog.workspace import Workspace
from terralab.flows.checked_request import checked_request as checked_request
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome

RESULT_ARTIFACT = "result"
_MESSAGE_LENGTH = 300
Request = TypeVar("Request", bound=BaseModel)


def in_lab(
    work: Callable[[Workspace, Request, Progress], Outcome], request_type: type[Request], **values: Any
) -> State[Any]:
    """Do `work` for the request that `values` make, inside a Prefect flow run.

    Returns:
        The run's final state: completed, or failed with a message `[code] text` for an error of the lab. Any other
        exception is raised, so that Prefect shows its traceback.
    """
    workspace = Workspace()
    log = get_run_logger()
    try:
        request = checked_request(request_type, **values)
        outcome = work(workspace, request, PrefectProgress(workspace))
    except LabError as error:
        log.error("%s", error)
        return Failed(message=f"[{error.code}] {error}")
    made = [f"{collection}/{item}".rstrip("/") for collection, item in outcome.produced]
    result = {
        "run": f"runs/{outcome.run}",
        "produced": made,
        "metrics": outcome.metrics,
        "reused": outcome.reused,
        "details": outcome.details,
    }
    create_markdown_artifact(_result_page(workspace, result), key=RESULT_ARTIFACT, description=json.dumps(result))
    done = f"made {', '.join(made)}"[:_MESSAGE_LENGTH] if made else "done"
    return Completed(message="reused an earlier run" if outcome.reused else done)


class PrefectProgress:
    """Progress as logs and artifacts of the current flow run."""

    def __init__(self, workspace: Workspace) -> None:
        self._web = workspace.settings.web.url
        self._log = get_run_logger()
        self._artifact: Any = None
        self._shown = -1

    def step(self, name: str) -> None:
        """Log the step and start its progress bar."""
        self._log.info("%s", name)
        self._artifact, self._shown = create_progress_artifact(0.0, description=name), 0

    def advance(self, done: int, total: int) -> None:
        """Move the bar, at most once a percent (an update costs a few milliseconds)."""
        percent = int(100 * done / max(total, 1))
        if self._artifact is not None and percent > self._shown:
            update_progress_artifact(self._artifact, float(percent))
            self._shown = percent

    def message(self, text: str) -> None:
        """Log the text."""
        self._log.info("%s", text)

    def table(self, key: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
        """Make a table artifact."""
        create_table_artifact([dict(row) for row in rows], key=key, description=title)

    def image(self, key: str, title: str, href: str) -> None:
        """Make an image artifact that shows the stored file."""
        checksum, name = parse_href(href)
        create_image_artifact(f"{self._web}/files/{checksum}/{name}", key=key, description=title)


def _result_page(workspace: Workspace, result: dict[str, Any]) -> str:
    """Return what the Prefect pages show of a result, with links into the catalog."""
    web = workspace.settings.web.url
    lines = ["## Result", ""]
    for made in [result["run"], *result["produced"]]:
        collection, _, item = made.partition("/")
        path = f"collections/{collection}/items/{item}" if item else f"collections/{collection}"
        lines.append(f"- [{made}]({web}/stac/{path})")
    if result["metrics"]:
        lines += ["", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in result["metrics"].items()]
    return "\n".join(lines)
