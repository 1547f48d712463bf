"""`terralab store …` over a small lab."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from terralab.catalog.errors import InvalidInput
from terralab.catalog.folder_store import FolderStore
from terralab.catalog.workspace import Workspace
from terralab.infra.cli.app import app
from tests.catalog.conftest import fill


def terralab(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_use_garbage_and_damage(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRALAB_PREFECT_PORT", "1")
    lab = fill(workspace)
    loose = lab.store.put_bytes(b"loose", "x").checksum
    use = json.loads(terralab("store", "usage", "--json").stdout)
    assert use["kinds"]["md5"]["files"] == use["kinds"]["md5"]["used_files"] == 2
    assert use["kinds"]["sha256"]["files"] - use["kinds"]["sha256"]["used_files"] == 1
    assert "sha256" in terralab("store", "usage").stdout

    young = terralab("store", "gc", "--json")
    assert json.loads(young.stdout)["files"] == []
    assert "Prefect does not say" in young.stderr
    listed = terralab("store", "gc", "--grace", "0")
    assert loose in listed.stdout
    assert "--delete deletes them" in listed.stderr
    assert lab.store.size(loose) == 5
    deleted = json.loads(terralab("store", "gc", "--grace", "0", "--delete", "--json").stdout)
    assert (deleted["deleted_files"], deleted["files"][0]["name"]) == (1, loose)
    assert lab.store.size(loose) is None
    assert isinstance(terralab("store", "gc", "--grace", "a day").exception, InvalidInput)

    assert terralab("store", "verify").exit_code == 0
    path = lab.store.open_path(lab.catalog.item("models", "flood-net-abc")["assets"]["weights"]["href"])
    good = path.read_bytes()
    FolderStore(tmp_path / "backup").put_bytes(good, "weights")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    found = terralab("store", "verify", "--json")
    assert found.exit_code == 6
    report = json.loads(found.stdout)
    assert [(entry["problem"], entry["places"]) for entry in report["damages"]] == [
        ("damaged", ["models/flood-net-abc, asset 'weights'"])
    ]
    repaired = terralab("store", "verify", "--repair", str(tmp_path / "backup"))
    assert (repaired.exit_code, "damaged, repaired" in repaired.stdout) == (0, True)
    assert terralab("store", "verify", "--sample", "2").exit_code == 0
