"""`terralab catalog …`: check what the catalog holds, and what is to go into it."""

from typing import Annotated

import typer

from terralab.infra.cli.exit_codes import EXIT_CODES
from terralab.infra.cli.output import AsJson, print_json, print_table, say

app = typer.Typer(help="The catalog: check what it holds and what goes in.", no_args_is_help=True)


@app.callback()
def _catalog() -> None:
    # Typer drops the name of a command that stands alone in its group; with a callback it is kept.
    pass


@app.command()
def validate(
    item: Annotated[str, typer.Argument(help="`collection/item`.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Check an item by the official schemas and the lab's own; exit code 3 where it is not valid."""
    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.workspace import Workspace

    collection, _, name = item.partition("/")
    if not name:
        raise InvalidInput(f"{item!r} is not of the form collection/item")
    workspace = Workspace()
    document = workspace.catalog.item(collection, name)
    found = workspace.schemas.problems(document)
    if as_json:
        print_json({"valid": not found, "problems": [vars(problem) for problem in found]})
    elif found:
        print_table(("where", "message", "rule"), [(each.where, each.message, each.rule) for each in found])
    else:
        say(f"{item} is valid")
    if found:
        raise typer.Exit(EXIT_CODES[InvalidInput])
