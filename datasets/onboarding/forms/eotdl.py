"""EOTDL's folders: any files, with a README.md whose front matter says what they are (its level Q0)."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from terralab.catalog.errors import InvalidInput
from terralab.datasets.onboarding.card import read_card
from terralab.datasets.onboarding.findings import warning
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.samples import SampleTable

FORM = "eotdl"
CATALOG = "catalog.parquet"
"""EOTDL's own list of the files; its geometries are empty and its times those of the upload, so it tells nothing."""


def check(root: Path, table: SampleTable, hints: Hints) -> SampleTable:
    """Return the table of the folder's files with what EOTDL asks of the README.

    Raises:
        InvalidInput: there is no README with front matter.
    """
    card = read_card(root, hints.limits)
    if card is None:
        raise InvalidInput(
            f"{root.name}: no README.md with front matter (name, authors, license, source) between --- lines"
        )
    missing = card.missing()
    found = (
        table.noting(warning("card", f"README.md: {', '.join(missing)} is missing, which EOTDL wants"))
        if missing
        else table
    )
    return found


def own_files(files: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the files that are the dataset's and not EOTDL's."""
    return [path for path in files if str(path) != CATALOG]
