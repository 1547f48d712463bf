"""Import: an export of this or another lab into the catalog and the asset store, each checked against its checksums.

Files first, then collections, then items, then projects, so that nothing is visible without what it refers to. The same
import again stores nothing twice, and goes on where it was broken off.
"""

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.audit import note_written
from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.catalog.exchange.export_files import ITEMS
from terralab.catalog.exchange.export_manifest import (
    ASSETS,
    COLLECTIONS,
    PROJECTS,
    inside,
    read_manifest,
)
from terralab.catalog.exchange.imported_projects import write_projects
from terralab.catalog.exchange.load import LoadOptions, Tell, load_source
from terralab.catalog.exchange.results import SHOWN_BAD, LoadReport
from terralab.catalog.exchange.sources import open_source
from terralab.catalog.exchange.stored_documents import FormChoice
from terralab.catalog.store import TREE_SUFFIX, key_of
from terralab.catalog.stored_bytes import require_bytes
from terralab.catalog.validation import refuse_invalid
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing_collections import write_collections
from terralab.extensions.checksum import split_multihash

WRITER = "terralab catalog import"
_FILES_AT_ONCE = 500
_READ_BYTES = 1 << 20


@dataclass
class ImportReport:
    """What an import did.

    Attributes:
        items: what became of the items.
        collections: how many collections were made or changed.
        projects: how many projects were.
        files: how many files were put into the asset store.
    """

    items: LoadReport
    collections: int = 0
    projects: int = 0
    files: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **self.items.to_dict(),
            "collections": self.collections,
            "projects": self.projects,
            "files": self.files,
        }


def import_export(
    workspace: Workspace, folder: Path, options: LoadOptions | None = None, tell: Tell | None = None
) -> ImportReport:
    """Import an export.

    Args:
        workspace: the lab.
        folder: of the export.
        options: whether documents are checked, and what becomes of those that are not valid.
        tell: is told how much is done.

    Raises:
        InvalidInput: it is no export, is not whole, or leads out of its folder.
        AssetCorrupt: stored files that it refers to are neither in it nor in the asset store, or are damaged.
        InvalidItem: documents are not valid.
    """
    options = replace(options or LoadOptions(), writer=WRITER)
    manifest = read_manifest(folder)
    manifest.check_files(folder)
    report = ImportReport(LoadReport())
    if ASSETS in manifest.files:
        report.files = _put_files(workspace, folder, tell)
    if COLLECTIONS in manifest.files:
        report.collections = _write_collections(workspace, folder, options)
    for path in sorted(manifest.files):
        if path.startswith(f"{ITEMS}/") and not report.items.interrupted:
            _load(workspace, folder, path, options, report.items, tell)
    if PROJECTS in manifest.files and not report.items.interrupted:
        report.projects = write_projects(workspace, orjson.loads((folder / PROJECTS).read_bytes()), WRITER)
    return report


def _load(
    workspace: Workspace, folder: Path, path: str, options: LoadOptions, report: LoadReport, tell: Tell | None
) -> None:
    # The file's metadata describe the collection, too, which is written already.
    source = replace(open_source(str(inside(folder, path))), collections=())
    loaded = load_source(workspace, source, FormChoice(is_export=True), f"{folder.absolute()}/{path}", options, tell)
    report.counts += loaded.counts
    report.bad = [*report.bad, *loaded.bad][:SHOWN_BAD]
    report.seconds += loaded.seconds
    report.interrupted = loaded.interrupted


def _write_collections(workspace: Workspace, folder: Path, options: LoadOptions) -> int:
    collections = orjson.loads((folder / COLLECTIONS).read_bytes())
    if options.validate:
        for collection in collections:
            refuse_invalid(workspace, collection)
    with workspace.catalog.connection() as connection:
        require_bytes(connection, workspace.store, collections)
        written = write_collections(connection, collections)
        note_written(connection, WRITER, written)
    return sum(entry.change != "unchanged" for entry in written)


def _put_files(workspace: Workspace, folder: Path, tell: Tell | None) -> int:
    """Put the files that the store lacks into it, and return how many."""
    put = done = 0
    with (folder / ASSETS).open("rb") as lines:
        while batch := [_listed(folder, line) for line in islice(lines, _FILES_AT_ONCE)]:
            there = workspace.store.sizes([file.checksum for file in batch])
            for file in batch:
                if there.get(file.checksum) != file.size:
                    _put(workspace, file, file.checksum in there)
                    put += 1
                done += 1
            if tell:
                tell(done, None, "files")
    return put


@dataclass(frozen=True)
class _Listed:
    """A line of the list of stored files; `path` is None where the export has not got their bytes."""

    checksum: str
    size: int
    name: str
    path: Path | None


def _listed(folder: Path, line: bytes) -> _Listed:
    try:
        entry = orjson.loads(line)
        key_of(entry["checksum"])
        path = inside(folder, str(entry["path"])) if "path" in entry else None
        return _Listed(entry["checksum"], int(entry["size"]), str(entry["name"]), path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{ASSETS} of the export has a line that names no file: {error!r}") from error


def _put(workspace: Workspace, file: _Listed, is_damaged: bool) -> None:
    """Copy a file into the store; its bytes are hashed on the way."""
    name, path, store = file.checksum, file.path, workspace.store
    if path is None:
        raise AssetCorrupt(
            f"the export refers to the file {file.name} ({name}), whose bytes neither it nor the store {store.place}"
            " has; export with --assets copy, or store the files first"
        )
    if not path.is_file():
        raise AssetCorrupt(f"the export lacks {path}; take a whole copy of it")
    algorithm, digits = split_multihash(name.removesuffix(TREE_SUFFIX))
    state = hashlib.new(algorithm, usedforsecurity=False)
    with store.scratch() as scratch:
        copy = scratch / "copy"
        with path.open("rb") as source, copy.open("wb") as target:
            while piece := source.read(_READ_BYTES):
                state.update(piece)
                target.write(piece)
        if state.hexdigest() != digits:
            raise AssetCorrupt(f"{path} of the export is damaged; take another copy")
        if is_damaged:
            store.remove([name])  # it has another size than its bytes; `put` would leave it
        store.put(copy, algorithm=algorithm, suffix=TREE_SUFFIX if name.endswith(TREE_SUFFIX) else "")
