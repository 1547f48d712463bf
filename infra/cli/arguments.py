"""What several commands take: patterns of files, and lists of names."""

import glob
from pathlib import Path


def matching(option: str, pattern: str) -> list[Path]:
    """Return the local files that a pattern names, sorted.

    Raises:
        InvalidInput: none does.
    """
    from terralab.catalog.errors import InvalidInput

    found = sorted(Path(name) for name in glob.glob(str(Path(pattern).expanduser()), recursive=True))
    files = [path for path in found if path.is_file()]
    if not files:
        raise InvalidInput(f"{option}: no file matches {pattern!r}")
    return files


def split_names(text: str | None) -> list[str] | None:
    """Return the names in a list with commas, None for none."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None
