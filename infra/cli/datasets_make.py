"""`terralab datasets make`: chips on one grid out of catalogued imagery and labels."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson

Tasks = Literal["segmentation", "regression", "classification", "multilabel", "detection"]


def make(
    name: Annotated[str, typer.Argument(help="Name of the new dataset: a-z, 0-9, '_' and '-'.", show_default=False)],
    imagery: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COLLECTION, once for each modality; the first is the reference.", show_default=False),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Pattern of label GeoTIFFs, or a vector file (quote it).", show_default=False),
    ] = None,
    labels_collection: Annotated[
        str | None, typer.Option(help="Collection of label items instead.", show_default=False)
    ] = None,
    task: Annotated[Tasks, typer.Option(help="What the dataset teaches.")] = "segmentation",
    grid: Annotated[str, typer.Option(help="utm, scene (its own pixels), or EPSG:<code>.")] = "utm",
    resolution: Annotated[float, typer.Option(help="Side of a pixel, in the unit of the grid.")] = 10.0,
    chip_size: Annotated[int, typer.Option(help="Rows and columns of a chip, pixels; a multiple of 16.")] = 256,
    bbox: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.", show_default="no limit")] = None,
    whole_box: Annotated[bool, typer.Option(help="Chips everywhere in the box, labelled or not.")] = False,
    datetime: Annotated[
        str | None, typer.Option(help="Date of labels that have none.", show_default="any date")
    ] = None,
    dates: Annotated[int, typer.Option(help="Dates of a chip.")] = 1,
    step_days: Annotated[float, typer.Option(help="Days from one date to the next earlier one.")] = 30.0,
    tolerance_days: Annotated[float, typer.Option(help="Days an acquisition may be from a wanted date.")] = 5.0,
    classes: Annotated[
        Path | None, typer.Option(help="YAML or JSON list of {value, name, title, color}.", show_default="labels found")
    ] = None,
    background: Annotated[
        str | None, typer.Option(help="Class of what lies outside of all polygons.", show_default="no label")
    ] = None,
    label_field: Annotated[
        str | None, typer.Option(help="Field of the vector file with the label.", show_default="label, class, …")
    ] = None,
    all_touched: Annotated[bool, typer.Option(help="Polygons take every pixel that they touch.")] = False,
    max_nodata: Annotated[float, typer.Option(help="Largest share of pixels without data.")] = 1.0,
    min_labelled: Annotated[float, typer.Option(help="Smallest share of labelled pixels.")] = 0.0,
    options: Annotated[
        Path | None,
        typer.Option(help="JSON with further members of the request, such as masks.", show_default=False),
    ] = None,
    license: Annotated[str, typer.Option(help="SPDX license of the data, or `other`.")] = "other",
    engine: Annotated[Literal["serial", "processes", "ray"], typer.Option(help="Where chips are cut.")] = "processes",
    as_json: AsJson = False,
) -> None:
    """Cut a dataset of chips from catalogued imagery and labels, each pixel where it belongs."""
    request: dict[str, Any] = {
        "name": name,
        "imagery": [_modality(entry) for entry in imagery or []],
        "labels_collection": labels_collection,
        "task": task,
        "grid": grid,
        "resolution": resolution,
        "chip_size": chip_size,
        "bbox": _numbers(bbox) if bbox else None,
        "whole_box": whole_box,
        "datetime": datetime,
        "dates": dates,
        "step_days": step_days,
        "tolerance_days": tolerance_days,
        "classes": _classes(classes) if classes else None,
        "background": background,
        "label_field": label_field,
        "all_touched": all_touched,
        "max_nodata": max_nodata,
        "min_labelled": min_labelled,
        "license": license,
        "engine": engine,
        **(_members(options) if options else {}),
    }
    if labels is not None:
        from terralab.catalog.inbox import stage
        from terralab.catalog.settings import Settings
        from terralab.infra.cli.arguments import matching

        request["labels"] = stage(Settings(), matching("--labels", labels))
    run_and_print("chip", {"request": _checked(request)}, as_json)


def _checked(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as the flow takes it; what is wrong with it is told before a run begins."""
    from terralab.datasets.chipping.chip_request import ChipRequest
    from terralab.flows.checked_request import checked_request

    return checked_request(ChipRequest, **request).model_dump(mode="json")


def _modality(entry: str) -> dict[str, str]:
    from terralab.catalog.errors import InvalidInput

    name, equals, collection = entry.partition("=")
    if not equals or not name or not collection:
        raise InvalidInput(f"--imagery {entry!r}: give NAME=COLLECTION, such as S2L2A=sentinel-2-l2a")
    return {"name": name, "collection": collection}


def _numbers(text: str) -> list[float]:
    from terralab.catalog.errors import InvalidInput

    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput(f"--bbox {text!r}: give west,south,east,north in degrees") from error


def _members(path: Path) -> dict[str, Any]:
    from terralab.catalog.errors import InvalidInput

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"--options {path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"--options {path}: give an object")
    return found


def _classes(path: Path) -> list[dict[str, Any]]:
    from terralab.datasets.classes import read_classes

    return [definition.model_dump(mode="json") for definition in read_classes(path)]
