"""Finding the chips collection of a dataset by the dataset's name."""

from typing import Any

from terralab.catalog.errors import UnknownName
from terralab.catalog.workspace import Workspace
from terralab.extensions.lab import DATASET_PROP, KIND_PROP, Kind


def find_chips_collection(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return the chips collection of a dataset; `name` may also be the collection's own id, such as `floods-v1`.

    Raises:
        UnknownName: there is none.
    """
    known = [entry for entry in workspace.catalog.collections() if entry.get(KIND_PROP) == Kind.CHIPS]
    for entry in known:
        if entry["id"] in (name, f"{name}-v1"):
            return entry
    raise UnknownName.of("dataset", name, sorted({str(entry.get(DATASET_PROP) or entry["id"]) for entry in known}))
