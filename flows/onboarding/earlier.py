"""Whether a dataset was onboarded before, from the same files or from others."""

from dataclasses import replace
from typing import Any

from terralab.catalog.errors import AlreadyExists
from terralab.catalog.workspace import Workspace
from terralab.extensions.ids import digest
from terralab.extensions.lab import EXECUTION_REL, PARAMS_PROP
from terralab.flows.recorded_run import Outcome, finished_run

SOURCES = "sources"
"""Parameter of the run with the checksums of the files."""


def earlier_run(workspace: Workspace, name: str, made_from: dict[str, Any], run_id: str) -> Outcome | None:
    """Return what an earlier run made of the same files, also one of another version of the code; None for none.

    Args:
        workspace: the lab.
        name: the dataset's.
        made_from: parameters and checksums.
        run_id: id that this version of the code gives the run.

    Raises:
        AlreadyExists: there is a dataset of that name from other files or with other parameters.
    """
    if done := finished_run(workspace, run_id):
        return with_chips(done, name)
    ids = (f"{name}-v1", f"{name}-scenes", f"{name}-labels")
    existing = next(filter(None, (workspace.catalog.find_collection(id) for id in ids)), None)
    if existing is None:
        return None
    if existing.get(PARAMS_PROP, {}).get(SOURCES) == digest(made_from):
        earlier = next(link["href"] for link in existing["links"] if link["rel"] == EXECUTION_REL)
        if done := finished_run(workspace, earlier.rsplit("/", 1)[-1]):
            return with_chips(done, name)
    raise AlreadyExists(
        f"there is a dataset {name!r} already, from other files or with other parameters; choose another name"
    )


def with_chips(outcome: Outcome, name: str) -> Outcome:
    """Name the chips by their collection; the run item links scenes and labels, which are few."""
    return replace(outcome, produced=[*outcome.produced, (f"{name}-v1", "")])
