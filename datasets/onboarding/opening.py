"""Opening what a user gave: a folder or a file as it lies, an archive unpacked into a scratch folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.archives import archive_kind, unpack
from terralab.datasets.onboarding.limits import Limits


@contextmanager
def opened(path: Path, limits: Limits, scratch: Path | None = None) -> Iterator[Path]:
    """Yield the folder or the file; an archive is unpacked, and what was unpacked is removed afterwards.

    Args:
        path: folder, archive, or file such as a GeoJSON.
        limits: how much an archive may hold.
        scratch: folder to unpack into; None for the system's own.

    Raises:
        InvalidInput: there is nothing there, or the archive is damaged or unsafe.
        TooLarge: the archive is a bomb, or over the limits.
    """
    if not path.exists():
        raise InvalidInput(f"{path}: no such file or folder")
    if path.is_dir() or archive_kind(path) is None:
        yield path
        return
    with TemporaryDirectory(prefix="onboard-", dir=scratch) as folder:
        yield unpack(path, Path(folder) / "files", limits)
