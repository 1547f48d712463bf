"""The files of a dataset's folder, listed without following a link out of it."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.datasets.onboarding.limits import Limits

_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}


def is_ignored(parts: Sequence[str]) -> bool:
    """Say whether a path is hidden, or written by a file manager and not by a person."""
    return any(part.startswith(".") or part in _IGNORED for part in parts)


def list_files(root: Path, limits: Limits) -> list[PurePosixPath]:
    """Return the files below a folder, relative to it, sorted.

    Raises:
        InvalidInput: there is no such folder, a link leads out of it, or a name is no UTF-8.
        TooLarge: there are too many files.
    """
    if not root.is_dir():
        raise InvalidInput(f"{root}: no such folder")
    inside, found = root.resolve(), []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_ignored([name]))
        for name in [*folders, *sorted(files)]:
            path = Path(folder, name)
            if path.is_symlink():
                _check_link(path, inside)
        for name in files:
            place = PurePosixPath(Path(folder, name).relative_to(root).as_posix())
            if is_ignored(place.parts):
                continue
            _check_name(place)
            found.append(place)
            if len(found) > limits.files:
                raise TooLarge(
                    f"{root.name}: more than {limits.files} files; divide it, or raise TERRALAB_ONBOARD_MAX_FILES"
                )
    return sorted(found)


def read_text(path: Path, limits: Limits) -> str:
    """Return the text of a small file.

    Raises:
        TooLarge: it is over the limit.
        InvalidInput: it is no UTF-8, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > limits.text:
            raise TooLarge(
                f"{path.name}: {size / 1e6:.0f} MB; at most {limits.text / 1e6:.0f} MB are read"
                " (TERRALAB_ONBOARD_MAX_TEXT_MB)"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name}: no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise InvalidInput(f"{path.name}: cannot be read ({error.strerror})") from error


def _check_link(path: Path, inside: Path) -> None:
    if not path.resolve().is_relative_to(inside):
        raise InvalidInput(
            f"{path.name}: a link out of the folder {inside.name}; copy the file, or give the folder that it lies in"
        )


def _check_name(place: PurePosixPath) -> None:
    try:
        str(place).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{os.fsencode(str(place))!r}: the file's name is no UTF-8; rename it") from error
