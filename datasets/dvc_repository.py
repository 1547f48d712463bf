"""The git and DVC repository of dataset versions, whose cache is the asset store itself.

A version is three small files in git and one tree object in the store: the chips lie there already by their MD5, as
in any DVC cache, so freezing ten thousand chips copies nothing. `git checkout <name>/v1.0.0` and `dvc checkout`
restore the files.

    <name>/chips.dvc        what DVC tracks: the tree's hash, size and number of files
    <name>/manifest.json    chips, splits, bands, classes
    <name>/split.csv        the splits
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dulwich import porcelain
from dulwich.objects import Blob, ObjectID
from dulwich.repo import Repo as Git

from terralab.catalog.store import TREE_SUFFIX, Store, disk_full_as_error
from terralab.datasets.versioning.tree_layout import TreeLayout
from terralab.datasets.versioning.verification import Verifier
from terralab.datasets.versions import tree_bytes
from terralab.extensions.checksum import split_multihash

CHIPS_FOLDER = "chips"
DVC_FILE = f"{CHIPS_FOLDER}.dvc"
_AUTHOR = b"TerraLab <terralab@localhost>"
_CONFIG = """[core]
    analytics = false
    check_update = false
"""
# Not the default remote: DVC would then want its S3 plugin also where every file is at hand.
_REMOTE = """['remote "store"']
    url = {url}
"""
_LOCAL_CONFIG = """[core]
    site_cache_dir = {site}
[cache]
    dir = {cache}
    type = "reflink,hardlink,copy"
