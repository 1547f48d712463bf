"""`terralab predict`: a model on catalogued scenes or on a file."""

from pathlib import Path
from typing import Annotated

import typer

from terralab.infra.cli.arguments import matching, split_names
from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson


def predict(
    model: Annotated[
        str, typer.Argument(help="`models/<id>`, a name (newest version) or `<name>@<alias>`.", show_default=False)
    ],
    items: Annotated[
        str | None, typer.Option(help="Scenes, each as `<collection>/<item>`, with commas.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A GeoTIFF of this machine.", show_default=False)] = None,
    bbox: Annotated[
        str | None, typer.Option(help="West,south,east,north in degrees, with commas.", show_default=False)
    ] = None,
    datetime: Annotated[
        str | None, typer.Option(help="Time of the scenes in `--bbox`, or of the file.", show_default=False)
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(help="Pixels that windows share; below 1 a share of them.", show_default="by the model"),
    ] = None,
    crop: Annotated[
        int | None, typer.Option(help="Rows and columns of a window.", show_default="the model's chip size")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Windows at once; it changes the speed only.")] = 8,
    probability: Annotated[bool, typer.Option(help="Write the probability of the predicted class too.")] = False,
    bands: Annotated[
        str | None, typer.Option(help="Names of the file's bands in order, with commas.", show_default="from the file")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a class map of scenes in the catalog, or of a file, with its provenance."""
    from terralab.catalog.inbox import stage
    from terralab.catalog.settings import Settings

    parameters = {
        "model": model,
        "items": split_names(items) or [],
        "file": stage(Settings(), matching("--file", str(file))) if file else None,
        "bbox": read_bbox(bbox) if bbox else None,
        "datetime": datetime,
        "overlap": overlap,
        "crop": crop,
        "batch_size": batch_size,
        "probability": probability,
        "bands": split_names(bands),
    }
    run_and_print("predict", parameters, as_json)


def read_bbox(text: str) -> list[float]:
    """Return west, south, east and north in degrees.

    Raises:
        InvalidInput: the text is not four numbers with commas.
    """
    from terralab.catalog.errors import InvalidInput

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput(f"--bbox: {text!r} must be four numbers with commas: west,south,east,north") from error
    if len(numbers) != 4:
        raise InvalidInput(f"--bbox: {text!r} has {len(numbers)} numbers; give west,south,east,north")
    return numbers
