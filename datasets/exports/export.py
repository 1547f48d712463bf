"""Export: a frozen version as a folder that another program reads, with its description.

A folder appears under its name when it is whole. What a form cannot say stands in the folder's `README.md`, or the
export is refused; nothing is left out without a word.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from terralab.catalog.errors import InvalidInput
from terralab.catalog.exchange.new_folder import new_folder
from terralab.catalog.workspace import Workspace
from terralab.datasets.exports.placed_files import OnFile, PlacedFiles
from terralab.datasets.exports.subject import Subject

Format = Literal["croissant", "huggingface", "taco", "terratorch", "stac-geoparquet"]


@dataclass(frozen=True)
class Exported:
    """What an export holds.

    Attributes:
        version: such as `ponds@v1.0.0`.
        format: of the folder.
        folder: where it is.
        chips: how many chips it has.
        files: how many files.
        bytes: their size.
        notes: what the form cannot say, and the like; they stand in `README.md` too.
    """

    version: str
    format: str
    folder: str
    chips: int
    files: int
    bytes: int
    notes: list[str]


Writer = Callable[[Subject, Path, PlacedFiles], list[str]]
"""Writes one form into a folder, `README.md` included, and returns what there is to say of it."""


def export_version(
    workspace: Workspace,
    reference: str,
    target: Path,
    format: Format,
    copy: bool = False,
    on_file: OnFile | None = None,
) -> Exported:
    """Export a version.

    Args:
        workspace: the lab.
        reference: `NAME@v1.0.0`, or `NAME` for the latest.
        target: folder that is not there yet, or empty.
        format: which form.
        copy: give the folder files of its own; else they may be hard links of the store's, which are read-only.
        on_file: told how many files of how many are done.

    Raises:
        UnknownName: there is no such version.
        AlreadyExists: the target is there.
        InvalidInput: the form cannot hold this dataset.
        AssetCorrupt: stored files are missing or damaged.
        SetupProblem: a program that the form needs is not installed.
        OutOfSpace: the disk is full.
    """
    return export_subject(Subject.find(workspace, reference), target, format, copy, on_file)


def export_subject(
    subject: Subject, target: Path, format: Format, copy: bool = False, on_file: OnFile | None = None
) -> Exported:
    """Export what was found, as `export_version` does."""
    if format not in get_args(Format):
        raise InvalidInput(f"unknown format {format!r}; choose one of {', '.join(get_args(Format))}")
    with new_folder(target) as folder:
        files = PlacedFiles(subject.version, folder, copy, on_file or (lambda done, total: None))
        notes = _writer(format)(subject, folder, files)
        written = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in written)
    return Exported(subject.version.name, format, str(target), len(subject.chips), len(written), size, notes)


def _writer(format: Format) -> Writer:
    """Return the writer of a form; each is imported when it is asked for."""
    if format == "croissant":
        from terralab.datasets.exports.croissant import write_croissant as writer
    elif format == "huggingface":
        from terralab.datasets.exports.huggingface import write_huggingface as writer
    elif format == "taco":
        from terralab.datasets.exports.taco import write_taco as writer
    elif format == "terratorch":
        from terralab.datasets.exports.terratorch import write_terratorch as writer
    else:
        from terralab.datasets.exports.geoparquet import write_stac_geoparquet as writer
    return writer
