"""Chips for frameworks: what a dataset and a search have in common.

The frameworks' side is found by entry points of the group `terralab.loaders`, since the client knows nothing of the
rooms that have it. Files are fetched one by one, compared with their checksums, and packed; only the pack stays.
"""

import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import quote

from terralab.catalog.client.transport import Transport
from terralab.catalog.errors import AssetCorrupt, InvalidInput, SetupProblem
from terralab.catalog.settings import Settings
from terralab.extensions.checksum import MD5_PREFIX, SHA256_PREFIX

LOADERS = "terralab.loaders"
"""Entry points of functions that make what a framework takes; see `Loading.to_torch`."""
OpenFile = Callable[[Mapping[str, Any]], AbstractContextManager[Path]]


class FileSource:
    """The files that a manifest names, from a lab.

    Args:
        transport: to the lab.
        name: of the dataset, for messages.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport, self._name = transport, name

    def fetch(self, folder: Path, entry: Mapping[str, Any]) -> Path:
        """Return a file below a folder, fetched where it is not there yet and whole.

        Args:
            folder: made where it is missing.
            entry: of the manifest: `relpath` and `md5`.

        Raises:
            AssetCorrupt: what arrives is not what the manifest says.
        """
        path = folder / str(entry["relpath"])
        if folder.resolve() not in path.resolve().parents:
            raise AssetCorrupt(
                f"the manifest of {self._name} has a path that leads out of the folder: {entry['relpath']}"
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

    def passing(self) -> OpenFile:
        """Return a way to files that are deleted when they have been read."""

        @contextmanager
        def open_file(entry: Mapping[str, Any]) -> Iterator[Path]:
            with tempfile.TemporaryDirectory(prefix="terralab-") as folder:
                yield self.fetch(Path(folder), entry)

        return open_file

    def kept(self, folder: Path) -> OpenFile:
        """Return a way to files that stay in a folder."""

        @contextmanager
        def open_file(entry: Mapping[str, Any]) -> Iterator[Path]:
            yield self.fetch(folder, entry)

        return open_file


class PackedFiles:
    """The pack that a version's item names, from a lab.

    Args:
        transport: to the lab.
        href: of the index.
        checksum: of the index.
    """

    def __init__(self, transport: Transport, href: str, checksum: str) -> None:
        self._transport, self._href, self._checksum = transport, href, checksum

    def index(self) -> bytes:
        """Return the index.

        Raises:
            AssetCorrupt: it differs from its checksum.
        """
        content = b"".join(self._transport.download(self._href))
        if SHA256_PREFIX + hashlib.sha256(content).hexdigest() != self._checksum:
            raise AssetCorrupt(f"{self._href}: the bytes that arrived differ from the checksum {self._checksum}")
        return content

    def shard(self, number: int, sha256: str) -> Iterator[bytes]:
        """Yield the bytes of a shard."""
        return self._transport.download(f"/files/{SHA256_PREFIX}{sha256}/shard-{number:05d}.bin")


class Loading(ABC):
    """What can be loaded: the chips of a dataset version, or those that a search finds."""

    def to_torch(self, split: str | None = None, folder: Path | str | None = None, **options: Any) -> Any:
        """Return the chips of a split as a PyTorch dataset; a list of positions gives a whole batch.

        Args:
            split: `train`, `validate` or `test`; all chips by default.
            folder: where the GeoTIFFs of a dataset are put and stay; by default only the pack of them stays, below
                `work/packs` of the lab's home folder on this machine.
            options: `version`; `augment_seed` for flips and turns; `bands`.

        Raises:
            SetupProblem: this installation has no loader.
            TooFewChips: there are no chips.
            AssetCorrupt: a file is missing or is not what was catalogued.
        """
        return self._load("torch", split, folder, options)

    def to_lightning(self, folder: Path | str | None = None, **options: Any) -> Any:
        """Return all splits as a Lightning data module, for TerraTorch's tasks.

        Args:
            folder: as of `to_torch`.
            options: `version`; `batch_size`, `seed`, `augment`, `sampling` (`even` or `classes`), `workers`, `bands`.

        Raises:
            SetupProblem, TooFewChips, AssetCorrupt: as `to_torch`.
        """
        return self._load("lightning", None, folder, options)

    def to_tf(self, split: str | None = None, folder: Path | str | None = None, **options: Any) -> Any:
        """Return the chips of a split as a `tf.data.Dataset` of batches (image, target), bands last.

        Args:
            split: as of `to_torch`.
            folder: as of `to_torch`.
            options: `version`; `batch_size`; `seed` for another order, flips and turns in every epoch; `bands`.

        Raises:
            SetupProblem, TooFewChips, AssetCorrupt: as `to_torch`; SetupProblem also where TensorFlow is missing.
        """
        return self._load("tf", split, folder, options)

    def to_sklearn(self, split: str | None = None, folder: Path | str | None = None, **options: Any) -> Any:
        """Return the chips of a split as `X`, `y` and `groups`.

        Args:
            split: as of `to_torch`.
            folder: as of `to_torch`.
            options: `version`; `unit` (`pixels` or `chips`), `pixels` (about how many), `seed`, `bands`.

        Raises:
            SetupProblem, TooFewChips, AssetCorrupt: as `to_torch`.
        """
        return self._load("sklearn", split, folder, options)

    @abstractmethod
    def _chips(self, options: dict[str, Any]) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        """Return the manifest, or chip items; takes out of `options` what is not for the loader."""

    def _packed(self, options: Mapping[str, Any]) -> PackedFiles | None:
        """Return where a pack of all the chips can be fetched from, None where it cannot."""
        return None

    def _keep(self, folder: Path, split: str | None, options: Mapping[str, Any]) -> None:
        """Put the files into a folder, to stay."""
        raise InvalidInput("the chips of a search are packed and no files of them are kept; leave `folder` out")

    @abstractmethod
    def _source(self) -> tuple[FileSource, Settings]:
        """Return where the files come from, and the settings of this machine."""

    def _load(self, framework: str, split: str | None, folder: Path | str | None, options: dict[str, Any]) -> Any:
        found = entry_points(group=LOADERS, name=framework)
        if not found:
            raise SetupProblem(f"there is no loader {framework!r} here; install terralab[flows], which has it")
        load: Callable[..., Any] = next(iter(found)).load()
        source, settings = self._source()
        if folder is not None:
            self._keep(Path(folder), split, options)
        packed = self._packed(options) if folder is None else None
        chips = self._chips(options)
        files = source.passing() if folder is None else source.kept(Path(folder))
        return load(chips, files, settings, packed, split, **options)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
