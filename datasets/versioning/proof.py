"""The proof of a version: from the catalog alone, also when the catalog has moved on.

Three things tell what a version holds: the chip items (now, and as they were frozen), the manifest with its checksum in
the catalog, and `lab:dvc_tree`, DVC's hash of all files. The hash is computed anew from the items; the store must have
every file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from terralab.catalog.errors import AssetCorrupt
from terralab.catalog.workspace import Workspace
from terralab.datasets.versioning.frozen_version import FrozenVersion, paths_of
from terralab.datasets.versioning.tree_layout import TreeLayout, versioned_keys
from terralab.datasets.versions import tree_hash
from terralab.extensions.checksum import MD5_PREFIX, multihash_of_file, split_multihash
from terralab.extensions.lab import DATASET_VERSION_PROP, DVC_TREE_PROP


@dataclass(frozen=True)
class Proof:
    """Whether the chips that the catalog and the store have are those of a version.

    Attributes:
        expected: `lab:dvc_tree` of the version's item.
        found: the same hash, computed from the catalog's checksums.
        files: how many files the hash covers.
        changed: chips that are other ones in the catalog now; the proof rests on them as they were frozen.
        gone: chips that the catalog has no longer; likewise.
        differing: files whose checksum in the catalog, as of this version, is not that of the manifest.
        missing: files that the store lacks, or has with another size.
        damaged: files whose bytes have another hash, where the bytes were read.
    """

    expected: str
    found: str
    files: int
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Say whether the hashes are equal and every file is there."""
        return self.expected == self.found and not (self.differing or self.missing or self.damaged)


def prove(workspace: Workspace, version: FrozenVersion, read_bytes: bool = False) -> Proof:
    """Compute the tree hash of a version from the catalog's checksums, and compare the store with its files.

    Args:
        workspace: the lab.
        version: which one.
        read_bytes: also hash every file.

    Raises:
        AssetCorrupt: the manifest or the frozen items are lost or damaged.
    """
    found = _Catalogued(version)
    found.take_current(workspace.catalog.search(collections=[version.record.chips_collection]))
    found.take_frozen()
    missing = _missing(version)
    return Proof(
        expected=version.record.dvc_tree,
        found=tree_hash({"relpath": path, "md5": md5} for path, md5 in found.files.items()),
        files=len(found.files),
        changed=tuple(sorted(found.changed)),
        gone=tuple(sorted(found.gone)),
        differing=tuple(sorted(dict(found.files.items() ^ version.by_path.items()))),
        missing=tuple(missing),
        damaged=tuple(_damaged(version, set(missing))) if read_bytes else (),
    )


class _Catalogued:
    """The files of a version as the catalog's items tell them."""

    def __init__(self, version: FrozenVersion) -> None:
        self._version = version
        self._layout = TreeLayout.of_count(len(version.files))
        by_path = version.by_path
        self._listed = {
            str(chip["id"]): {path: by_path.get(path, "") for path in paths_of(chip).values()}
            for chip in version.manifest["chips"]
        }
        self.files: dict[str, str] = {}
        self.changed: set[str] = set()
        self.gone = set(self._listed)

    def take_current(self, chips: Iterable[Mapping[str, Any]]) -> None:
        """Take the chips that are of this version still: those that say so, and those with the very same files."""
        for chip in chips:
            files, listed = self._files_of(chip), self._listed.get(str(chip["id"]))
            if self._says_so(chip) or files == listed:
                self.files |= files
                self.gone.discard(str(chip["id"]))
            elif listed is not None:
                self.changed.add(str(chip["id"]))
                self.gone.discard(str(chip["id"]))

    def take_frozen(self) -> None:
        """Take all others as they were frozen; from the manifest in versions that keep no items."""
        others = self.changed | self.gone
        if self._version.record.items is None:
            self.files |= {path: md5 for id in others for path, md5 in self._listed[id].items()}
            return
        for chip in self._version.items() if others else ():
            if chip["id"] in others:
                self.files |= self._files_of(chip)

    def _says_so(self, chip: Mapping[str, Any]) -> bool:
        record, properties = self._version.record, chip["properties"]
        claimed = (properties.get(DATASET_VERSION_PROP), properties.get(DVC_TREE_PROP))
        return claimed == (record.version, record.dvc_tree)

    def _files_of(self, chip: Mapping[str, Any]) -> dict[str, str]:
        return {
            self._layout.relpath(chip, key): split_multihash(chip["assets"][key]["file:checksum"])[1]
            for key in versioned_keys(chip)
        }


def _missing(version: FrozenVersion) -> list[str]:
    sizes = version.store.sizes(MD5_PREFIX + str(file["md5"]) for file in version.files)
    return [str(file["relpath"]) for file in version.files if sizes.get(MD5_PREFIX + str(file["md5"])) != file["size"]]


def _damaged(version: FrozenVersion, missing: set[str]) -> Iterator[str]:
    for file in version.files:
        name, path = MD5_PREFIX + str(file["md5"]), str(file["relpath"])
        if path in missing:
            continue
        try:
            intact = multihash_of_file(version.store.open_name(name), "md5") == name
        except AssetCorrupt:
            intact = False
        if not intact:
            yield path
