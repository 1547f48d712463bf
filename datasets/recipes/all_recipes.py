"""All recipes by their names."""

from typing import Any

from pydantic import ValidationError

from terralab.catalog.errors import InvalidInput, UnknownName
from terralab.datasets.recipes import composite, indices, terrain, texture, zonal
from terralab.datasets.recipes.recipe import Parameters, Recipe

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE for module in (indices, composite, texture, terrain, zonal)
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UnknownName: there is none of that name.
    """
    if name not in RECIPES:
        raise UnknownName.of("recipe", name, list(RECIPES))
    return RECIPES[name]


def checked_parameters(recipe: Recipe, given: dict[str, Any]) -> Parameters:
    """Return what a recipe is told.

    Raises:
        InvalidInput: a parameter is unknown or wrong; the message names each.
    """
    try:
        found: Parameters = recipe.parameters.model_validate(given)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, entry['loc'])) or recipe.name}: {entry['msg']}" for entry in error.errors()]
        raise InvalidInput(f"{recipe.name}: {'; '.join(said)}") from error
    return found


def described_parameters(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of each parameter."""
    rows = []
    for name, field in recipe.parameters.model_fields.items():
        default = "" if field.is_required() else str(field.default)
        rows.append((name, default, field.description or ""))
    return rows
