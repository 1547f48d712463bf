from pathlib import Path

from dulwich import porcelain

from terralab.catalog.folder_store import FolderStore
from terralab.datasets.dvc_repository import VersionRepository, dvc_file
from terralab.datasets.tracked_trees import tracked_trees


def test_trees_of_all_versions_are_found(tmp_path: Path) -> None:
    assert tracked_trees(tmp_path / "versions") == set()
    store = FolderStore(tmp_path / "store")
    repository = VersionRepository(tmp_path / "versions", store, tmp_path / "work")
    trees = []
    for number in range(3):  # each version replaces the file of the one before
        stored = store.put_bytes(f"chip {number}".encode(), "c", "md5")
        files = [{"relpath": "images/a.tif", "md5": stored.checksum.removeprefix("d50110"), "size": stored.size}]
        written = repository.write_trees(files)
        trees += [tree.tree for tree in written]
        repository.commit("sim", f"v1.0.{number}", {"chips.dvc": dvc_file(written)})
    assert tracked_trees(tmp_path / "versions") == set(trees)
    porcelain.branch_create(str(tmp_path / "versions"), "other")
    assert tracked_trees(tmp_path / "versions") == set(trees)
