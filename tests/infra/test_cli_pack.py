"""`terralab datasets pack`, and what it leaves in the catalog."""

import json

from typer.testing import CliRunner

from terralab.catalog.workspace import Workspace
from terralab.datasets.packs.stored_pack import StoredPack
from terralab.infra.cli.app import app
from tests.flows.frozen_dataset import freeze, ponds, split_names


def test_a_version_is_packed_verified_and_stored(workspace: Workspace) -> None:
    images, masks = ponds(5, 16)
    freeze(workspace, images, masks, split_names(3, 1, 1))
    run = CliRunner().invoke(app, ["datasets", "pack", "ponds@1.0.0", "--verify", "--store", "--json"])
    assert run.exit_code == 0, run.output
    facts = json.loads(run.stdout)
    assert (facts["version"], facts["chips"], facts["shards"]) == ("ponds-v1-0-0", 5, 1)
    stored = StoredPack(workspace.store, workspace.catalog.item("datasets", "ponds-v1-0-0"))
    assert (stored.array("image", "ponds-002") == images[2]).all()
    again = CliRunner().invoke(app, ["datasets", "pack", "ponds"])
    assert again.exit_code == 0
    assert "ponds-v1-0-0" in again.stdout


def test_recipes_are_listed_with_their_parameters() -> None:
    listed = CliRunner().invoke(app, ["features", "list", "--json"])
    found = {entry["name"]: entry for entry in json.loads(listed.stdout)}
    assert set(found) == {"indices", "composite", "texture", "terrain", "zonal"}
    assert found["texture"]["parameters"]["properties"]["window"]["default"] == 7


def test_parameters_of_a_recipe_are_checked_before_a_run(workspace: Workspace) -> None:
    run = CliRunner().invoke(app, ["features", "run", "texture", "a/b", "--set", "band=B08", "--set", "window=4"])
    assert run.exit_code != 0
    assert "odd" in str(run.exception)
