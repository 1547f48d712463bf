"""`terralab catalog export` and `import`: the catalog, or a part of it, as files for others and for other labs."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terralab.infra.cli.exit_codes import INTERRUPTED
from terralab.infra.cli.output import AsJson, print_json, print_table, say
from terralab.infra.cli.progress import Bar, progress_bar

if TYPE_CHECKING:
    from terralab.catalog.exchange.export_manifest import ExportManifest
    from terralab.catalog.exchange.load import Tell


class Format(StrEnum):
    """How items are written."""

    GEOPARQUET = "geoparquet"
    STATIC = "static"
    NDJSON = "ndjson"


class Assets(StrEnum):
    """What of the stored files is exported."""

    NONE = "none"
    MANIFEST = "manifest"
    COPY = "copy"


def export(
    target: Annotated[Path, typer.Argument(help="New folder.")],
    collection: Annotated[
        list[str] | None, typer.Option(help="Only this collection; may be repeated.", show_default="all")
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Only the collections of this project and of those in it.", show_default="all")
    ] = None,
    format: Annotated[
        Format, typer.Option(help="Items as stac-geoparquet or as lines of JSON, or a static STAC catalog besides.")
    ] = Format.GEOPARQUET,
    assets: Annotated[
        Assets, typer.Option(help="Leave stored files out, list them with their checksums, or copy them.")
    ] = Assets.MANIFEST,
    as_json: AsJson = False,
) -> None:
    """Export the catalog, private objects included, or a part of it into a folder that `import` takes."""
    from dataclasses import asdict

    from terralab.catalog.exchange.export import ExportOptions
    from terralab.catalog.exchange.export import export as export_catalog
    from terralab.catalog.workspace import Workspace

    options = ExportOptions(tuple(collection or ()), project, format.value, assets.value)
    with _breakable("broken off; nothing was exported"), progress_bar(f"exporting to {target}") as bar:
        manifest = export_catalog(Workspace(), target.absolute(), options, _tell(bar))
    if as_json:
        print_json(asdict(manifest))
    else:
        print_table(("collection", "items"), [*manifest.items.items()])
        _say_files(manifest)


def import_(
    source: Annotated[Path, typer.Argument(help="Folder of an export.", exists=True, file_okay=False)],
    validate: Annotated[bool, typer.Option(help="Check every document by the schemas and the catalog's rules.")] = True,
    skip_invalid: Annotated[bool, typer.Option(help="Leave out what is not valid and import the rest.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import an export, with its files, owners and projects; the same command again goes on where it was broken off."""
    from terralab.catalog.exchange.importing import import_export
    from terralab.catalog.exchange.load import LoadOptions
    from terralab.catalog.workspace import Workspace

    again = "broken off; the same command goes on from here"
    with _breakable(again), progress_bar(f"importing {source}") as bar:
        report = import_export(Workspace(), source.absolute(), LoadOptions(validate, skip_invalid), _tell(bar))
    if as_json:
        print_json(report.to_dict())
    else:
        written = {"collections written": report.collections, "projects written": report.projects}
        print_table(("imported", ""), [*sorted(report.items.counts.items()), *written.items(), ("files", report.files)])
    for bad in report.items.bad:
        say(str(bad))
    if report.items.interrupted:
        say(again)
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _breakable(message: str) -> Iterator[None]:
    """Say what Ctrl-C leaves behind."""
    try:
        yield
    except KeyboardInterrupt:
        say(message)
        raise typer.Exit(INTERRUPTED) from None


def _tell(bar: Bar) -> "Tell":
    def tell(done: int, total: int | None, unit: str) -> None:
        bar.step(unit)
        bar(done, total or done)

    return tell


def _say_files(manifest: "ExportManifest") -> None:
    from terralab.catalog.pages import human_size

    if manifest.assets == "none":
        say("stored files are neither listed nor copied")
    else:
        done = "copied" if manifest.assets == "copy" else "listed"
        say(f"{manifest.asset_files} stored files {done}, {human_size(manifest.asset_bytes)}")
