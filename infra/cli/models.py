"""`terralab models …`: tune, validate, look."""

from typing import Annotated, Any, Literal

import typer

from terralab.infra.cli.arguments import split_names
from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Models: tune, validate, look.", no_args_is_help=True)

_SHOWN_METRICS = ("test_miou", "test_accuracy", "test_mf1")


@app.command()
def tune(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)],
    template: Annotated[str, typer.Option(help="Tuning template; see `terralab templates`.")] = "Segmentation",
    backbone: Annotated[
        str | None, typer.Option(help="Backbone; see `terralab backbones`.", show_default="the template's")
    ] = None,
    weights: Annotated[
        Literal["none", "pretrained"], typer.Option(help="Start from random weights, or from the published ones.")
    ] = "none",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the train split.", show_default="chosen by its size")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Chips in a training step.")] = 8,
    learning_rate: Annotated[float | None, typer.Option(help="Largest learning rate.", show_default="chosen")] = None,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.")] = 0.01,
    loss: Annotated[
        Literal["ce", "dice", "focal", "lovasz", "ce_dice"], typer.Option(help="Loss that training lowers.")
    ] = "ce_dice",
    class_weights: Annotated[bool, typer.Option(help="Weigh rare classes more in the cross entropy.")] = False,
    frozen_backbone: Annotated[bool, typer.Option(help="Train decoder and head alone.")] = False,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without progress before stopping.", show_default="never")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Dataset version, such as `1.0.0`.", show_default="the latest")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.", show_default="<dataset>-<backbone>")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train a TerraTorch model on a dataset version, and catalogue it with its metrics on the test split."""
    parameters = {
        "dataset": dataset,
        "template": template,
        "backbone": backbone,
        "weights": weights,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "loss": loss,
        "class_weights": class_weights,
        "frozen_backbone": frozen_backbone,
        "patience": patience,
        "version": version,
        "name": name,
        "seed": seed,
    }
    run_and_print("tune", parameters, as_json)


@app.command()
def validate(
    model: Annotated[str, typer.Argument(help="`models/<id>`, a name or `<name>@<alias>`.", show_default=False)],
    labels: Annotated[
        str,
        typer.Option(
            help="Labels: `<collection>/<item>` with commas, or a collection for all of it.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Measure a model's prediction against labels."""
    run_and_print("validate", {"model": model, "labels": split_names(labels) or []}, as_json)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models with their metrics on the test split."""
    from terralab.catalog.workspace import Workspace

    found = list(Workspace().catalog.search(collections=["models"]))
    if as_json:
        print_json(found)
        return
    rows = [(item["id"], item["properties"].get("mlm:architecture"), *_metrics(item)) for item in found]
    print_table(("model", "architecture", *_SHOWN_METRICS), rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Id of the model's item.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show a model's item."""
    from terralab.catalog.workspace import Workspace

    item = Workspace().catalog.item("models", name.removeprefix("models/"))
    if as_json:
        print_json(item)
        return
    rows = [(key, value) for key, value in sorted(item["properties"].items()) if not isinstance(value, list | dict)]
    rows += sorted(item["properties"].get("lab:metrics", {}).items())
    print_table((item["id"], ""), rows)


@app.command("match")
def match_models(
    item: Annotated[
        str | None, typer.Argument(help="What to look at: `<collection>/<item>`.", show_default=False)
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="In place of an item: names of bands, with commas.", show_default=False)
    ] = None,
    sensor: Annotated[str | None, typer.Option(help="Such as `sentinel-2`.", show_default="the item's")] = None,
    gsd: Annotated[float | None, typer.Option(help="Size of a pixel, metres.", show_default="the item's")] = None,
    task: Annotated[str | None, typer.Option(help="Such as `semantic-segmentation`.", show_default="any")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the models that can look at an item or at bands, best first, and why."""
    from terralab.catalog.matching import described, models_for, offer_of
    from terralab.catalog.readable import EVERYTHING
    from terralab.catalog.workspace import Workspace

    workspace = Workspace()
    names = split_names(bands) if bands else None
    offer = offer_of(workspace, EVERYTHING, item, names, gsd, sensor, None)
    found = models_for(workspace, EVERYTHING, offer, task, limit)
    if as_json:
        print_json([described(one) for one in found.fit])
        return
    rows = [(one.name, f"{one.match.score:.2f}", "; ".join(one.match.reasons)) for one in found.fit]
    rows += [(one.name, "–", "; ".join(one.match.reasons)) for one in found.unfit]
    print_table(("model", "score", "why"), rows)


def _metrics(item: dict[str, Any]) -> list[str]:
    metrics = item["properties"].get("lab:metrics", {})
    return [f"{metrics[name]:.3f}" if name in metrics else "" for name in _SHOWN_METRICS]
