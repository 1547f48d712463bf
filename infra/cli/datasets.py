"""`terralab datasets …`: from users' files to frozen versions."""

from typing import Annotated, Any

import typer

from terralab.infra.cli import (
    datasets_export,
    datasets_make,
    datasets_onboard,
    datasets_pack,
    datasets_quality,
    datasets_split,
    datasets_versions,
)
from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Datasets: onboard, split, version, look.", no_args_is_help=True)
datasets_onboard.register(app)
datasets_versions.register(app)

Name = Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)]


app.command()(datasets_make.make)
app.command()(datasets_split.split)


@app.command()
def version(
    name: Name,
    tag: Annotated[str, typer.Option(help="Version, such as v1.0.0.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Freeze the dataset as a checksummed version, kept by DVC."""
    run_and_print("version", {"name": name, "tag": tag}, as_json)


app.command()(datasets_quality.qa)
app.command()(datasets_pack.pack)
app.command()(datasets_export.export)


@app.command("list")
def list_datasets(as_json: AsJson = False) -> None:
    """List the datasets and their frozen versions."""
    from terralab.catalog.workspace import Workspace

    catalog = Workspace().catalog
    found = [entry for entry in catalog.collections() if entry.get("lab:kind") == "chips"]
    versions = list(catalog.search(collections=["datasets"]))
    if as_json:
        print_json({"datasets": found, "versions": versions})
        return
    print_table(("collection", "title", "split"), [(entry["id"], entry.get("title"), _split(entry)) for entry in found])
    if versions:
        rows = [(item["id"], item["properties"].get("title"), _split(item["properties"])) for item in versions]
        print_table(("version", "title", "split"), rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Dataset, collection, or frozen version.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show a dataset's collection, or a frozen version's item."""
    from terralab.catalog.workspace import Workspace

    catalog = Workspace().catalog
    found = (
        catalog.find_collection(name)
        or catalog.find_collection(f"{name}-v1")
        or catalog.find_item("datasets", name)
        or catalog.collection(name)
    )
    if as_json:
        print_json(found)
        return
    shown = found.get("properties") or {key: found[key] for key in found if key.startswith(("ml-aoi:", "lab:"))}
    facts: dict[str, Any] = {"title": found.get("title"), "description": found.get("description"), **shown}
    print_table((found["id"], ""), [(key, value) for key, value in facts.items() if value is not None])


def _split(fields: dict[str, Any]) -> str:
    """Return in a word what is known of a split."""
    return {None: "", True: "leaks", False: "no leak found"}[fields.get("lab:leaks")]
