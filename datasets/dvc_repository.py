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
from pathlib import Path
from typing import Any

from dulwich import porcelain
from dulwich.objects import Blob, ObjectID
from dulwich.repo import Repo as Git
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta
from dvc_data.hashfile.tree import Tree

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.store import TREE_SUFFIX, Store, disk_full_as_error
from terralab.extensions.checksum import MD5_PREFIX

CHIPS_FOLDER = "chips"
DVC_FILE = f"{CHIPS_FOLDER}.dvc"
_AUTHOR = b"TerraLab <terralab@localhost>"
_CONFIG = """[core]
    analytics = false
    check_update = false
[cache]
    dir = {cache}
"""
# Not the default remote: DVC would then want its S3 plugin also where every file is at hand.
_REMOTE = """['remote "store"']
    url = {url}
"""
_LOCAL_CONFIG = """[core]
    site_cache_dir = {site}
"""
_GIT_CONFIG = {
    (b"user",): {b"name": b"TerraLab", b"email": b"terralab@localhost"},
    (b"commit",): {b"gpgsign": b"false"},
}


class VersionRepository:
    """The repository in a folder; made on first use.

    Args:
        folder: where it is.
        store: the asset store; its folder becomes DVC's cache, and a bucket becomes DVC's remote.
        work: folder for DVC's own state.
    """

    def __init__(self, folder: Path, store: Store, work: Path) -> None:
        self.folder, self.store, self.work = folder, store, work

    def write_tree(self, files: Sequence[Mapping[str, Any]]) -> str:
        """Put the tree object of stored files into the store.

        Args:
            files: `relpath`, `md5` and `size` of each.

        Returns:
            DVC's hash of the tree, `<md5>.dir`.

        Raises:
            AssetCorrupt: a file's bytes are not in the store.
        """
        tree, sizes = Tree(), self.store.sizes(MD5_PREFIX + file["md5"] for file in files)
        for file in files:
            if sizes.get(MD5_PREFIX + file["md5"]) != file["size"]:
                raise AssetCorrupt(
                    f"{file['relpath']}: the bytes {file['md5']} are missing from the store {self.store.place}"
                )
            meta, info = Meta(size=file["size"], md5=file["md5"]), HashInfo("md5", file["md5"])
            tree.add(tuple(file["relpath"].split("/")), meta, info)
        tree.digest()
        self.store.put_bytes(tree.as_bytes(), "tree.json", "md5", TREE_SUFFIX)
        return str(tree.oid)

    def commit(self, name: str, tag: str, files: Mapping[str, bytes]) -> str:
        """Commit a version's files under `<name>/` and tag the commit `<name>/<tag>`; return its id (40 hex digits).

        A tag that has the same files already is left alone and its commit returned.
        """
        label = f"{name}/{tag}"
        contents = {**files, ".gitignore": f"/{CHIPS_FOLDER}\n".encode()}
        with self._open(), Git(str(self.folder)) as git:
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
    def _open(self) -> Iterator[Repo]:
        """Yield the DVC repository, locked against other processes."""
        with self.alone():
            if self._read_config() != self._config():
                self._initialise()
            local = _LOCAL_CONFIG.format(site=self.work.absolute())
            (self.folder / ".dvc" / "config.local").write_text(local)
            repository = Repo(str(self.folder), _wait_for_lock=True)
            try:
                with repository.lock:
                    yield repository
            finally:
                repository.close()

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
        # DVC takes the path as relative to its own folder; so a lab may be moved with all it has.
        cache = os.path.relpath(self.store.folder.absolute(), (self.folder / ".dvc").absolute())
        remote = "" if self.store.place == str(self.store.folder) else _REMOTE.format(url=self.store.place)
        return _CONFIG.format(cache=cache) + remote

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
        if not (self.folder / ".dvc").is_dir():
            Repo.init(str(self.folder)).close()
        (self.folder / ".dvc" / "config").write_text(self._config())
        with Git(str(self.folder)) as git:
            tracked = [self.folder / ".dvcignore", *(self.folder / ".dvc" / name for name in ("config", ".gitignore"))]
            porcelain.add(git, [str(path) for path in tracked])
            porcelain.commit(git, message=b"Initialise", author=_AUTHOR, committer=_AUTHOR, sign=False)


def dvc_file(tree: str, files: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the text of the `.dvc` file that tracks a tree of `files`."""
    size = sum(int(file["size"]) for file in files)
    return (
        f"outs:\n- md5: {tree}\n  size: {size}\n  nfiles: {len(files)}\n  hash: md5\n  path: {CHIPS_FOLDER}\n"
    ).encode()


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
