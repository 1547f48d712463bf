"""What an export says of itself: its form, what is in it, and the checksums by which an import knows it is whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from terralab.catalog.errors import InvalidInput, UnsupportedMedia
from terralab.catalog.folder_store import flush
from terralab.extensions.checksum import multihash_of_file

Format = Literal["geoparquet", "static", "ndjson"]
Assets = Literal["none", "manifest", "copy"]
VERSION = 1
MANIFEST, COLLECTIONS, PROJECTS, ASSETS = "terralab-export.json", "collections.json", "projects.json", "assets.ndjson"


@dataclass
class ExportManifest:
    """What is in an export.

    Attributes:
        format: how items are written.
        assets: whether stored files are listed, or in the export too.
        items: number of items by collection.
        files: checksums of the files with items, collections and projects, by path.
        asset_files: number of stored files that are listed.
        asset_bytes: their size.
        version: of this form.
    """

    format: Format
    assets: Assets
    items: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    asset_files: int = 0
    asset_bytes: int = 0
    version: int = VERSION

    def add_file(self, folder: Path, path: str) -> None:
        """Note a file that was written."""
        self.files[path] = multihash_of_file(folder / path)

    def write(self, folder: Path) -> None:
        """Write the manifest, which makes the folder an export."""
        path = folder / MANIFEST
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        flush(path)

    def check_files(self, folder: Path) -> None:
        """Compare the files of an export with what was written.

        Raises:
            InvalidInput: one is missing or differs.
        """
        for path, checksum in self.files.items():
            file = inside(folder, path)
            if not file.is_file():
                raise InvalidInput(f"the export {folder} lacks {path}; take a whole copy of it")
            if multihash_of_file(file) != checksum:
                raise InvalidInput(f"{path} of the export {folder} is not as it was written; take another copy")


def read_manifest(folder: Path) -> ExportManifest:
    """Read the manifest of an export.

    Raises:
        InvalidInput: the folder is no export, or its manifest cannot be read.
        UnsupportedMedia: a newer terralab wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InvalidInput(f"{folder} is no export: it has no {MANIFEST}; `catalog load` takes files of other programs")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] > VERSION:
            raise UnsupportedMedia(f"{folder} was exported by a newer terralab; update this one")
        manifest = ExportManifest(**{name: found[name] for name in ExportManifest.__dataclass_fields__})
        _check(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not the manifest of an export: {error!r}") from error
    return manifest


def inside(folder: Path, path: str) -> Path:
    """Return a file of an export.

    Raises:
        InvalidInput: the path leads out of the folder, also by a symbolic link.
    """
    root = folder.resolve()
    file = (root / PurePosixPath(path)).resolve()
    if not file.is_relative_to(root):
        raise InvalidInput(f"{path!r} leads out of the export {folder}; it is not loaded")
    return file


def _check(manifest: ExportManifest) -> None:
    if manifest.format not in get_args(Format) or manifest.assets not in get_args(Assets):
        raise ValueError("unknown form")
    if not isinstance(manifest.files, Mapping) or not all(isinstance(path, str) for path in manifest.files):
        raise ValueError("files")
    if not isinstance(manifest.items, Mapping):
        raise ValueError("items")
