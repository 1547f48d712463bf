"""Reading a dataset in whatever form it is: which form that is, and its reader."""

from pathlib import Path

from terralab.datasets.onboarding.file_list import list_files
from terralab.datasets.onboarding.forms import folder
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.samples import SampleTable


def read_table(path: Path, hints: Hints, form: str | None = None) -> SampleTable:
    """Read a folder."""
    files = list_files(path, hints.limits)
    return folder.read(path, files, hints)
