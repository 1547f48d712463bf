"""A frozen version as it was written down: its item and its manifest, found by `NAME@v1.0.0`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.errors import AssetCorrupt, InvalidInput, UnknownName
from terralab.catalog.frozen_items import FrozenItems
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.datasets.versions import Version
from terralab.extensions.checksum import MD5_PREFIX
from terralab.extensions.chip_parts import IMAGE_ASSET, MASK_ASSET
from terralab.extensions.dataset import DATASETS_COLLECTION, DatasetRecord
from terralab.extensions.lab import DATASET_PROP

_OUTSIDE = frozenset(("", ".", ".."))


@dataclass(frozen=True)
class FrozenVersion:
    """A version.

    Attributes:
        item: of the collection `datasets`.
        store: where its files are.
    """

    item: Mapping[str, Any]
    store: Store

    @cached_property
    def record(self) -> DatasetRecord:
        """Return what its item says."""
        return DatasetRecord.of_item(self.item)

    @property
    def name(self) -> str:
        """Return what people call it, such as `ponds@v1.0.0`."""
        return f"{self.record.dataset}@v{self.record.version}"

    @cached_property
    def manifest_text(self) -> bytes:
        """Return the bytes of its manifest.

        Raises:
            AssetCorrupt: the manifest is lost, or its bytes are not those that the catalog knows.
        """
        return self.store.verify(self.record.manifest.href).read_bytes()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Return its manifest; errors as of `manifest_text`."""
        manifest: dict[str, Any] = orjson.loads(self.manifest_text)
        return manifest

    @property
    def files(self) -> Sequence[Mapping[str, Any]]:
        """Return `relpath`, `md5` and `size` of its files, by relpath."""
        found: Sequence[Mapping[str, Any]] = self.manifest["files"]
        return found

    @cached_property
    def by_path(self) -> dict[str, str]:
        """Return the MD5 of every file by its relpath."""
        return {str(file["relpath"]): str(file["md5"]) for file in self.files}

    def checksums(self, chip: Mapping[str, Any]) -> dict[str, str]:
        """Return the multihashes of a chip's files by asset key.

        Args:
            chip: an entry of `chips` in the manifest.

        Raises:
            AssetCorrupt: one is not among the files.
        """
        try:
            return {key: MD5_PREFIX + self.by_path[path] for key, path in paths_of(chip).items()}
        except KeyError as error:
            raise AssetCorrupt(f"{self.name}: the manifest lacks the file {error} of the chip {chip['id']}") from error

    def items(self) -> Iterator[dict[str, Any]]:
        """Yield the chip items as they were frozen; none for versions of the first releases."""
        if self.record.items is not None:
            yield from FrozenItems(self.store.verify(self.record.items.href))


def find_version(workspace: Workspace, reference: str) -> FrozenVersion:
    """Return a version by `NAME@v1.0.0`, or the latest by `NAME`.

    Raises:
        UnknownName: there is none.
        InvalidInput: what is behind the `@` is no version.
    """
    dataset, at, tag = reference.partition("@")
    if not dataset or (at and not tag):
        raise InvalidInput(f"{reference!r} names no version; write NAME@v1.0.0")
    known = versions_of(workspace, dataset)
    if not known:
        raise UnknownName(f"there is no version of {dataset!r}; freeze one by `terralab datasets version {dataset}`")
    if not at:
        return known[max(known)]
    number = Version.parse(tag)
    if number not in known:
        raise UnknownName.of(f"version of {dataset}", f"v{number}", [f"v{one}" for one in sorted(known)])
    return known[number]


def versions_of(workspace: Workspace, dataset: str) -> dict[Version, FrozenVersion]:
    """Return the versions of a dataset by their numbers, in order."""
    if workspace.catalog.find_collection(DATASETS_COLLECTION) is None:
        return {}
    named = {"op": "=", "args": [{"property": DATASET_PROP}, dataset]}
    items = workspace.catalog.search(collections=[DATASETS_COLLECTION], filter=named)
    found = {Version.parse(item["properties"]["version"]): FrozenVersion(item, workspace.store) for item in items}
    return dict(sorted(found.items()))


def paths_of(chip: Mapping[str, Any]) -> dict[str, str]:
    """Return a manifest's relpaths of a chip by asset key; those of the first releases name image and mask alone."""
    files = chip.get("files")
    return dict(files) if files else {key: chip[key] for key in (IMAGE_ASSET, MASK_ASSET) if key in chip}


def path_below(folder: Path | str, relpath: str) -> str:
    """Return the path of a file of a version in a folder.

    Raises:
        AssetCorrupt: it would lead out of the folder.
    """
    parts = relpath.split("/")
    if "\\" in relpath or not _OUTSIDE.isdisjoint(parts):
        raise AssetCorrupt(f"the manifest has a path that leads out of the folder: {relpath}")
    return f"{folder}/{relpath}"
