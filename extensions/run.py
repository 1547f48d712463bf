"""Runs: one item is one execution of a flow, with its parameters, outcome and what it made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from terralab.extensions.item import Footprint, ItemFrame, collection, format_time, item_link, known, parse_time
from terralab.extensions.lab import (
    ERROR_PROP,
    FINISHED_PROP,
    FLOW_RUN_PROP,
    GIT_SHA_PROP,
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
from terralab.extensions.record import DERIVED_REL, InvalidRecord, ItemReader

RUNS_COLLECTION = "runs"


@dataclass
class RunRecord:
    """What is known of a run; `to_item` writes it and `of_item` reads it.

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
        git_sha: commit of the code, where it ran from a repository.
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
    inputs: Sequence[Mapping[str, Any]] = ()
    produced: Sequence[tuple[str, str]] = ()
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    git_sha: str | None = None

    def to_item(self) -> dict[str, Any]:
        """Return the run as an item of the `runs` collection."""
        # The processing extension may be declared only with one of its fields.
        extensions = [*(["processing"] if self.software else []), "file", SCHEMA_URI]
        frame = ItemFrame(self.id, RUNS_COLLECTION, self.footprint, extensions)
        fields = {
            KIND_PROP: Kind.RUN,
            RUN_TYPE_PROP: self.run_type,
            STATUS_PROP: self.status,
            STARTED_PROP: format_time(self.started),
            FINISHED_PROP: format_time(self.finished) if self.finished else None,
            PARAMS_PROP: self.params,
            "processing:software": self.software or None,
            FLOW_RUN_PROP: self.flow_run,
            SEED_PROP: self.seed,
            METRICS_PROP: self.metrics or None,
            ERROR_PROP: self.error,
            GIT_SHA_PROP: self.git_sha,
        }
        frame.properties = known(fields)
        frame.assets = self.assets
        made = [item_link(PRODUCED_REL, collection_id, item_id) for collection_id, item_id in self.produced]
        frame.links = [*map(dict, self.inputs), *made]
        return frame.to_dict()

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> "RunRecord":
        """Read a run item.

        Raises:
            InvalidRecord: it is of another kind, lacks a field, or is of a type that the lab has no run of.
        """
        reader = ItemReader(item, Kind.RUN)
        finished = reader.optional(FINISHED_PROP, str)
        try:
            run_type, status = RunType(reader.field(RUN_TYPE_PROP, str)), RunStatus(reader.field(STATUS_PROP, str))
        except ValueError as error:
            raise InvalidRecord(f"{reader.name}: {error}") from error
        return cls(
            id=str(item["id"]),
            run_type=run_type,
            status=status,
            footprint=Footprint.of_item(item),
            started=parse_time(reader.field(STARTED_PROP, str)),
            finished=parse_time(finished) if finished else None,
            params=reader.optional(PARAMS_PROP, dict) or {},
            software=reader.optional("processing:software", dict) or {},
            flow_run=reader.optional(FLOW_RUN_PROP, str),
            seed=reader.optional(SEED_PROP, int),
            metrics=reader.optional(METRICS_PROP, dict) or {},
            error=reader.optional(ERROR_PROP, dict),
            inputs=reader.links(DERIVED_REL),
            produced=[(ref.collection, ref.id) for ref in reader.refs(PRODUCED_REL)],
            assets=item.get("assets") or {},
            git_sha=reader.optional(GIT_SHA_PROP, str),
        )


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
