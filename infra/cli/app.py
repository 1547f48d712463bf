"""The tree of commands."""

from collections.abc import Callable

import typer

from terralab.infra.cli import (
    backup,
    catalog,
    choices,
    datasets,
    demo,
    features,
    imagery,
    keys,
    lab,
    labels,
    lineage,
    models,
    predict,
    store,
)

app = typer.Typer(
    name="terralab",
    help="A catalog and data lab for Earth-observation machine learning: datasets, models and maps as STAC items.",
    no_args_is_help=True,
    add_completion=False,
    # Typer's own tracebacks would show the values of local variables, passwords among them.
    pretty_exceptions_enable=False,
)

_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "The lab": (lab.up, lab.down, lab.status, lab.logs, lab.doctor, lab.version, backup.backup, backup.restore),
    "Work": (demo.demo, predict.predict, lineage.lineage, choices.templates, choices.backbones),
}
for panel, commands in _COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(catalog.app, name="catalog", rich_help_panel="Work")
app.add_typer(datasets.app, name="datasets", rich_help_panel="Work")
app.add_typer(imagery.app, name="imagery", rich_help_panel="Work")
app.add_typer(labels.app, name="labels", rich_help_panel="Work")
app.add_typer(features.app, name="features", rich_help_panel="Work")
app.add_typer(models.app, name="models", rich_help_panel="Work")
app.add_typer(keys.app, name="keys", rich_help_panel="The lab")
app.add_typer(store.app, name="store", rich_help_panel="The lab")
