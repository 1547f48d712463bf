"""Deleting what nothing refers to: stored files, and what broken-off work left beside them.

What is younger than the grace period is never touched, since its item may be about to be written. An older file is
deleted in small batches, each under a lock that writers share while they check their bytes (`stored_bytes`): a file
that somebody refers to meanwhile, or stores again, stays.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from terralab.catalog.errors import SetupProblem
from terralab.catalog.holdings import holdings
from terralab.catalog.store import StoredObject
from terralab.catalog.stored_bytes import hold_off_writers
from terralab.catalog.workspace import Workspace

GRACE = timedelta(hours=24)
_BATCH = 500
_NEWLY_REFERRED = """
    SELECT checksum FROM lab.files WHERE checksum = ANY(%(names)s)
    UNION SELECT name FROM unnest(%(names)s::text[]) AS name WHERE EXISTS (
        SELECT FROM lab.stale s JOIN items i ON i.collection = s.collection AND i.id = s.id
        WHERE position('asset://' || name || '/' IN i.content::text) > 0)"""

Tell = Callable[[int, int], None]
"""Takes how many of how many are done."""


@dataclass(frozen=True)
class Leftover:
    """A folder that broken-off or finished work left behind.

    Attributes:
        path: of the folder.
        size: bytes in it.
    """

    path: Path
    size: int


@dataclass(frozen=True)
class Garbage:
    """What may go.

    Attributes:
        files: that nothing refers to.
        leftovers: in the store's `tmp` and in the inbox.
        notes: what was left alone for lack of knowledge, for people.
    """

    files: list[StoredObject]
    leftovers: list[Leftover]
    notes: list[str]

    @property
    def size(self) -> int:
        """Return the bytes of all of it."""
        return sum(entry.size for entry in self.files) + sum(entry.size for entry in self.leftovers)


def find_garbage(
    workspace: Workspace, grace: timedelta = GRACE, trees: Iterable[str] = (), staged: set[str] | None = None
) -> Garbage:
    """Find what may go; nothing is changed.

    Args:
        workspace: the lab.
        grace: what is younger stays.
        trees: `<md5>.dir` of trees that the repository of versions tracks.
        staged: names of folders in the inbox that a run is yet to read; None where that is not known, and the inbox
            stays as it is.
    """
    before = datetime.now(UTC) - grace
    with holdings(workspace, trees) as found:
        files, lost = found.garbage(before), found.lost_trees
    notes = [f"chips are left alone: the tree {tree} of a dataset version is lost or damaged" for tree in lost]
    leftovers = list(_old_folders(workspace.store.folder / "tmp", before))
    if staged is None:
        notes.append("the inbox is left alone: Prefect does not say which files its runs are yet to read")
    else:
        inbox = _old_folders(workspace.settings.inbox_folder, before)
        leftovers += [folder for folder in inbox if folder.path.name not in staged]
    return Garbage(files, leftovers, notes)


def delete_garbage(workspace: Workspace, garbage: Garbage, grace: timedelta = GRACE, tell: Tell | None = None) -> int:
    """Delete it, but for files that were stored or referred to meanwhile, and return the number of deleted files."""
    done = 0
    for start in range(0, len(garbage.files), _BATCH):
        names = [entry.name for entry in garbage.files[start : start + _BATCH]]
        with workspace.catalog.connection() as connection:
            hold_off_writers(connection)
            names = _still_unused(connection, workspace, names, datetime.now(UTC) - grace)
            workspace.store.remove(names)
            connection.execute("DELETE FROM lab.uploads WHERE checksum = ANY(%s)", (names,))
        done += len(names)
        if tell:
            tell(min(start + _BATCH, len(garbage.files)), len(garbage.files))
    for folder in garbage.leftovers:
        _delete_folder(folder.path)
    return done


def _still_unused(
    connection: psycopg.Connection[Any], workspace: Workspace, names: list[str], before: datetime
) -> list[str]:
    referred = {row[0] for row in connection.execute(_NEWLY_REFERRED, {"names": names})}
    found = workspace.store.find([name for name in names if name not in referred])
    return [entry.name for entry in found if entry.modified < before]


def _old_folders(folder: Path, before: datetime) -> Iterator[Leftover]:
    """Yield the folders and files in a folder that nothing was written into since a time."""
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        inside = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
        states = [state for part in inside if (state := _state(part)) is not None]
        if states and max(state.st_mtime for state in states) < before.timestamp():
            yield Leftover(path, sum(state.st_size for state in states))


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _delete_folder(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SetupProblem(
            f"cannot delete {path} ({error.strerror}); delete it by hand, or change its owner"
        ) from error
