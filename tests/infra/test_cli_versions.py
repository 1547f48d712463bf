"""`terralab datasets tags|diff|checkout|push|pull|prove` as a user gives them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from terralab.catalog.errors import AssetCorrupt, UnknownName
from terralab.catalog.workspace import Workspace
from terralab.infra.cli.app import app
from tests.flows.frozen_dataset import freeze, ponds, split_names


@pytest.fixture
def two_versions(workspace: Workspace) -> Workspace:
    """Return a lab with `ponds` v1.0.0, and v1.1.0 with another first image and another split of the last chip."""
    images, masks = ponds(5, 16)
    freeze(workspace, images, masks, split_names(3, 1, 1))
    images[0] += 7
    freeze(workspace, images, masks, [*split_names(3, 1, 1)[:4], None], version="1.1.0")
    return workspace


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(app, ["datasets", *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_tags_and_differences(two_versions: Workspace) -> None:
    listed = run("tags", "ponds")["versions"]
    assert [one["git_tag"] for one in listed] == ["ponds/v1.0.0", "ponds/v1.1.0"]
    found = run("diff", "ponds@v1.0.0", "ponds@1.1.0")
    assert found["changed"] == [{"id": "ponds-000", "parts": ["image"]}]
    assert [(one["id"], one["after"]) for one in found["moved"]] == [("ponds-004", None)]
    assert (found["added"], found["removed"], found["same"]) == ([], [], False)
    shown = CliRunner().invoke(app, ["datasets", "diff", "ponds@v1.0.0", "ponds"]).stdout
    assert "ponds-000 (image)" in shown
    assert "ponds@v1.0.0 → ponds@v1.1.0" in shown
    assert run("diff", "ponds@1.0.0", "ponds@1.0.0")["same"]


def test_checkout_push_lose_pull_prove(two_versions: Workspace, tmp_path: Path) -> None:
    out, remote = tmp_path / "out", str(tmp_path / "remote")
    assert run("checkout", "ponds@v1.0.0", str(out))["written"] == 10
    before = (out / "images/ponds-000.tif").read_bytes()
    assert run("checkout", "ponds", str(out))["written"] == 1
    assert (out / "images/ponds-000.tif").read_bytes() != before
    assert run("push", "ponds@v1.0.0", remote)["moved"] == 10
    assert run("push", "ponds@v1.1.0", remote)["moved"] == 1
    manifest = json.loads((out / "manifest.json").read_bytes())
    md5 = next(file["md5"] for file in manifest["files"] if file["relpath"] == "images/ponds-000.tif")
    lost = two_versions.store.open_name("d50110" + md5)
    lost.unlink()
    failed = CliRunner().invoke(app, ["datasets", "prove", "ponds"])
    assert failed.exit_code == 6
    assert "images/ponds-000.tif" in failed.stdout
    assert isinstance(CliRunner().invoke(app, ["datasets", "checkout", "ponds", str(out)]).exception, AssetCorrupt)
    assert run("pull", "ponds", remote)["moved"] == 1
    assert run("prove", "ponds", "--read")["holds"]


def test_names_of_nothing(two_versions: Workspace) -> None:
    for arguments in (["tags", "none"], ["prove", "ponds@v9.0.0"], ["diff", "none", "ponds"]):
        failed = CliRunner().invoke(app, ["datasets", *arguments])
        assert isinstance(failed.exception, UnknownName)
