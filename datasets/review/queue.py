"""The queue of suspects as the last quality run left it, without what was decided since."""

import json
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.catalog.workspace import Workspace
from terralab.datasets.quality.recorded import current_run
from terralab.extensions.lab import QA_PROP
from terralab.extensions.run import RUNS_COLLECTION

REVIEWED = "reviewed"
_REPORT_ASSET = "report"


def open_suspects(workspace: Workspace, collection: dict[str, Any], limit: int | None = None) -> list[dict[str, Any]]:
    """Return the suspects that wait for a decision, the worst first: `chip`, `score`, `reasons`.

    Args:
        workspace: the lab.
        collection: the chips collection.
        limit: at most so many.

    Raises:
        InvalidInput: there was no quality run.
    """
    waiting: list[dict[str, Any]] = []
    for entry in _queue(workspace, collection):
        item = workspace.catalog.find_item(str(collection["id"]), str(entry["chip"]))
        if item is not None and not (item["properties"].get(QA_PROP) or {}).get(REVIEWED):
            waiting.append(entry)
            if len(waiting) == limit:
                break
    return waiting


def _queue(workspace: Workspace, collection: dict[str, Any]) -> list[dict[str, Any]]:
    name = collection.get("lab:dataset") or collection["id"]
    run = current_run(collection)
    if run is None:
        raise InvalidInput(f"{name} has no quality run yet; run `terralab datasets qa {name}` first")
    report = workspace.catalog.item(RUNS_COLLECTION, run)["assets"][_REPORT_ASSET]
    content = json.loads(workspace.store.open_path(report["href"]).read_text(encoding="utf-8"))
    queue: list[dict[str, Any]] = content["review_queue"]
    return queue
