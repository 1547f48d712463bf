"""A folder that appears under its name when it is whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terralab.catalog.errors import AlreadyExists
from terralab.catalog.folder_store import flush
from terralab.catalog.store import disk_full_as_error


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside the target that takes its name when all went well, and is removed otherwise.

    Raises:
        AlreadyExists: the target is there, and not an empty folder.
        OutOfSpace: the disk is full.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise AlreadyExists(f"{target} is there already; export into a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with disk_full_as_error(target.parent):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield folder
            if target.is_dir():
                target.rmdir()
            folder.chmod(0o755)
            os.rename(folder, target)
            flush(target.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