"""
_IGNORED = "/config.local\n/tmp\n/cache\n"
_GIT_CONFIG = {
    (b"user",): {b"name": b"TerraLab", b"email": b"terralab@localhost"},
    (b"commit",): {b"gpgsign": b"false"},
}


@dataclass(frozen=True)
class TrackedTree:
    """A folder that DVC tracks.

    Attributes:
        path: beside the `.dvc` file: `chips`, or `chips/<shard>`.
        tree: DVC's hash, `<md5>.dir`.
        size: bytes of its files.
        files: how many.
    """

    path: str
    tree: str
    size: int
    files: int

    def entry(self) -> str:
        """Return its entry in a `.dvc` file."""
        return f"- md5: {self.tree}\n  size: {self.size}\n  nfiles: {self.files}\n  hash: md5\n  path: {self.path}\n"


class VersionRepository:
    """The repository in a folder; made on first use.

    Args:
        folder: where it is.
        store: the asset store; its folder becomes DVC's cache, and a bucket becomes DVC's remote.
        work: folder for DVC's own state.
    """

    def __init__(self, folder: Path, store: Store, work: Path) -> None:
        self.folder, self.store, self.work = folder, store, work

    def write_trees(self, files: Sequence[Mapping[str, Any]]) -> list["TrackedTree"]:
        """Put the tree objects of stored files into the store: one, or one for each shard of very many files.

        Args:
            files: `relpath`, `md5` and `size` of each.

        Raises:
            AssetCorrupt: a file's bytes are not in the store, or not those that its hash names.
        """
        Verifier(self.store, self.work).faults(files).refuse(f"the store {self.store.place}")
        trees = []
        for path, members in by_tree(files).items():
            content = tree_bytes(members)
            stored = self.store.put_bytes(content, "tree.json", "md5", TREE_SUFFIX)
            tree = split_multihash(stored.checksum)[1] + TREE_SUFFIX
            trees.append(TrackedTree(path, tree, sum(int(file["size"]) for file in members), len(members)))
        return trees

    def commit(self, name: str, tag: str, files: Mapping[str, bytes]) -> str:
        """Commit a version's files under `<name>/` and tag the commit `<name>/<tag>`; return its id (40 hex digits).

        A tag that has the same files already is left alone and its commit returned.
        """
        label = f"{name}/{tag}"
        contents = {**files, ".gitignore": f"/{CHIPS_FOLDER}\n".encode()}
        with self._open() as git:
            if (earlier := _tagged(git, label)) and _holds(git, earlier, name, contents):
                return earlier.decode()
            target = self.folder / name
            target.mkdir(parents=True, exist_ok=True)
            for file, content in contents.items():
                (target / file).write_bytes(content)
            porcelain.add(git, [str(target / file) for file in contents])
            message = f"{name} {tag}".encode()
            revision = porcelain.commit(git, message=message, author=_AUTHOR, committer=_AUTHOR, sign=False)
            git.refs[_reference(label)] = ObjectID(revision)
            return revision.decode()

    @contextmanager
    def _open(self) -> Iterator[Git]:
        """Yield the git repository, made where there is none, locked against other processes."""
        with self.alone():
            if self._read_config() != self._config():
                self._initialise()
            self._write_local_config()
            with Git(str(self.folder)) as git:
                yield git

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes of the lab out, and remove the lock file that a killed one may have left in git.

        Raises:
            OutOfSpace: the disk is full, also where the caller writes.
        """
        with disk_full_as_error(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.work.mkdir(parents=True, exist_ok=True)
            with (self.work / "versions.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                (self.folder / ".git" / "index.lock").unlink(missing_ok=True)
                yield

    def _config(self) -> str:
        remote = "" if self.store.place == str(self.store.folder) else _REMOTE.format(url=self.store.place)
        return _CONFIG + remote

    def _write_local_config(self) -> None:
        # DVC takes the path as relative to its own folder; so a lab may be moved with all it has. Clones of the
        # repository have caches of their own, therefore this is not in git.
        cache = os.path.relpath(self.store.folder.absolute(), (self.folder / ".dvc").absolute())
        local = _LOCAL_CONFIG.format(cache=cache, site=self.work.absolute())
        (self.folder / ".dvc" / "config.local").write_text(local)

    def _read_config(self) -> str | None:
        path = self.folder / ".dvc" / "config"
        return path.read_text() if path.is_file() else None

    def _initialise(self) -> None:
        if not (self.folder / ".git").is_dir():
            porcelain.init(str(self.folder)).close()
        with Git(str(self.folder)) as git:
            config = git.get_config()
            for section, values in _GIT_CONFIG.items():
                for key, value in values.items():
                    config.set(section, key, value)
            config.write_to_path()
        (self.folder / ".dvc").mkdir(exist_ok=True)
        for name, content in {"config": self._config(), ".gitignore": _IGNORED}.items():
            (self.folder / ".dvc" / name).write_text(content)
        (self.folder / ".dvcignore").touch()
        with Git(str(self.folder)) as git:
            tracked = [self.folder / ".dvcignore", *(self.folder / ".dvc" / name for name in ("config", ".gitignore"))]
            porcelain.add(git, [str(path) for path in tracked])
            porcelain.commit(git, message=b"Initialise", author=_AUTHOR, committer=_AUTHOR, sign=False)


def by_tree(files: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the files of each tree by its path, with their paths within it."""
    if not TreeLayout.of_count(len(files)).digits:
        return {CHIPS_FOLDER: [dict(file) for file in files]}
    trees: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        shard, _, rest = str(file["relpath"]).partition("/")
        trees.setdefault(f"{CHIPS_FOLDER}/{shard}", []).append({**file, "relpath": rest})
    return dict(sorted(trees.items()))


def dvc_file(trees: Sequence[TrackedTree]) -> bytes:
    """Return the text of the `.dvc` file that tracks trees."""
    return ("outs:\n" + "".join(tree.entry() for tree in trees)).encode()


def _reference(label: str) -> Any:
    return f"refs/tags/{label}".encode()


def _tagged(git: Git, label: str) -> bytes | None:
    try:
        return bytes(git.refs[_reference(label)])
    except KeyError:
        return None


def _holds(git: Git, revision: bytes, name: str, contents: Mapping[str, bytes]) -> bool:
    """Say whether a commit has these very files."""
    for file, content in contents.items():
        try:
            blob = porcelain.get_object_by_path(git, f"{name}/{file}", revision)
        except KeyError:
            return False
        if not isinstance(blob, Blob) or blob.data != content:
            return False
    return True
