"""`terralab features …`: imagery computed from imagery, by recipes."""

from typing import Annotated, Any

import typer

from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Features: indices, composites, texture, terrain, zonal statistics.", no_args_is_help=True)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="Recipe; see `terralab features list`.", show_default=False)],
    items: Annotated[list[str], typer.Argument(help="Items, each as collection/item.", show_default=False)],
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Parameter as name=value; lists with ','.", show_default=False),
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Collection of the results.", show_default="<collection>-<recipe>")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a recipe's results and catalogue them with their formula and sources."""
    from terralab.datasets.recipes.all_recipes import checked_parameters, find_recipe

    found = find_recipe(recipe)
    told = {name: _read(found.parameters, name, text) for name, text in map(_pair, parameters or [])}
    checked_parameters(found, told)
    run_and_print("features", {"recipe": recipe, "items": items, "parameters": told, "collection": collection}, as_json)


@app.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """List the recipes and what they may be told."""
    from terralab.datasets.recipes.all_recipes import RECIPES, described_parameters

    if as_json:
        schemas = {name: recipe.parameters.model_json_schema() for name, recipe in RECIPES.items()}
        print_json([{"name": n, "title": r.title, "parameters": schemas[n]} for n, r in RECIPES.items()])
        return
    for name, recipe in RECIPES.items():
        print_table((name, "default", recipe.title), described_parameters(recipe))


def _pair(text: str) -> tuple[str, str]:
    from terralab.catalog.errors import InvalidInput

    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"--set {text!r}: give name=value")
    return name.strip(), value.strip()


def _read(parameters: type[Any], name: str, text: str) -> Any:
    """Return a value as JSON where it is some, else as text; what may be a list is divided at commas."""
    import json

    field = parameters.model_fields.get(name)
    if field is not None and "tuple" in str(field.annotation) and not text.startswith("["):
        return [part.strip() for part in text.split(",")]
    try:
        return json.loads(text)
    except ValueError:
        return text
