"""Files of a version in an export's folder: linked or copied from the store, each compared with its checksum."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.folder_store import FolderStore
from terralab.datasets.versioning.file_links import Link, best_link, make_link
from terralab.datasets.versioning.frozen_version import FrozenVersion, path_below
from terralab.datasets.versioning.verification import md5_of, stored_path
from terralab.extensions.checksum import MD5_PREFIX

OnFile = Callable[[int, int], None]
"""Told how many files of how many are done."""


class PlacedFiles:
    """Puts a version's files into a folder.

    Args:
        version: which one.
        folder: of the export.
        copy: give the folder files of its own, which may be written to; else they may be hard links of the store's.
        on_file: told of every file.
    """

    def __init__(self, version: FrozenVersion, folder: Path, copy: bool, on_file: OnFile) -> None:
        self._version, self._folder, self._on_file = version, folder, on_file
        self._link = Link.COPY if copy else None

    def place(self, paths: Mapping[str, str]) -> None:
        """Put files into the folder.

        Args:
            paths: relpaths in the version by the paths in the folder.

        Raises:
            AssetCorrupt: one is missing or differs from its checksum.
        """
        for done, (path, relpath) in enumerate(paths.items(), start=1):
            target = Path(path_below(self._folder, path))
            target.parent.mkdir(parents=True, exist_ok=True)
            source = self.source(relpath)
            self._link = self._link or best_link(source, self._folder)
            make_link(source, str(target), self._link)
            self._on_file(done, len(paths))

    def source(self, relpath: str) -> str:
        """Return where the bytes of a file of the version are on this machine.

        Raises:
            AssetCorrupt: they are missing or differ from their checksum.
        """
        store, md5 = self._version.store, self._md5(relpath)
        path = stored_path(store, md5) if isinstance(store, FolderStore) else str(store.open_name(MD5_PREFIX + md5))
        if not os.path.exists(path):
            raise AssetCorrupt(f"{relpath} is missing from {store.place}; `terralab datasets pull` restores it")
        if md5_of(path) != md5:
            raise AssetCorrupt(
                f"{relpath} in the store {store.place} differs from its checksum {md5}; restore it by"
                " `terralab datasets pull`"
            )
        return path

    def _md5(self, relpath: str) -> str:
        try:
            return self._version.by_path[relpath]
        except KeyError as error:
            raise AssetCorrupt(f"the manifest of {self._version.name} names {relpath}, which is not a file") from error
