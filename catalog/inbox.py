"""The inbox: how users' files reach the flows.

A flow opens only files in the inbox, where the command line puts them, and in the folders that
`TERRALAB_SOURCE_FOLDERS` names. So a value typed into a form or sent to an API cannot make the lab read another file of its machine.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from terralab.catalog.errors import InvalidInput
from terralab.catalog.settings import Settings
from terralab.catalog.store import disk_full_as_error
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.ids import DIGEST_LENGTH


def stage(settings: Settings, files: Sequence[Path]) -> str:
    """Put files into the inbox and return the pattern by which a flow finds them, `<digest>/*`.

    The folder's name follows from the files' names and bytes, so staging the same files again changes nothing. Files
    are hard-linked where the disk allows it, else copied.

    Raises:
        InvalidInput: a file does not exist, or two have the same name.
        OutOfSpace: the disk is full.
    """
    names = [path.name for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"{twice[0]} is given twice, from different folders; rename one of the files")
    state = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.name):
        if not path.is_file():
            raise InvalidInput(f"{path}: no such file")
        state.update(f"{path.name}\0{multihash_of_file(path)}\n".encode())
    folder = state.hexdigest()[:DIGEST_LENGTH]
    target = settings.inbox_folder / folder
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        with disk_full_as_error(target):
            _link_or_copy(path, target / path.name)
    return f"{folder}/*"


def resolve(settings: Settings, pattern: str) -> list[Path]:
    """Return the files that a pattern names, sorted.

    Args:
        settings: the lab's.
        pattern: a glob: relative to the inbox, or absolute in one of the source folders.

    Raises:
        InvalidInput: the pattern leads elsewhere, or no file matches.
    """
    inbox = settings.inbox_folder
    allowed = [inbox, *(Path(part) for part in settings.lab.source_folders.split(":") if part)]
    found = [Path(name) for name in glob.glob(str(inbox / pattern), recursive=True)]
    files = sorted(path for path in found if path.is_file())
    for path in files:
        if not any(path.resolve().is_relative_to(folder.resolve()) for folder in allowed):
            raise InvalidInput(
                f"{path} is outside the folders that flows may read; add its folder to TERRALAB_SOURCE_FOLDERS,"
                " or use the command line, which copies files into the lab's inbox"
            )
    if not files:
        raise InvalidInput(
            f"no file matches {pattern!r} in the inbox {inbox} or the folders of TERRALAB_SOURCE_FOLDERS"
        )
    return files


def _link_or_copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source.resolve(), aside)
    except OSError:
        shutil.copyfile(source, aside)
    os.replace(aside, target)
