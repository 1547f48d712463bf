"""Flows for the tests of the running lab; its worker finds them by PYTHONPATH."""

import os
import time
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel
from shapely import box

from terralab.catalog.errors import TooFewChips
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import Footprint
from terralab.extensions.lab import RunType
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, recorded_run


class SampleRequest(BaseModel):
    """What the sample does."""

    run: str
    seconds: float = 0.0
    fail: bool = False


@flow(name="sample")
def sample(run: str, seconds: float = 0.0, fail: bool = False) -> State[Any]:
    """Sleep, and fail if asked to."""
    return in_lab(work, SampleRequest, run=run, seconds=seconds, fail=fail)


def work(workspace: Workspace, request: SampleRequest, progress: Progress) -> Outcome:
    """Record a run that sleeps."""
    when = datetime(2024, 1, 1, tzinfo=UTC)
    footprint = Footprint(box(0, 0, 1, 1), when, when)
    with recorded_run(workspace, RunType.VALIDATE, request.run, footprint=footprint, params={}) as run:
        progress.step("sleeping")
        for tenth in range(int(request.seconds * 10)):
            time.sleep(0.1)
            progress.advance(tenth + 1, int(request.seconds * 10))
        if request.fail:
            raise TooFewChips("3 chips are too few; give 6")
        return run.succeed(
            produced=[], metrics={"pid": float(os.getpid())}, details={"threads": os.environ["OMP_NUM_THREADS"]}
        )
