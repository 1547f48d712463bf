"""A dataset as the client sees it: its versions, the chips of its splits, and their files on this machine."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pystac

from terralab.catalog.client.loading import FileSource, Loading, PackedFiles
from terralab.catalog.client.search import Search
from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.catalog.settings import Settings
from terralab.extensions.chips import SPLITS
from terralab.extensions.dataset import DATASETS_COLLECTION, MANIFEST_ASSET, MEMBERS_REL
from terralab.extensions.lab import DATASET_PROP, SPLIT_PROP

if TYPE_CHECKING:
    import geopandas

    from terralab.catalog.client.lab import Lab

_PACK_ASSET = "pack"


class Dataset(Loading):
    """A dataset by its name; nothing is asked before it is needed.

    Args:
        lab: where it is.
        transport: to the lab.
        name: the dataset's name, or `name@1.0.0` for a version that is meant where none is named.
    """

    def __init__(self, lab: "Lab", transport: Transport, name: str) -> None:
        self._lab, self._transport = lab, transport
        self.name, _, meant = name.partition("@")
        self._meant = meant or None

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, versions={list(self._by_version)})"

    @property
    def versions(self) -> list[str]:
        """Return the versions, oldest first."""
        return list(self._by_version)

    def version(self, version: str | None = None) -> pystac.Item:
        """Return the item of a version, such as `1.0.0`; by default of the one that was meant, else of the latest.

        Raises:
            UnknownName: there is none of that name.
        """
        if not self._by_version:
            raise UnknownName(f"there is no dataset version of {self.name!r} that you may read")
        named = version or self._meant
        wanted = self.versions[-1] if named is None else named.removeprefix("v")
        if wanted not in self._by_version:
            raise UnknownName.of(f"version of the dataset {self.name!r}", wanted, self.versions)
        return self._by_version[wanted]

    def manifest(self, version: str | None = None) -> dict[str, Any]:
        """Return the manifest of a version: the list of its chips, files, bands with statistics, and classes."""
        asset = self.version(version).assets[MANIFEST_ASSET]
        manifest: dict[str, Any] = self._transport.json("GET", asset.href)
        return manifest

    def items(self, split: str | None = None, version: str | None = None) -> Search:
        """Return the chips of a version's collection as they are in the catalog now.

        What a version froze, and no later change touches, is in its `manifest`.

        Args:
            split: `train`, `validate` or `test`; all by default.
            version: such as `1.0.0`; the latest by default.
        """
        collection = _members(self.version(version))
        if split is None:
            return self._lab.search(collections=[collection])
        return self._lab.search(
            collections=[collection], filter={"op": "=", "args": [{"property": SPLIT_PROP}, _known_split(split)]}
        )

    def to_geodataframe(self, split: str | None = None, version: str | None = None) -> "geopandas.GeoDataFrame":
        """Return those chips as a table; see `Search.to_geodataframe`."""
        return self.items(split, version).to_geodataframe()

    def download(self, folder: Path | str, split: str | None = None, version: str | None = None) -> list[Path]:
        """Put the files of a version into a folder, as `images/…`, `masks/…`, …, each compared with its checksum.

        A file that is there already and whole is not fetched again.

        Args:
            folder: made where it is missing.
            split: whose chips; all by default.
            version: such as `1.0.0`; the latest by default.

        Returns:
            The files, in the order of the manifest.

        Raises:
            AssetCorrupt: what arrives is not what the version froze.
        """
        manifest = self.manifest(version)
        chips = manifest["chips"] if split is None else _of_split(manifest, split)
        wanted = {path for chip in chips for path in _paths(chip)}
        entries = [entry for entry in manifest["files"] if entry["relpath"] in wanted]
        source, _ = self._source()
        return [source.fetch(Path(folder), entry) for entry in entries]

    def _chips(self, options: dict[str, Any]) -> Mapping[str, Any]:
        return self.manifest(options.pop("version", None))

    def _packed(self, options: Mapping[str, Any]) -> PackedFiles | None:
        asset = self.version(options.get("version")).assets.get(_PACK_ASSET)
        if asset is None:
            return None
        return PackedFiles(self._transport, asset.href, str(asset.extra_fields["file:checksum"]))

    def _keep(self, folder: Path, split: str | None, options: Mapping[str, Any]) -> None:
        self.download(folder, split, options.get("version"))

    def _source(self) -> tuple[FileSource, Settings]:
        return FileSource(self._transport, self.name), self._lab.settings

    @cached_property
    def _by_version(self) -> dict[str, pystac.Item]:
        named = {"op": "=", "args": [{"property": DATASET_PROP}, self.name]}
        items = self._lab.search(collections=[DATASETS_COLLECTION], filter=named)
        found = {str(item.properties["version"]): item for item in items}
        return dict(sorted(found.items(), key=lambda entry: tuple(int(part) for part in entry[0].split("."))))


def _known_split(split: str) -> str:
    if split not in SPLITS:
        raise InvalidInput(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    return split


def _of_split(manifest: Mapping[str, Any], split: str) -> list[Mapping[str, Any]]:
    return [chip for chip in manifest["chips"] if chip["split"] == _known_split(split)]


def _paths(chip: Mapping[str, Any]) -> list[str]:
    """Return the files of a chip; versions of the first releases name image and mask alone."""
    files = chip.get("files") or {key: chip[key] for key in ("image", "mask")}
    return [str(path) for path in files.values()]


def _members(version: pystac.Item) -> str:
    """Return the collection whose chips a version froze."""
    links = [link.href for link in version.links if link.rel == MEMBERS_REL]
    if not links:
        raise UnknownName(f"{version.id} does not say which collection its chips are in")
    return str(links[0]).rstrip("/").split("/")[-2]
