"""A lab with a dataset version whose manifest is real, its web process, and a client that may write."""

import json
from collections.abc import Iterator

import pytest

from terralab.catalog import Lab
from terralab.catalog.app import create_app
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.versions import Version, make_manifest, manifest_bytes, tree_hash
from terralab.extensions.dataset import dataset_item
from terralab.extensions.item import derived_from
from tests.catalog.conftest import GRID, WHEN, Server, fill, serve

TOKEN = "the-token-of-this-test"


def freeze(lab: Workspace, version: str) -> None:
    """Publish a version of the lab's chips with the manifest that `terralab datasets version` writes."""
    chips = list(lab.catalog.search(collections=["flood-v1"]))
    parsed = Version.parse(version)
    manifest = make_manifest("flood", parsed, chips)
    item = dataset_item(
        id=parsed.item_id("flood"),
        dataset="flood",
        chips_collection="flood-v1",
        version=version,
        footprint=GRID.footprint(WHEN),
        dvc_rev="a" * 40,
        dvc_tree=tree_hash(manifest["files"]),
        manifest=lab.store.put_bytes(manifest_bytes(manifest), "manifest.json"),
        dvc_file=lab.store.put_bytes(b"outs: []\n", "chips.dvc"),
        class_counts={"land": 40, "water": 24},
        split_counts={"train": 2, "validate": 1, "test": 1},
        split_report={"touching_pairs": 0},
        sources=[derived_from(lab.catalog.item("flood-scenes", "spain-s2"))],
    )
    publish(lab, [], [json.loads(json.dumps(item))])


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a lab with one object of every kind, two dataset versions, and a token."""
    fill(workspace)
    freeze(workspace, "1.10.0")
    freeze(workspace, "1.9.0")
    workspace.settings.secrets_folder.mkdir(parents=True, exist_ok=True)
    (workspace.settings.secrets_folder / "token").write_text(TOKEN)
    return workspace


@pytest.fixture
def web(filled: Workspace) -> Iterator[Server]:
    """Yield its web process."""
    yield from serve(create_app(filled.settings))


@pytest.fixture
def lab(web: Server) -> Iterator[Lab]:
    """Yield a client that may write."""
    with Lab(web.url, TOKEN) as lab:
        yield lab


@pytest.fixture
def reader(shared_server: Server) -> Iterator[Lab]:
    """Yield a client of the shared lab, which only reads."""
    with Lab(shared_server.url) as lab:
        yield lab
