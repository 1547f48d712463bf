"""A dataset as the client sees it: its versions, the chips of its splits, and their files on this machine."""

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pystac

from terralab.catalog.client.search import Search
from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import AssetCorrupt, InvalidInput, SetupProblem, UnknownName
from terralab.extensions.checksum import MD5_PREFIX
from terralab.extensions.chips import SPLITS
from terralab.extensions.dataset import DATASETS_COLLECTION, MANIFEST_ASSET, MEMBERS_REL
from terralab.extensions.lab import DATASET_PROP, SPLIT_PROP

if TYPE_CHECKING:
    import geopandas

    from terralab.catalog.client.lab import Lab

LOADERS = "terralab.loaders"
"""Entry points of functions that make a dataset of a framework; see `Dataset.to_torch`."""
_TORCH = "torch"


class Dataset:
    """A dataset by its name; nothing is asked before it is needed.

    Args:
        lab: where it is.
        transport: to the lab.
        name: the dataset's name.
    """

    def __init__(self, lab: "Lab", transport: Transport, name: str) -> None:
        self._lab, self._transport, self.name = lab, transport, name

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, versions={list(self._by_version)})"

    @property
    def versions(self) -> list[str]:
        """Return the versions, oldest first."""
        return list(self._by_version)

    def version(self, version: str | None = None) -> pystac.Item:
        """Return the item of a version, such as `1.0.0`; of the latest by default.

        Raises:
            UnknownName: there is none of that name.
        """
        if not self._by_version:
            raise UnknownName(f"there is no dataset version of {self.name!r} that you may read")
        wanted = self.versions[-1] if version is None else version.removeprefix("v")
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
        """Put the files of a version into a folder, as `images/…` and `masks/…`, each compared with its checksum.

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
        wanted = {chip[key] for chip in chips for key in ("image", "mask")}
        entries = [entry for entry in manifest["files"] if entry["relpath"] in wanted]
        return [self._fetch(Path(folder), entry) for entry in entries]

    def to_torch(self, split: str, folder: Path | str | None = None, version: str | None = None, **options: Any) -> Any:
        """Return the chips of a split as a PyTorch dataset, their files downloaded.

        Args:
            split: `train`, `validate` or `test`.
            folder: where the files are put; by default below `work/` of the lab's home folder on this machine.
            version: such as `1.0.0`; the latest by default.
            options: of the loader, such as `augment_seed`.

        Raises:
            SetupProblem: this installation has no loader.
        """
        found = entry_points(group=LOADERS, name=_TORCH)
        if not found:
            raise SetupProblem("there is no loader for PyTorch here; install terralab[datasets,flows], which has one")
        load: Callable[..., Any] = next(iter(found)).load()
        place = Path(folder) if folder is not None else self._lab.work_folder / "datasets" / self.version(version).id
        self.download(place, split, version)
        return load(place, self.manifest(version), _known_split(split), **options)

    @cached_property
    def _by_version(self) -> dict[str, pystac.Item]:
        named = {"op": "=", "args": [{"property": DATASET_PROP}, self.name]}
        items = self._lab.search(collections=[DATASETS_COLLECTION], filter=named)
        found = {str(item.properties["version"]): item for item in items}
        return dict(sorted(found.items(), key=lambda entry: tuple(int(part) for part in entry[0].split("."))))

    def _fetch(self, folder: Path, entry: Mapping[str, Any]) -> Path:
        path = folder / str(entry["relpath"])
        if folder.resolve() not in path.resolve().parents:
            raise AssetCorrupt(
                f"the manifest of {self.name} has a path that leads out of the folder: {entry['relpath']}"
            )
        if path.is_file() and _md5(path) == entry["md5"]:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with aside.open("wb") as file:
                for piece in self._transport.download(f"/files/{MD5_PREFIX}{entry['md5']}/{quote(path.name)}"):
                    file.write(piece)
            if (found := _md5(aside)) != entry["md5"]:
                raise AssetCorrupt(f"{entry['relpath']}: the bytes that arrived have MD5 {found}, not {entry['md5']}")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return path


def _known_split(split: str) -> str:
    if split not in SPLITS:
        raise InvalidInput(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    return split


def _of_split(manifest: Mapping[str, Any], split: str) -> list[Mapping[str, Any]]:
    return [chip for chip in manifest["chips"] if chip["split"] == _known_split(split)]


def _members(version: pystac.Item) -> str:
    """Return the collection whose chips a version froze."""
    links = [link.href for link in version.links if link.rel == MEMBERS_REL]
    if not links:
        raise UnknownName(f"{version.id} does not say which collection its chips are in")
    return str(links[0]).rstrip("/").split("/")[-2]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
