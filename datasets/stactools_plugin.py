"""`stac terralab …` for people with static catalogs: the lab's builders and its validation in the stactools command.

    stac terralab create-item imagery scene.tif items/scene/scene.json --collection scenes --bands B02,B03,B04
    stac terralab create-collection imagery items/collection.json items/*/*.json --id scenes --title Scenes
    stac terralab validate items

stactools finds it as `stactools.terralab` (`datasets/stactools_namespace`) where the lab is installed from a wheel. It
cannot list the modules of an editable install; there, `python -m terralab.datasets.stactools_plugin` is the same.
"""

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from terralab.catalog.errors import LabError
from terralab.datasets.static_items import COLLECTION_HREF

INVALID = 3
_File = click.Path(path_type=Path, dir_okay=False)
_Existing = click.Path(path_type=Path, dir_okay=False, exists=True)
_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def register_plugin(registry: Any) -> None:
    """Add `terralab` to the commands of stactools."""
    registry.register_subcommand(create_terralab_command)


def create_terralab_command(cli: click.Group) -> click.Group:
    """Add the group `terralab` to `cli`."""
    cli.add_command(terralab)
    return terralab


@click.group("terralab", short_help="Machine-learning items: build and validate")
def terralab() -> None:
    """Build and validate STAC of Earth-observation machine learning: scenes, labels, chips, models, maps and runs."""


@terralab.group("create-item", short_help="Create an item of a kind")
def create_item() -> None:
    """Create the item of a kind in DESTINATION, a JSON file; addresses in it are relative to it."""


def _options(*names: str) -> _Decorator:
    """Add options that several commands have, by name."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            command = _SHARED[name](command)
        return _with_click_errors(command)

    return decorate


def _with_click_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            raise click.ClickException(str(error)) from error

    return run


_SHARED: dict[str, _Decorator] = {
    "collection": click.option("--collection", required=True, help="Id of the collection."),
    "collection-href": click.option(
        "--collection-href", default=COLLECTION_HREF, show_default=True, help="Its address, relative to the item."
    ),
    "id": click.option("--id", "item_id", help="Id of the item; by default made of the file's name."),
    "datetime": click.option(
        "--datetime",
        "when",
        help="Acquisition: a day, a time, or a range with '/'; by default as the file says.",
    ),
    "bands": click.option("--bands", help="Band names in order, with commas; by default those in the file."),
    "href": click.option("--href", help="Address of the file; by default its path relative to the item."),
    "classes": click.option(
        "--classes", type=_Existing, help="YAML or JSON list of {value, name, title, color}; by default values found."
    ),
}


@create_item.command("imagery")
@click.argument("image", type=_Existing)
@click.argument("destination", type=_File)
@click.option("--platform", help="Satellite, such as `sentinel-2a`.")
@_options("collection", "collection-href", "id", "datetime", "bands", "href")
def create_imagery(image: Path, destination: Path, **options: Any) -> None:
    """Create the item of a scene from a GeoTIFF."""
    from terralab.datasets.static_rasters import imagery_of_file

    _say(destination, imagery_of_file(image, destination, **options))


@create_item.command("labels")
@click.argument("raster", type=_Existing)
@click.argument("destination", type=_File)
@click.option("--scene", required=True, type=_Existing, help="Item of the scene that is labelled.")
@click.option("--description", default="Label", show_default=True, help="What the label is and how it was made.")
@_options("collection", "collection-href", "id", "classes", "href")
def create_labels(raster: Path, destination: Path, **options: Any) -> None:
    """Create the item of a label from a GeoTIFF of class values."""
    from terralab.datasets.static_rasters import labels_of_file

    _say(destination, labels_of_file(raster, destination, **options))


@create_item.command("chips")
@click.argument("image", type=_Existing)
@click.argument("mask", type=_Existing)
@click.argument("destination", type=_File)
@click.option("--scene", required=True, type=_Existing, help="Item of the scene that the image was cut from.")
@click.option("--label", required=True, type=_Existing, help="Item of the label that the mask was cut from.")
@click.option("--dataset", required=True, help="Name of the dataset.")
@click.option("--split", type=click.Choice(["train", "validate", "test"]), help="Split that the chip is in.")
@_options("collection", "collection-href", "id", "bands", "classes")
def create_chip(image: Path, mask: Path, destination: Path, **options: Any) -> None:
    """Create the item of a chip from its image and its mask, two GeoTIFFs on the same grid."""
    from terralab.datasets.static_rasters import chip_of_files

    _say(destination, chip_of_files(image, mask, destination, **options))


@create_item.command("prediction")
@click.argument("raster", type=_Existing)
@click.argument("destination", type=_File)
@click.option("--model", required=True, type=_Existing, help="Item of the model.")
@click.option("--source", "sources", required=True, multiple=True, type=_Existing, help="Item that it looked at.")
@_options("collection", "collection-href", "id", "href")
def create_prediction(raster: Path, destination: Path, **options: Any) -> None:
    """Create the item of a map that a model made, from a GeoTIFF of class values; its classes are the model's."""
    from terralab.datasets.static_rasters import prediction_of_file

    _say(destination, prediction_of_file(raster, destination, **options))


