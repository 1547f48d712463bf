"""`terralab labels …`: look at suspected labels, and decide."""

from pathlib import Path
from typing import Annotated, Any

import typer

from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Labels: review what the quality run doubts.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)]
Chips = Annotated[list[str], typer.Argument(help="Ids of the chips.", show_default=False)]
Note = Annotated[str | None, typer.Option(help="Why; kept with the decision.", show_default=False)]


@app.command()
def review(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the labels that wait for a decision, the worst first."""
    from terralab.catalog.workspace import Workspace
    from terralab.datasets.quality.chips_collection import find_chips_collection
    from terralab.datasets.review.queue import open_suspects

    workspace = Workspace()
    collection = find_chips_collection(workspace, name)
    waiting = open_suspects(workspace, collection, limit)
    web = workspace.settings.web.url
    rows = [{**entry, "page": f"{web}/items/{collection['id']}/{entry['chip']}"} for entry in waiting]
    if as_json:
        print_json({"dataset": name, "collection": collection["id"], "waiting": rows})
        return
    if not rows:
        print_table(("", ""), [("nothing", "waits for a decision")])
        return
    print_table(
        ("chip", "score", "why", "page"),
        [(row["chip"], f"{row['score']:.2f}", "; ".join(row["reasons"]), row["page"]) for row in rows],
    )


@app.command()
def accept(name: Name, chips: Chips, note: Note = None, as_json: AsJson = False) -> None:
    """Say that the labels of chips are right."""
    _decide(name, "accept", chips, None, note, as_json)


@app.command()
def fix(
    name: Name,
    chip: Annotated[str, typer.Argument(help="Id of the chip.", show_default=False)],
    label: Annotated[
        Path,
        typer.Option(help="Mask as GeoTIFF on the chip's grid, or GeoJSON polygons with `class`.", show_default=False),
    ],
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Replace the label of a chip; the next version freezes it."""
    _decide(name, "fix", [chip], label, note, as_json)


@app.command()
def drop(name: Name, chips: Chips, note: Note = None, as_json: AsJson = False) -> None:
    """Take chips out of the dataset; versions that have them keep them."""
    _decide(name, "drop", chips, None, note, as_json)


def _decide(name: str, decision: str, chips: list[str], label: Path | None, note: str | None, as_json: bool) -> None:
    parameters: dict[str, Any] = {"name": name, "decision": decision, "chips": chips, "note": note}
    if label is not None:
        from terralab.catalog.inbox import stage
        from terralab.catalog.settings import Settings

        parameters["label"] = stage(Settings(), [label])
    run_and_print("review", parameters, as_json)
