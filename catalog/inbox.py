"""The inbox: how users' files reach the flows.

A flow opens only files in the inbox, where the command line puts them, and in the folders that
`TERRALAB_SOURCE_FOLDERS` names. So a value typed into a form or sent to an API cannot make the lab read another file of
its machine.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath

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
        InvalidInput: a file does not exist or cannot be read, two have the same name, or a name is no UTF-8.
        OutOfSpace: the disk is full.
    """
    names = [_readable_name(path) for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"{twice[0]} is given twice, from different folders; rename one of the files")
    state = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.name):
        state.update(f"{path.name}\0{_checksum(path)}\n".encode())
    folder = state.hexdigest()[:DIGEST_LENGTH]
    target = settings.inbox_folder / folder
    with disk_full_as_error(settings.inbox_folder):
        target.mkdir(parents=True, exist_ok=True)
        for path in files:
            _link_or_copy(path, target / path.name)
        os.utime(target)  # staged again, it is young again: see `garbage`
    return f"{folder}/*"


def stage_tree(settings: Settings, root: Path, files: Sequence[PurePath]) -> str:
    """Put the files of a folder into the inbox as they lie in it, and return its place there, `<digest>/<name>`.

    Args:
        settings: the lab's.
        root: the folder; or one file, with `files` empty.
        files: which of its files, relative to it.

    Raises:
        InvalidInput: a file does not exist or cannot be read, or a name is no UTF-8.
        OutOfSpace: the disk is full.
    """
    places = [(path.as_posix(), root / path) for path in files] or [("", root)]
    state = hashlib.sha256()
    for place, path in sorted(places):
        _readable_name(path)
        state.update(f"{place}\0{_checksum(path)}\n".encode())
    folder = settings.inbox_folder / state.hexdigest()[:DIGEST_LENGTH]
    target = folder / _readable_name(root.absolute())
    with disk_full_as_error(settings.inbox_folder):
        folder.mkdir(parents=True, exist_ok=True)
        for place, path in places:
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(path, target / place)
        os.utime(folder)
    return f"{folder.name}/{target.name}"


def resolve_place(settings: Settings, place: str) -> Path:
    """Return the file or folder of that place: relative to the inbox, or absolute in one of the source folders.

    Raises:
        InvalidInput: it leads elsewhere, or there is nothing.
    """
    allowed = _allowed(settings)
    path = _written(settings, place, allowed)
    if not path.exists():
        raise InvalidInput(
            f"{place!r}: no such file or folder in the inbox {settings.inbox_folder} or the folders of"
            " TERRALAB_SOURCE_FOLDERS"
        )
    if not any(path.resolve().is_relative_to(folder.resolve()) for folder in allowed):
        raise _leads_outside(place)
    return path


def resolve(settings: Settings, pattern: str) -> list[Path]:
    """Return the files that a pattern names, sorted.

    Args:
        settings: the lab's.
        pattern: a glob: relative to the inbox, or absolute in one of the source folders.

    Raises:
        InvalidInput: the pattern leads elsewhere, or no file matches.
    """
    inbox, allowed = settings.inbox_folder, _allowed(settings)
    written = _written(settings, pattern, allowed)
    found = [Path(name) for name in glob.glob(str(written), recursive=True)]
    files = sorted(path for path in found if path.is_file())
    for path in files:
        if not any(path.resolve().is_relative_to(folder.resolve()) for folder in allowed):
            raise _leads_outside(pattern)
    if not files:
        raise InvalidInput(
            f"no file matches {pattern!r} in the inbox {inbox} or the folders of TERRALAB_SOURCE_FOLDERS"
        )
    return files


def _allowed(settings: Settings) -> list[Path]:
    return [settings.inbox_folder, *(Path(part) for part in settings.lab.source_folders.split(":") if part)]


def _written(settings: Settings, pattern: str, allowed: Sequence[Path]) -> Path:
    """Return what a pattern or place means, judged by its text alone: no answer may tell what lies elsewhere."""
    written = Path(os.path.normpath(settings.inbox_folder / pattern))
    begins = [begin for folder in allowed for begin in (folder.absolute(), folder.resolve())]
    if "\0" in pattern or ".." in Path(pattern).parts or not any(written.is_relative_to(begin) for begin in begins):
        raise _leads_outside(pattern)
    return written


def _leads_outside(pattern: str) -> InvalidInput:
    return InvalidInput(
        f"{pattern!r} leads outside the folders that flows may read; add its folder to TERRALAB_SOURCE_FOLDERS,"
        " or use the command line, which puts files into the lab's inbox"
    )


def _readable_name(path: Path) -> str:
    """Return the file's name, which becomes text in the catalog."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{os.fsencode(path.name)!r}: the file's name is no UTF-8; rename it") from error
    return path.name


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file")
    try:
        return multihash_of_file(path)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _link_or_copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            os.link(source.resolve(), aside)
        except OSError:
            shutil.copyfile(source, aside)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
