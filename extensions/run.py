"""Runs: one item is one execution of a flow, with its parameters, outcome and what it made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from terralab.extensions.item import Footprint, ItemFrame, collection, format_time, item_link
from terralab.extensions.lab import (
    ERROR_PROP,
    FINISHED_PROP,
    FLOW_RUN_PROP,
    KIND_PROP,
    METRICS_PROP,
    PARAMS_PROP,
    PRODUCED_REL,
    RUN_TYPE_PROP,
    SCHEMA_URI,
    SEED_PROP,
    STARTED_PROP,
    STATUS_PROP,
    Kind,
    RunStatus,
    RunType,
)

RUNS_COLLECTION = "runs"


@dataclass
class RunRecord:
    """What is known of a run; `to_item` writes it.

    Attributes:
        id: derived from inputs, parameters and code version.
        run_type: which flow.
        status: where it stands.
        footprint: ground and data time of what it worked on.
        started: wall clock.
        finished: wall clock, None while it runs.
        params: the flow's parameters, JSON values only.
        software: name → version of what did the work (`processing:software`).
        flow_run: Prefect flow run id, None outside Prefect.
        seed: of the random numbers, where there are any.
        metrics: flat results.
        error: `code` and `message` of a failure.
        inputs: `derived_from` links.
        produced: (collection, item) pairs that the run made.
        assets: logs, plots and configuration.
    """

    id: str
    run_type: RunType
    status: RunStatus
    footprint: Footprint
    started: datetime
    finished: datetime | None = None
    params: dict[str, Any] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    flow_run: str | None = None
    seed: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    error: dict[str, str] | None = None
    inputs: Sequence[dict[str, Any]] = ()
    produced: Sequence[tuple[str, str]] = ()
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_item(self) -> dict[str, Any]:
        """Return the run as an item of the `runs` collection."""
        frame = ItemFrame(self.id, RUNS_COLLECTION, self.footprint, ["processing", "file", SCHEMA_URI])
        known = {
            KIND_PROP: Kind.RUN,
            RUN_TYPE_PROP: self.run_type,
            STATUS_PROP: self.status,
            STARTED_PROP: format_time(self.started),
            FINISHED_PROP: format_time(self.finished) if self.finished else None,
            PARAMS_PROP: self.params,
            "processing:software": self.software,
            FLOW_RUN_PROP: self.flow_run,
            SEED_PROP: self.seed,
            METRICS_PROP: self.metrics or None,
            ERROR_PROP: self.error,
        }
        frame.properties = {key: value for key, value in known.items() if value is not None}
        frame.assets = self.assets
        made = [item_link(PRODUCED_REL, collection_id, item_id) for collection_id, item_id in self.produced]
        frame.links = [*self.inputs, *made]
        return frame.to_dict()


def runs_collection(footprint: Footprint) -> dict[str, Any]:
    """Return the collection of all runs."""
    return collection(
        RUNS_COLLECTION,
        "Runs",
        "Every execution of a flow: parameters, outcome, metrics and what it produced.",
        footprint,
        kind=Kind.RUN,
        extensions=[SCHEMA_URI],
        item_assets={"config": {"type": "application/json", "roles": ["metadata"]}},
    )