def _add_spec_command(kind: str, what: str) -> None:
    @create_item.command(kind, help=f"Create the item of {what} from a description, a YAML or JSON file.")
    @click.argument("description", type=_Existing)
    @click.argument("destination", type=_File)
    @_options("collection-href")
    def create(description: Path, destination: Path, collection_href: str) -> None:
        from terralab.datasets.static_specs import build_from_spec

        _say(destination, build_from_spec(kind, description, destination, collection_href))


for _kind, _what in (("model", "a model version"), ("run", "a run"), ("dataset", "a frozen dataset version")):
    _add_spec_command(_kind, _what)


@terralab.command("create-collection", short_help="Create the collection of a kind")
@click.argument("kind", type=click.Choice(["imagery", "labels", "chips", "dataset", "model", "run", "prediction"]))
@click.argument("destination", type=_File)
@click.argument("items", nargs=-1, required=True, type=_Existing)
@click.option("--id", "collection_id", required=True, help="Id of the collection.")
@click.option("--title", help="Title; by default the id.")
@click.option("--description", help="Markdown for people; by default the title.")
@click.option("--license", "license_id", default="other", show_default=True, help="SPDX license, or `other`.")
@_with_click_errors
def create_collection(kind: str, destination: Path, items: tuple[Path, ...], **options: Any) -> None:
    """Create the collection of ITEMS of a kind in DESTINATION, with links to them: extent, bands, classes, renders."""
    from terralab.datasets.static_collections import collection_of_items

    _say(destination, collection_of_items(kind, destination, items, **options))


@terralab.command("validate", short_help="Check by the official schemas and the profile")
@click.argument("sources", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="An extension whose schema is not there is a problem too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_with_click_errors
def validate(sources: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Check files, folders of static catalogs or `-`; exit code 3 where something is not valid.

    Official schemas come from the folder that TERRALAB_SCHEMAS names.
    """
    from terralab.catalog.stac_files import read_documents
    from terralab.catalog.validation import problems_of
    from terralab.catalog.workspace import Workspace

    workspace = Workspace()
    found: list[dict[str, str]] = []
    checked = 0
    for source in sources:
        for document in read_documents(source):
            problems = problems_of(workspace, document.content, known_extensions=strict, files=True)
            found.extend({"document": document.name, **problem.to_dict()} for problem in problems)
            checked += 1
    if as_json:
        click.echo(json.dumps({"valid": not found, "checked": checked, "problems": found}, indent=2))
    else:
        for each in found:
            click.echo("{document}: {where}: {message}; {fix} ({rule})".format(**each))
        click.echo(f"{checked} documents checked, {len(found)} problems", err=True)
    if found:
        sys.exit(INVALID)


def _say(destination: Path, document: dict[str, Any]) -> None:
    click.echo(f"{document['id']} is in {destination}", err=True)


if __name__ == "__main__":
    terralab()
