"""`terralab datasets …`: from users' files to frozen versions."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from terralab.infra.cli import datasets_onboard, datasets_pack, datasets_quality, datasets_versions
from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Datasets: onboard, split, version, look.", no_args_is_help=True)
datasets_onboard.register(app)
datasets_versions.register(app)

Name = Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)]
Method = Literal["block", "random", "group", "given"]


@app.command()
def split(
    name: Name,
    method: Annotated[Method, typer.Option(help="Blocks of chips, single chips, whole scenes, or as given.")] = "block",
    train_share: Annotated[float, typer.Option(help="Share of the chips to train on.")] = 0.6,
    validate_share: Annotated[float, typer.Option(help="Share to validate with.")] = 0.2,
    test_share: Annotated[float, typer.Option(help="Share to test with.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    block_size: Annotated[
        int | None, typer.Option(help="Chips along a block's side.", show_default="chosen by the size of the dataset")
    ] = None,
    buffer: Annotated[float, typer.Option(help="Leave out train chips nearer than this to others, metres.")] = 0.0,
    given: Annotated[Path | None, typer.Option(help="JSON: chip id → split, for the method `given`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Assign the chips to train, validate and test, by blocks that keep neighbours together."""
    parameters = {
        "name": name,
        "method": method,
        "train_share": train_share,
        "validate_share": validate_share,
        "test_share": test_share,
        "seed": seed,
        "block_size": block_size,
        "buffer": buffer,
        "given": read_mapping(given) if given else None,
    }
    run_and_print("split", parameters, as_json)


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
    print_table(("collection", "title"), [(entry["id"], entry.get("title")) for entry in found])
    if versions:
        print_table(("version", "title"), [(item["id"], item["properties"].get("title")) for item in versions])


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


def read_mapping(path: Path) -> dict[str, str]:
    """Read a JSON object of chip id → split.

    Raises:
        InvalidInput: the file is missing or something else.
    """
    import json

    from terralab.catalog.errors import InvalidInput

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path}: give an object of chip id → split")
    return {str(key): str(value) for key, value in found.items()}
