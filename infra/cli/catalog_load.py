"""`terralab catalog load`, `refresh` and `check`: much into the catalog at once, and the read model beside it."""

import sys
from typing import Annotated

import typer

from terralab.infra.cli.output import AsJson, print_json, print_table, say
from terralab.infra.cli.progress import progress_bar

_SHOWN = 100


def load(
    place: Annotated[
        str,
        typer.Argument(
            help="ndjson (also .gz), JSON, stac-geoparquet, the folder of a static catalog, or `-` for standard input.",
            show_default=False,
        ),
    ],
    validate: Annotated[bool, typer.Option(help="Check every document by the schemas and the catalog's rules.")] = True,
    skip_invalid: Annotated[bool, typer.Option(help="Leave out what is not valid and load the rest.")] = False,
    create_collections: Annotated[bool, typer.Option(help="Make the collections that items name.")] = False,
    copy_assets: Annotated[bool, typer.Option(help="Store the files that lie beside a static catalog.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes.", show_default="by the machine", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Load items and collections; the same command again goes on where it was broken off and stores nothing twice."""
    from terralab.catalog.exchange.load import LoadOptions
    from terralab.catalog.exchange.load import load as load_documents
    from terralab.catalog.workspace import Workspace

    options = LoadOptions(validate, skip_invalid, create_collections, copy_assets, workers)
    with progress_bar(f"loading {place}") as bar:
        report = load_documents(Workspace(), place, options, lambda done, total, unit: bar(done, total or done))
    if as_json:
        print_json(report.to_dict())
    else:
        print_table(("documents", ""), sorted(report.counts.items()))
    for bad in report.bad:
        say(str(bad))
    if report.interrupted:
        say("broken off; the same command goes on from here")
        sys.exit(130)


def refresh(
    everything: Annotated[bool, typer.Option("--all", help="Render every item anew.")] = False, as_json: AsJson = False
) -> None:
    """Render what other programs changed, so that fast reads find it at once."""
    from terralab.catalog.refresh import rebuild
    from terralab.catalog.refresh import refresh as render
    from terralab.catalog.workspace import Workspace

    catalog = Workspace().catalog
    count = rebuild(catalog) if everything else render(catalog)
    if as_json:
        print_json({"rendered": count})
    else:
        say(f"{count} items rendered")


def check(as_json: AsJson = False) -> None:
    """Compare every item of pgstac with the read model; exit code 6 where they differ."""
    from dataclasses import asdict

    from terralab.catalog.errors import AssetCorrupt
    from terralab.catalog.refresh import differences
    from terralab.catalog.workspace import Workspace
    from terralab.infra.cli.exit_codes import exit_code

    found = list(differences(Workspace().catalog))
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        print_table(
            ("collection", "item", "problem"), [(one.collection, one.id, one.problem) for one in found[:_SHOWN]]
        )
    say(f"{len(found)} differences" if found else "the read model says what pgstac says")
    if found:
        say("mend them with `terralab catalog refresh --all`")
        raise typer.Exit(exit_code(AssetCorrupt()))
