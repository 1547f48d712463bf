"""`terralab datasets export`: a frozen version in the form of another program."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say


class ExportFormat(StrEnum):
    """The form of the folder."""

    CROISSANT = "croissant"
    HUGGINGFACE = "huggingface"
    TACO = "taco"
    TERRATORCH = "terratorch"
    STAC_GEOPARQUET = "stac-geoparquet"


def export(
    version: Annotated[str, typer.Argument(help="NAME@v1.0.0, or NAME for the latest version.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="New folder.", show_default=False)],
    format: Annotated[ExportFormat, typer.Option(help="Form of the folder.", show_default=False)],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy files instead of linking the store's, which are read-only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export a frozen version for other programs: its files, each compared with its checksum, and a description."""
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.exports.export import export_version
    from terralab.infra.cli.progress import progress_bar

    with progress_bar(f"exporting to {target}") as bar:
        done = export_version(Workspace(), version, target.absolute(), format.value, copy, bar)
    if as_json:
        print_json(asdict(done))
        return
    rows = [(name, getattr(done, name)) for name in ("version", "format", "folder", "chips", "files", "bytes")]
    print_table(("", ""), rows)
    for note in done.notes:
        say(f"note: {note}")
