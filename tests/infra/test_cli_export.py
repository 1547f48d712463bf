"""`terralab datasets export`, and the description of the same dataset over HTTP."""

import json
import subprocess
import sys
from pathlib import Path

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from terralab.catalog.app import create_app
from terralab.catalog.errors import UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.workspace import Workspace
from terralab.datasets.simulate import write_scenes
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.split import SplitRequest, split_dataset
from terralab.flows.version import VersionRequest, version_dataset
from terralab.infra.cli.app import app


def test_a_version_is_exported_and_described(workspace: Workspace, tmp_path: Path) -> None:
    image, label = write_scenes(tmp_path / "in", seed=5, count=1, size=64)[0]
    request = OnboardRequest(
        name="sim", images=stage(workspace.settings, [image]), labels=stage(workspace.settings, [label]), chip_size=16
    )
    onboard_dataset(workspace, request, LogProgress())
    split_dataset(workspace, SplitRequest(name="sim"), LogProgress())
    version_dataset(workspace, VersionRequest(name="sim", tag="v1.0.0"), LogProgress())

    command = ["datasets", "export", "sim@v1.0.0", str(tmp_path / "out"), "--format", "croissant", "--json"]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["version"] == "sim@v1.0.0"
    assert (tmp_path / "out" / "croissant.json").is_file()
    missing = CliRunner().invoke(app, ["datasets", "export", "sim@v2.0.0", str(tmp_path / "no"), "--format", "taco"])
    assert isinstance(missing.exception, UnknownName)
    assert not (tmp_path / "no").exists()

    with TestClient(create_app(workspace.settings), base_url="http://lab.test") as client:
        collection = client.get("/stac/collections/sim-v1").json()
        link = next(link["href"] for link in collection["links"] if link["rel"] == "describedby")
        answer = client.get(link)
        assert answer.headers["content-type"].startswith("application/ld+json")
        described = answer.json()
        manifest = client.get(described["distribution"][0]["contentUrl"])
        assert client.get(f"{link}?version=1.0.0").json() == described
        assert client.get(f"{link}?version=9.0.0").status_code == 404
        assert client.get("/stac/collections/nothing/croissant").status_code == 404
        assert client.get("/stac/collections/datasets/croissant").json()["conformsTo"] == described["conformsTo"]
    assert described["version"] == "1.0.0"

    # The program reads files on this machine; the document names the lab's address.
    for file in described["distribution"]:
        file["contentUrl"] = "manifest.json"
    (tmp_path / "manifest.json").write_bytes(manifest.content)
    (tmp_path / "served.json").write_text(json.dumps(described))
    program = Path(sys.executable).with_name("mlcroissant")
    for more in (["validate"], ["load", "--record_set", "chips"], ["load", "--record_set", "files"]):
        checked = subprocess.run(
            [str(program), *more, "--jsonld", "served.json"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert "Done." in checked.stderr + checked.stdout
