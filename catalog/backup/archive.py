"""A folder as one compressed file."""

import tarfile
from collections.abc import Callable
from pathlib import Path

from terralab.catalog.errors import AssetCorrupt

Keep = Callable[[Path], bool]


def pack(folder: Path, path: Path, keep: Keep) -> None:
    """Write a folder's files and links into an archive.

    Args:
        folder: what to pack.
        path: the archive, `.tar.zst`.
        keep: says of a path, relative to the folder, whether it belongs; what is below a folder that does not is left
            out too.
    """
    from pyarrow import CompressedOutputStream, OSFile

    def chosen(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        inside = Path(entry.name)
        return entry if inside == Path() or keep(inside) else None

    with OSFile(str(path), "wb") as file, CompressedOutputStream(file, "zstd") as out:
        with tarfile.open(fileobj=out, mode="w|") as archive:
            archive.add(folder, arcname=".", filter=chosen)


def unpack(path: Path, folder: Path) -> None:
    """Write the files of an archive into a new folder; none can land outside of it.

    Raises:
        AssetCorrupt: the archive is damaged.
    """
    from pyarrow import CompressedInputStream, OSFile

    folder.mkdir(parents=True)
    try:
        with OSFile(str(path)) as file, CompressedInputStream(file, "zstd") as content:
            with tarfile.open(fileobj=content, mode="r|") as archive:
                archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise AssetCorrupt(f"{path} is damaged ({error}); use another copy of the backup") from error
