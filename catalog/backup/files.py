"""The files of the asset store in a backup: by hard links where the disk is the same, else by copies.

Stored files never change, so a link is as good as a copy against deletion; against a broken disk only a copy on another
one helps.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from terralab.catalog.backup.manifest import FILES, STORE, StoredFiles
from terralab.catalog.backup.tables import read_lines, write_lines
from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.folder_store import FolderStore, make_folder
from terralab.catalog.holdings import holdings
from terralab.catalog.store import Store
from terralab.catalog.store_check import copy_file
from terralab.catalog.workspace import Workspace

_BATCH = 1000
_SHOWN = 3

Tell = Callable[[int, int], None]
"""Takes how many of how many files are done."""


def write_files(
    workspace: Workspace, folder: Path, include: bool, link: bool, trees: Iterable[str], tell: Tell
) -> StoredFiles:
    """Write the names of all files into a backup, and the files themselves where they are to be included.

    Args:
        workspace: the lab.
        folder: of the backup.
        include: take the files too.
        link: by hard links where the disk is the same.
        trees: `<md5>.dir` of trees that the repository of versions tracks.
        tell: takes the progress.
    """
    store, target = workspace.store, FolderStore(folder / STORE)
    with holdings(workspace, trees) as found:
        bad = {reference.name for reference in found.missing()}
        total = len(found.names())
    count = size = 0

    def lines() -> Iterator[str]:
        nonlocal count, size
        for entry in store.objects():
            if include and target.size(entry.name) != entry.size and not _take(store, target, entry.name, link):
                if store.size(entry.name) is None and entry.name not in bad:
                    continue  # deleted since it was listed; nothing refers to it
                bad.add(entry.name)
            count, size = count + 1, size + entry.size
            tell(count, max(count, total))
            yield f"{entry.name}\t{entry.size}"

    write_lines(folder / FILES, lines())
    return StoredFiles(store.place, count, size, include, sorted(bad))


def restore_files(store: Store, folder: Path, files: StoredFiles, tell: Tell) -> int:
    """Put the files of a backup into a store that may have some of them, each compared with its hash.

    Returns:
        How many files were put.

    Raises:
        AssetCorrupt: files are in neither, or damaged, that were whole when the backup was made.
    """
    source, put, done, lost = FolderStore(folder / STORE), 0, 0, []
    lines = read_lines(folder / FILES)
    while batch := dict(_entry(line) for line in islice(lines, _BATCH)):
        present = store.sizes(batch)
        for name, size in batch.items():
            if present.get(name) != size:
                if files.included and copy_file(source, store, name):
                    put += 1
                elif name not in files.missing:
                    lost.append(name)
            done += 1
            tell(done, files.count)
    if lost:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        where = source.folder if files.included else store.place
        raise AssetCorrupt(f"{', '.join(lost[:_SHOWN])}{more}: missing from {where} or damaged; use another copy")
    return put


def _take(source: Store, target: FolderStore, name: str, link: bool) -> bool:
    """Put a file into the backup; say whether it is there, whole as far as it was read."""
    local, path = source.local(name), target.path_of_name(name)
    if link and local is not None:
        make_folder(path.parent)
        try:
            path.unlink(missing_ok=True)  # what a broken-off backup left
            os.link(local, path)
            return True
        except OSError:
            return copy_file(source, target, name)  # another disk
    return copy_file(source, target, name)


def _entry(line: str) -> tuple[str, int]:
    name, size = line.split("\t")
    return name, int(size)
