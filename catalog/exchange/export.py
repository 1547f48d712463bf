"""Export: the whole catalog, or a part of it, as files that need no lab to be read, and that a lab can import again.

    terralab-export.json         what is in the folder, with checksums; written last
    collections.json             collections as they are stored
    projects.json                projects, where there are any
    items/<collection>.parquet   items as they are stored: stac-geoparquet, or .ndjson
    assets.ndjson                stored files: checksum, size, name, path
    assets/files/…               their bytes, where they are wanted, laid out as in the asset store
    catalog.json, <collection>/  the format `static` has a static STAC catalog, too; stored files of items lie in that

It is read in one snapshot beside writers, and appears under its name when it is whole.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.errors import InvalidInput
from terralab.catalog.exchange.asset_list import AssetList
from terralab.catalog.exchange.export_files import ASSETS_FOLDER, ITEMS, copy_by_hash, file_name
from terralab.catalog.exchange.export_manifest import ASSETS, COLLECTIONS, PROJECTS, Assets, ExportManifest, Format
from terralab.catalog.exchange.new_folder import new_folder
from terralab.catalog.exchange.static_catalog import StaticWriter
from terralab.catalog.exchange.stored_catalog import StoredCatalog, read_catalog
from terralab.catalog.folder_store import flush
from terralab.catalog.workspace import Workspace

Tell = Callable[[int, int | None, str], None]
_TOLD_EVERY = 500


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how.

    Attributes:
        collections: ids; none for all.
        project: a project, whose collections and whose inner projects' collections are exported.
        format: `geoparquet`, `static` or `ndjson`.
        assets: `none`, `manifest` for a list of the stored files, `copy` for the files too.
    """

    collections: Sequence[str] = ()
    project: str | None = None
    format: Format = "geoparquet"
    assets: Assets = "manifest"


def export(workspace: Workspace, target: Path, options: ExportOptions, tell: Tell | None = None) -> ExportManifest:
    """Write an export.

    Args:
        workspace: the lab.
        target: folder that is not there yet, or empty.
        options: what and how.
        tell: is told how many items, or files, of how many are written.

    Raises:
        UnknownName: a collection or the project does not exist.
        AlreadyExists: the target is there.
        AssetCorrupt: stored files are missing or damaged.
        OutOfSpace: the disk is full.
    """
    if options.collections and options.project:
        raise InvalidInput("give collections or a project, not both")
    with new_folder(target) as folder, read_catalog(workspace.catalog) as catalog:
        return _Export(workspace, catalog, folder, options, tell or (lambda done, total, unit: None)).write()


class _Export:
    """Writes one export."""

    def __init__(
        self, workspace: Workspace, catalog: StoredCatalog, folder: Path, options: ExportOptions, tell: Tell
    ) -> None:
        self._workspace, self._catalog, self._folder = workspace, catalog, folder
        self._options, self._tell = options, tell
        self._manifest = ExportManifest(options.format, options.assets)
        self._done = self._total = 0

    def write(self) -> ExportManifest:
        projects = self._projects()
        collections = self._collections(projects)
        self._write_json(COLLECTIONS, collections)
        if projects:
            self._write_json(PROJECTS, projects)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            with closing(AssetList(Path(scratch) / "files", self._workspace.store)) as files:
                self._write_items(collections, files)
                if self._options.assets != "none":
                    self._write_assets(files)
        self._manifest.write(self._folder)
        return self._manifest

    def _projects(self) -> list[dict[str, Any]]:
        if self._options.collections:
            return []
        wanted = self._options.project
        return self._catalog.projects(self._catalog.project_tree(wanted) if wanted else self._catalog.all_projects())

    def _collections(self, projects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if self._options.project is None:
            return self._catalog.collections(self._options.collections)
        names = sorted({name for project in projects for name in project["collections"]})
        return self._catalog.collections(names) if names else []

    def _write_items(self, collections: Sequence[dict[str, Any]], files: AssetList) -> None:
        counts = {collection["id"]: self._catalog.count(collection["id"]) for collection in collections}
        self._total = sum(counts.values())
        for collection in collections:
            files.add(collection)
        (self._folder / ITEMS).mkdir()
        for collection in collections:
            if counts[collection["id"]]:
                self._write_collection(collection, files)
        self._manifest.items = counts
        if self._options.format == "static":
            self._done = 0
            beside = files if self._options.assets == "copy" else None
            writer = StaticWriter(self._folder, self._workspace, self._catalog, beside)
            writer.write(collections, lambda name: self._items(name, files))

    def _write_collection(self, collection: dict[str, Any], files: AssetList) -> None:
        name = collection["id"]
        if self._options.format == "ndjson":
            path = f"{ITEMS}/{file_name(name)}.ndjson"
            with (self._folder / path).open("wb") as stream:
                for item in self._items(name, files):
                    stream.write(orjson.dumps(item, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
        else:
            from terralab.catalog.geoparquet.writer import write_geoparquet

            path = f"{ITEMS}/{file_name(name)}.parquet"
            before = self._done

            def items() -> Iterator[dict[str, Any]]:
                self._done = before  # the file is made in two passes
                return self._items(name, files)

            write_geoparquet(self._folder / path, items, {name: collection})
        flush(self._folder / path)
        self._manifest.add_file(self._folder, path)

    def _items(self, collection: str, files: AssetList) -> Iterator[dict[str, Any]]:
        for item in self._catalog.items(collection):
            files.add(item)
            self._done += 1
            if self._done % _TOLD_EVERY == 0:
                self._tell(self._done, self._total, "items")
            yield item

    def _write_assets(self, files: AssetList) -> None:
        with (self._folder / ASSETS).open("wb") as stream:
            for file in files.files():
                entry: dict[str, Any] = {"checksum": file.name, "size": file.size, "name": file.shown}
                if self._options.assets == "copy":
                    entry["path"] = file.path or copy_by_hash(self._workspace.store, file.name, self._folder)
                stream.write(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
                self._manifest.asset_files += 1
                self._manifest.asset_bytes += file.size
                self._tell(self._manifest.asset_files, None, "files")
        shutil.rmtree(self._folder / ASSETS_FOLDER / "tmp", ignore_errors=True)
        flush(self._folder / ASSETS)
        self._manifest.add_file(self._folder, ASSETS)

    def _write_json(self, path: str, content: Any) -> None:
        text = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        (self._folder / path).write_bytes(text)
        flush(self._folder / path)
        self._manifest.add_file(self._folder, path)
