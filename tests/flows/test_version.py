"""Versions: DVC restores them, the catalog proves them, and a tag never changes its meaning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from terralab.catalog.errors import AlreadyExists, InvalidInput, UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.workspace import Workspace
from terralab.datasets.simulate import write_scenes
from terralab.datasets.versioning.frozen_version import find_version
from terralab.datasets.versioning.proof import prove
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome
from terralab.flows.split import SplitRequest, split_dataset
from terralab.flows.version import VersionRequest, version_dataset


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Workspace:
    """Return a lab with the split dataset `sim` of 16 chips."""
    pairs = write_scenes(tmp_path / "in", seed=5, count=1, size=64)
    request = OnboardRequest(
        name="sim",
        images=stage(workspace.settings, [pairs[0][0]]),
        labels=stage(workspace.settings, [pairs[0][1]]),
        chip_size=16,
    )
    onboard_dataset(workspace, request, LogProgress())
    split_dataset(workspace, SplitRequest(name="sim"), LogProgress())
    return workspace


def freeze(workspace: Workspace, tag: str = "v1.0.0") -> Outcome:
    return version_dataset(workspace, VersionRequest(name="sim", tag=tag), LogProgress())


def run(folder: Path, *command: str) -> str:
    """Run a program as a user without any git configuration would."""
    environment = {**os.environ, "HOME": str(folder.parent), "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dvc_restores_a_version_byte_by_byte(dataset: Workspace, tmp_path: Path) -> None:
    outcome = freeze(dataset)
    item = dataset.catalog.item("datasets", "sim-v1-0-0")
    manifest = json.loads(dataset.store.verify(item["assets"]["manifest"]["href"]).read_bytes())
    versions = dataset.settings.versions_folder
    dvc = str(Path(sys.executable).with_name("dvc"))
    assert run(versions, "git", "rev-parse", "sim/v1.0.0").strip() == item["properties"]["lab:dvc_rev"]
    assert run(versions, "git", "log", "--format=%an", "-1").strip() == "TerraLab"
    run(versions, dvc, "checkout", "sim/chips.dvc")
    assert "up to date" in run(versions, dvc, "status")
    assert run(versions, "git", "status", "--porcelain") == ""
    restored = {
        str(path.relative_to(versions / "sim" / "chips")): path
        for path in (versions / "sim" / "chips").rglob("*")
        if path.is_file()
    }
    assert sorted(restored) == [file["relpath"] for file in manifest["files"]]
    for file in manifest["files"]:
        stored = dataset.store.open_name("d50110" + file["md5"])
        assert restored[file["relpath"]].read_bytes() == stored.read_bytes()
        assert stored.stat().st_size == file["size"]
    assert outcome.produced == [("datasets", "sim-v1-0-0")]
    assert not list((tmp_path / "home").glob(".dvc"))


def test_manifest_and_items_tell_the_same(dataset: Workspace) -> None:
    freeze(dataset)
    item = dataset.catalog.item("datasets", "sim-v1-0-0")
    manifest = json.loads(dataset.store.open_path(item["assets"]["manifest"]["href"]).read_bytes())
    chips = {chip["id"]: chip for chip in dataset.catalog.search(collections=["sim-v1"])}
    assert set(manifest) == {
        "dataset", "version", "collection", "task", "files", "chips", "modalities", "bands", "nodata", "classes",
        "chip_size",
    }  # fmt: skip
    assert manifest["version"] == "1.0.0"
    assert [entry["id"] for entry in manifest["chips"]] == sorted(chips)
    for entry in manifest["chips"]:
        properties = chips[entry["id"]]["properties"]
        assert properties["ml-aoi:split"] == entry["split"]
        assert properties["lab:split_group"] == entry["group"]
        assert properties["lab:dvc_tree"] == item["properties"]["lab:dvc_tree"]
        assert properties["lab:dataset_version"] == properties["version"] == "1.0.0"
    assert [entry["name"] for entry in manifest["classes"]] == ["class_0", "class_1", "class_2", "class_3"]
    assert manifest["nodata"] == 0
    counts = item["properties"]["lab:metrics"]
    assert counts == {
        f"{s}_chips": sum(e["split"] == s for e in manifest["chips"]) for s in ("train", "validate", "test")
    }


def test_the_catalog_proves_the_version(dataset: Workspace) -> None:
    freeze(dataset)
    version = find_version(dataset, "sim@v1.0.0")
    assert prove(dataset, version, read_bytes=True).holds
    with dataset.catalog.connection() as connection:
        chip = next(iter(dataset.catalog.search(collections=["sim-v1"], limit=1)))
        chip["assets"]["mask"]["file:checksum"] = "d50110" + "0" * 32
        connection.execute("SELECT upsert_item(%s::jsonb)", (json.dumps(chip),))
    proof = prove(dataset, version)
    assert not proof.holds
    assert proof.differing == (f"masks/{chip['id']}.tif",)


def test_same_content_is_reused_and_other_content_needs_another_tag(dataset: Workspace) -> None:
    first = freeze(dataset)
    assert freeze(dataset, "1.0.0").reused
    revision = run(dataset.settings.versions_folder, "git", "rev-parse", "HEAD")
    split_dataset(dataset, SplitRequest(name="sim", seed=7, method="random"), LogProgress())
    with pytest.raises(AlreadyExists, match=r"version 1\.0\.0 of sim"):
        freeze(dataset)
    assert run(dataset.settings.versions_folder, "git", "rev-parse", "HEAD") == revision
    freeze(dataset, "v1.1.0")
    split_dataset(dataset, SplitRequest(name="sim"), LogProgress())
    again = freeze(dataset)
    assert not again.reused
    assert again.run == first.run
    assert again.details == first.details
    chips = list(dataset.catalog.search(collections=["sim-v1"]))
    assert {chip["properties"]["version"] for chip in chips} == {"1.0.0"}


def test_versions_are_linked_in_their_order(dataset: Workspace) -> None:
    for tag in ("v1.0.0", "v1.2.0", "v1.1.0"):
        freeze(dataset, tag)
    links = {}
    for number in ("1-0-0", "1-1-0", "1-2-0"):
        item = dataset.catalog.item("datasets", f"sim-v{number}")
        links[number] = {
            link["rel"]: link["href"].rsplit("-v", 1)[-1] for link in item["links"] if link["rel"].endswith("-version")
        }
    assert links == {
        "1-0-0": {"successor-version": "1-1-0", "latest-version": "1-2-0"},
        "1-1-0": {"predecessor-version": "1-0-0", "successor-version": "1-2-0", "latest-version": "1-2-0"},
        "1-2-0": {"predecessor-version": "1-1-0", "latest-version": "1-2-0"},
    }


def test_bad_tags_are_refused(dataset: Workspace) -> None:
    for tag in ("first", "v1", "v1.0", "v01.0.0", "v1.0.0-rc1", "v2.0.0"):
        with pytest.raises(InvalidInput, match=tag.removeprefix("v")):
            freeze(dataset, tag)
    assert not dataset.settings.versions_folder.exists()


def test_a_dataset_without_split_says_which_command(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no dataset"):
        freeze(workspace)
    image, label = write_scenes(tmp_path / "in", seed=5, count=1, size=48)[0]
    request = OnboardRequest(
        name="sim", images=stage(workspace.settings, [image]), labels=stage(workspace.settings, [label]), chip_size=16
    )
    onboard_dataset(workspace, request, LogProgress())
    with pytest.raises(InvalidInput, match="terralab datasets split sim"):
        freeze(workspace)
