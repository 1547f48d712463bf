"""Import: an export of this or another lab into the catalog and the asset store, each checked against its checksums.

Files first, then collections, then items, then projects, so that nothing is visible without what it refers to. The same
import again stores nothing twice, and goes on where it was broken off.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.audit import note_written
from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.catalog.exchange.chunks import FilesChunk
from terralab.catalog.exchange.export_files import ITEMS
from terralab.catalog.exchange.export_manifest import (
    ASSETS,
    COLLECTIONS,
    PROJECTS,
    ExportManifest,
    inside,
    read_manifest,
)
from terralab.catalog.exchange.imported_projects import write_projects
from terralab.catalog.exchange.load import LoadOptions, Tell, load_source
from terralab.catalog.exchange.results import LoadReport
from terralab.catalog.exchange.sources import Source, open_source
from terralab.catalog.exchange.stored_documents import FormChoice
from terralab.catalog.store import TREE_SUFFIX, key_of
from terralab.catalog.stored_bytes import require_bytes
from terralab.catalog.validation import refuse_invalid
from terralab.catalog.workspace import Workspace
from terralab.catalog.writing_collections import write_collections
from terralab.extensions.checksum import split_multihash

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
            "collections": self.collections or self.items.counts["collections"],
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
    options = options or LoadOptions()
    manifest = read_manifest(folder)
    manifest.check_files(folder)
    report = ImportReport(LoadReport())
    if ASSETS in manifest.files:
        report.files = _put_files(workspace, folder, tell)
    if COLLECTIONS in manifest.files:
        report.collections = _write_collections(workspace, folder, options)
    for source, form in _sources(workspace, folder, manifest):
        loaded = load_source(workspace, source, form, f"{folder.absolute()}/{source.name}", options, tell)
        report.items.counts += loaded.counts
        report.items.bad += loaded.bad
        report.items.seconds += loaded.seconds
        report.items.interrupted = loaded.interrupted
        if loaded.interrupted:
            return report
    if PROJECTS in manifest.files:
        report.projects = write_projects(workspace, orjson.loads((folder / PROJECTS).read_bytes()))
    return report


def _sources(workspace: Workspace, folder: Path, manifest: ExportManifest) -> Iterator[tuple[Source, FormChoice]]:
    bases = (workspace.settings.web.url, manifest.base)
    if manifest.format == "static":
        yield _static(folder), FormChoice(bases, folder, manifest.assets == "copy", True)
        return
    for path in sorted(manifest.files):
        if path.startswith(f"{ITEMS}/"):
            # Its metadata describe the collection, too, which is written already.
            yield replace(open_source(str(inside(folder, path))), collections=()), FormChoice(bases, is_export=True)


def _static(folder: Path) -> Source:
    """Return the files of a static catalog that describe collections and items."""
    collections = [path.relative_to(folder).as_posix() for path in folder.glob("*/collection.json")]
    items = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*/*.json"))
    items = [path for path in items if Path(path).stem == Path(path).parent.name]
    paths = [*sorted(collections), *items]
    groups = [tuple(paths[start : start + _FILES_AT_ONCE]) for start in range(0, len(paths), _FILES_AT_ONCE)]
    chunks = [FilesChunk(folder.name, len(group), folder, group) for group in groups]
    return Source(folder.name, len(paths), "files", lambda: iter(chunks), folder=folder)


def _write_collections(workspace: Workspace, folder: Path, options: LoadOptions) -> int:
    collections = orjson.loads((folder / COLLECTIONS).read_bytes())
    if options.validate:
        for collection in collections:
            refuse_invalid(workspace, collection)
    with workspace.catalog.connection() as connection:
        require_bytes(connection, workspace.store, collections)
        written = write_collections(connection, collections)
        note_written(connection, None, written)
    return sum(entry.change != "unchanged" for entry in written)


def _put_files(workspace: Workspace, folder: Path, tell: Tell | None) -> int:
    """Put the files that the store lacks into it, and return how many."""
    put = done = 0
    with (folder / ASSETS).open("rb") as lines:
        while batch := [_entry(line) for line in islice(lines, _FILES_AT_ONCE)]:
            there = workspace.store.sizes([entry["checksum"] for entry in batch])
            for entry in batch:
                if there.get(entry["checksum"]) != entry["size"] and "path" in entry:
                    _put(workspace, folder, entry)
                    put += 1
                done += 1
            if tell:
                tell(done, None, "files")
    return put


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = orjson.loads(line)
        key_of(entry["checksum"])
        return entry
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{ASSETS} of the export has a line that names no file: {error!r}") from error


def _put(workspace: Workspace, folder: Path, entry: dict[str, Any]) -> None:
    """Copy a file into the store; its bytes are hashed on the way."""
    name, path = str(entry["checksum"]), inside(folder, str(entry["path"]))
    algorithm, digits = split_multihash(name.removesuffix(TREE_SUFFIX))
    state = hashlib.new(algorithm, usedforsecurity=False)
    with workspace.store.scratch() as scratch:
        copy = scratch / "copy"
        try:
            with path.open("rb") as source, copy.open("wb") as target:
                while piece := source.read(_READ_BYTES):
                    state.update(piece)
                    target.write(piece)
        except FileNotFoundError as error:
            raise AssetCorrupt(f"the export {folder} lacks {entry['path']}; take a whole copy") from error
        if state.hexdigest() != digits:
            raise AssetCorrupt(f"{entry['path']} of the export {folder} is damaged; take another copy")
        workspace.store.remove([name])  # what is there under the name is not whole
        workspace.store.put(copy, algorithm=algorithm, suffix=TREE_SUFFIX if name.endswith(TREE_SUFFIX) else "")
