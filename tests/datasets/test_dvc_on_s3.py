"""A dataset version whose chips are in a bucket: the tree goes there too, and DVC knows the bucket as its remote."""

import subprocess
import sys
from pathlib import Path

import pytest

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.s3_store import S3Store
from terralab.datasets.dvc_repository import VersionRepository, dvc_file
from terralab.datasets.versions import tree_hash
from tests.catalog.s3_server import s3_server


def test_a_version_in_a_bucket(tmp_path: Path) -> None:
    with s3_server() as server:
        store = S3Store(server.settings("lab"), tmp_path / "cache")
        stored = [store.put_bytes(f"chip {number}".encode(), "a", "md5") for number in range(20)]
        files = [
            {"relpath": f"images/{number}.tif", "md5": file.checksum.removeprefix("d50110"), "size": file.size}
            for number, file in enumerate(stored)
        ]
        repository = VersionRepository(tmp_path / "versions", store, tmp_path / "work")
        trees = repository.write_trees(files)
        assert [tree.tree for tree in trees] == [tree_hash(files)]
        tree = trees[0].tree
        assert store.size(f"d50110{tree}") is not None
        revision = repository.commit("sim", "v1.0.0", {"chips.dvc": dvc_file(trees)})
        assert repository.commit("sim", "v1.0.0", {"chips.dvc": dvc_file(trees)}) == revision
        dvc = str(Path(sys.executable).with_name("dvc"))
        run = {"cwd": tmp_path / "versions", "check": True, "capture_output": True, "text": True}
        remotes = subprocess.run([dvc, "remote", "list"], **run).stdout
        assert "s3://lab-bucket/lab" in remotes
        subprocess.run([dvc, "checkout", "sim/chips.dvc"], **run)
        restored = tmp_path / "versions" / "sim" / "chips" / "images"
        assert {path.read_bytes() for path in restored.iterdir()} == {b"chip %d" % number for number in range(20)}
        server.client.delete_object(
            Bucket="lab-bucket", Key=f"lab/files/md5/{files[7]['md5'][:2]}/{files[7]['md5'][2:]}"
        )
        with pytest.raises(AssetCorrupt, match=r"images/7.tif.*missing in the store s3://lab-bucket/lab"):
            repository.write_trees(files)
