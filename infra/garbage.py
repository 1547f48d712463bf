"""What the collection of garbage must know besides the catalog: tracked trees, and files that runs are yet to read."""

import json
from typing import Any

from terralab.catalog.errors import ServiceUnavailable
from terralab.catalog.settings import Settings
from terralab.infra.prefect_client import PrefectClient

_PAGE = 200
_TIMEOUT_S = 10.0
_OPEN_STATES = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]


def trees_of_versions(settings: Settings) -> set[str]:
    """Return the trees that the repository of versions tracks."""
    from terralab.datasets.tracked_trees import tracked_trees

    return tracked_trees(settings.versions_folder)


def staged_folders(settings: Settings) -> set[str] | None:
    """Return the folders of the inbox that an unfinished run names; None where Prefect does not answer."""
    folders = [path.name for path in settings.inbox_folder.glob("*")] if settings.inbox_folder.is_dir() else []
    try:
        texts = [json.dumps(run.get("parameters")) for run in _unfinished_runs(settings.prefect.api_url)]
    except ServiceUnavailable:
        return None
    return {folder for folder in folders if any(folder in text for text in texts)}


def _unfinished_runs(api_url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with PrefectClient(api_url, timeout=_TIMEOUT_S) as client:
        while True:
            query = {
                "flow_runs": {"state": {"type": {"any_": _OPEN_STATES}}},
                "sort": "ID_DESC",
                "limit": _PAGE,
                "offset": len(found),
            }
            page = client.flow_runs(query)
            found += page
            if len(page) < _PAGE:
                return found
