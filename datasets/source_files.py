"""The users' files that a dataset is made of, with their checksums."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terralab.catalog.errors import InvalidInput
from terralab.extensions.checksum import multihash_of_file, split_multihash


@dataclass(frozen=True)
class SourceFiles:
    """Images and labels.

    Attributes:
        images: at least one.
        labels: at least one.
        sha256: hex digest of each file's bytes.
    """

    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    sha256: dict[Path, str]

    def describe(self, path: Path) -> dict[str, str]:
        """Return file name and SHA-256, as items carry them."""
        return {"file": path.name, "sha256": self.sha256[path]}

    def fingerprint(self) -> dict[str, list[dict[str, str]]]:
        """Return names and checksums of all files."""
        return {
            "images": [self.describe(path) for path in self.images],
            "labels": [self.describe(path) for path in self.labels],
        }


def source_files(images: Sequence[Path], labels: Sequence[Path]) -> SourceFiles:
    """Read the checksums of the files.

    A file that is among both is a label: `*.tif` for the images may well match `x_mask.tif` too.

    Raises:
        InvalidInput: no image remains.
    """
    sha256 = {path: split_multihash(multihash_of_file(path))[1] for path in {*images, *labels}}
    known = {(path.name, sha256[path]) for path in labels}
    remaining = tuple(path for path in images if (path.name, sha256[path]) not in known)
    if not remaining:
        raise InvalidInput(
            f"{images[0].name}: each image is given as a label too; give patterns that tell images and labels apart"
        )
    return SourceFiles(remaining, tuple(labels), sha256)
