"""A disk that fills up soon: a small tmpfs, where the tests may mount one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted disk.

    Args:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def leave(self, free: int) -> None:
        """Fill the disk so that `free` bytes remain."""
        self._filling.unlink(missing_ok=True)
        self._filling.write_bytes(bytes(max(0, shutil.disk_usage(self.folder).free - free)))

    def empty(self) -> None:
        """Remove everything from the disk."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def small_disk(folder: Path, size: int = 1 << 20) -> Iterator[SmallDisk]:
    """Mount a disk of `size` bytes over a folder, which comes back as it was; skip where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    state = folder.stat()
    options = f"size={size},uid={state.st_uid},gid={state.st_gid},mode={state.st_mode & 0o7777:o}"
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True
    )
    if not mounted or mounted.returncode:
        reason = mounted.stderr.strip() if mounted else "there is no `mount`"
        pytest.skip(f"a full disk needs a small one, which cannot be mounted (user {os.geteuid()}): {reason}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
