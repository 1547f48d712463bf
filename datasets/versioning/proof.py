"""The proof of a version from the catalog alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from terralab.catalog.workspace import Workspace
from terralab.datasets.versions import chip_files, tree_hash
from terralab.extensions.dataset import MEMBERS_REL
from terralab.extensions.lab import DVC_TREE_PROP


@dataclass(frozen=True)
class Proof:
    """Whether the catalog's chips are those of a version.

    Attributes:
        expected: `lab:dvc_tree` of the version's item.
        found: the same hash, computed from the catalog's checksums.
        files: how many files the hash covers.
    """

    expected: str
    found: str
    files: int

    @property
    def holds(self) -> bool:
        """Say whether both are equal."""
        return self.expected == self.found


def prove(workspace: Workspace, dataset_item: Mapping[str, Any]) -> Proof:
    """Compute the tree hash of a dataset version from the checksums of the catalog's chip items alone.

    Args:
        workspace: the lab.
        dataset_item: an item of the collection `datasets`.
    """
    members = next(link["href"] for link in dataset_item["links"] if link["rel"] == MEMBERS_REL)
    collection = str(members).rstrip("/").split("/")[-2]
    files = chip_files(list(workspace.catalog.search(collections=[collection])))
    return Proof(dataset_item["properties"][DVC_TREE_PROP], tree_hash(files), len(files))
