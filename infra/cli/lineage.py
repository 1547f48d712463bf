"""`terralab lineage`: where an item comes from, or what came of it."""

import sys
from typing import Annotated, Literal

import typer

from terralab.infra.cli.output import AsJson, print_json

_UNFOLDED = 300


def lineage(
    item: Annotated[str, typer.Argument(help="`collection/item`.", show_default=False)],
    direction: Annotated[
        Literal["up", "down"], typer.Option(help="Up to the sources, or down to the products.")
    ] = "up",
    depth: Annotated[int | None, typer.Option(help="At most so many links away.", show_default="all")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the chain tile → prediction → model → dataset version → chips → scenes and labels, from catalog links."""
    from rich.console import Console

    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.lineage import lineage as trace
    from terralab.catalog.lineage_tree import render_tree
    from terralab.catalog.workspace import Workspace

    collection, _, name = item.partition("/")
    if not name:
        raise InvalidInput(f"{item!r} is not of the form collection/item")
    workspace = Workspace()
    graph = trace(workspace.catalog, collection, name, direction, depth)
    if as_json:
        print_json(graph.to_dict())
    else:
        # Checksums are to be copied and searched for: outside a terminal no line is folded.
        width = None if sys.stdout.isatty() else _UNFOLDED
        Console(width=width).print(render_tree(graph, workspace.settings.web.url), soft_wrap=True)
