"""Which trees the repository of dataset versions tracks, in any commit of any branch or tag."""

from collections.abc import Iterator
from pathlib import Path

import yaml
from dulwich.objects import Blob
from dulwich.repo import Repo

_DVC_FILE = b".dvc"
_TREE_END = ".dir"


def tracked_trees(folder: Path) -> set[str]:
    """Return `<md5>.dir` of every tree that a `.dvc` file of the repository names; none where there is no repository.

    Args:
        folder: the repository of versions.
    """
    if not (folder / ".git").is_dir():
        return set()
    with Repo(str(folder)) as repository:
        return {tree for content in _dvc_files(repository) for tree in _trees(content)}


def _dvc_files(repository: Repo) -> Iterator[bytes]:
    heads = [sha for name, sha in repository.refs.as_dict().items() if name.startswith((b"refs/", b"HEAD"))]
    seen: set[bytes] = set()
    for entry in repository.get_walker(include=heads) if heads else ():
        for file in repository.object_store.iter_tree_contents(entry.commit.tree):
            if file.path is None or file.sha is None or not file.path.endswith(_DVC_FILE) or file.sha in seen:
                continue
            seen.add(file.sha)
            blob = repository[file.sha]
            if isinstance(blob, Blob):
                yield blob.data


def _trees(content: bytes) -> Iterator[str]:
    for out in (yaml.safe_load(content) or {}).get("outs", []):
        if str(out.get("md5", "")).endswith(_TREE_END):
            yield str(out["md5"])
