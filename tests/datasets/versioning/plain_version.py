"""A frozen version in a store and a repository, without a database."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terralab.catalog.store import Store
from terralab.datasets.dvc_repository import DVC_FILE, VersionRepository, dvc_file
from terralab.datasets.versioning.frozen_version import FrozenVersion
from terralab.datasets.versions import Version, make_manifest, manifest_bytes, tree_hash
from terralab.extensions.dataset import dataset_item
from terralab.extensions.item import Footprint
from tests.datasets.versioning.chip_items import chip, feature, mask


@dataclass
class Versions:
    """A store with its repository of versions."""

    store: Store
    folder: Path
    work: Path

    def freeze(self, contents: Mapping[str, bytes], tag: str = "v1.0.0") -> FrozenVersion:
        """Freeze chips by their ids and the bytes of their images."""
        chips: list[dict[str, Any]] = []
        for id, content in contents.items():
            self.store.put_bytes(content, "image.tif", "md5")
            self.store.put_bytes(f"mask {id}".encode(), "mask.tif", "md5")
            chips.append(chip(id, [feature("image", content)], mask(f"mask {id}".encode())))
        number = Version.parse(tag)
        manifest = make_manifest("ponds", number, chips)
        files, text = manifest["files"], manifest_bytes(manifest)
        repository = VersionRepository(self.folder, self.store, self.work)
        tracked = dvc_file(repository.write_trees(files))
        revision = repository.commit("ponds", tag, {DVC_FILE: tracked, "manifest.json": text})
        item = dataset_item(
            id=number.item_id("ponds"),
            dataset="ponds",
            chips_collection="ponds-v1",
            version=str(number),
            footprint=Footprint.of_item(chips[0]),
            dvc_rev=revision,
            dvc_tree=tree_hash(files),
            manifest=self.store.put_bytes(text, "manifest.json"),
            dvc_file=self.store.put_bytes(tracked, DVC_FILE),
            class_counts={},
            split_counts={},
            split_report={},
            sources=[],
        )
        return FrozenVersion(item, self.store)

    def dvc_pull(self, tag: str, remote: Path, clone: Path) -> dict[str, bytes]:
        """Clone the repository, let the `dvc` command pull a version from a remote, and return the files."""
        dvc, source = str(Path(sys.executable).with_name("dvc")), str(self.folder)
        _run(clone.parent, "git", "clone", "-q", "--branch", f"ponds/{tag}", source, str(clone))
        _run(clone, dvc, "remote", "add", "--local", "--default", "here", str(remote))
        _run(clone, dvc, "pull")
        return files_below(clone / "ponds" / "chips")


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by their paths in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
