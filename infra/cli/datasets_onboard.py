"""`terralab datasets scan` and `onboard`: from users' files in any form to a dataset."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from terralab.infra.cli.arguments import matching, split_names
from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from terralab.catalog.settings import Settings
    from terralab.datasets.onboarding.hints import Hints

Form = Literal[
    "folder", "terratorch", "eotdl", "geostudio", "stac", "stac-geoparquet", "hugging-face", "coco", "labels"
]
Task = Literal["segmentation", "regression", "classification", "multilabel", "detection"]

Forms = Annotated[Form | None, typer.Option("--form", help="Form of the source.", show_default="found")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder or archive with the files that a GEOStudio JSON describes.", show_default="beside it"),
]
Modalities = Annotated[
    list[str] | None,
    typer.Option("--modality", help="NAME=pattern of its images, such as S2L2A='S2L2A/*.tif'.", show_default="found"),
]
Labels = Annotated[
    str | None,
    typer.Option(help="Pattern of the labels (quote it), or name of their folder or suffix.", show_default="found"),
]
Tasks = Annotated[Task | None, typer.Option("--task", help="What the dataset teaches.", show_default="found")]
Classes = Annotated[
    Path | None, typer.Option(help="YAML or JSON list of {value, name, title, color}.", show_default="values found")
]
Datetime = Annotated[
    str | None, typer.Option(help="Acquisition: a day, a time, or a range with '/'.", show_default="from the files")
]
Bands = Annotated[
    list[str] | None,
    typer.Option(help="Band names in order, with commas; NAME=… for a modality.", show_default="from the files"),
]
Background = Annotated[
    str | None, typer.Option(help="Class of pixels outside all outlines (value 0).", show_default="no label")
]
ClassField = Annotated[str | None, typer.Option(help="Field of outlines with the class.", show_default="found")]
Overlaps = Annotated[
    Literal["refuse", "first", "last"],
    typer.Option(help="Which of two overlapping outlines of different classes wins."),
]
AllTouched = Annotated[bool, typer.Option("--all-touched", help="Outlines take every pixel that they touch.")]
Repair = Annotated[bool, typer.Option("--repair", help="Make self-crossing outlines valid instead of refusing them.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(scan)
    app.command()(onboard)


def scan(
    source: Annotated[str, typer.Argument(help="Folder, archive, file, or address of a zip.", show_default=False)],
    form: Forms = None,
    data: Data = None,
    modalities: Modalities = None,
    labels: Labels = None,
    task: Tasks = None,
    classes: Classes = None,
    datetime: Datetime = None,
    bands: Bands = None,
    background: Background = None,
    class_field: ClassField = None,
    overlaps: Overlaps = "refuse",
    all_touched: AllTouched = False,
    repair: Repair = False,
    as_json: AsJson = False,
) -> None:
    """Say what a dataset is and what is missing, before anything is stored; exits with 3 where something is wrong."""
    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.settings import Settings
    from terralab.datasets.onboarding.remote_archives import is_address, scan_remote
    from terralab.infra.cli.exit_codes import EXIT_CODES

    settings = Settings()
    values = _values(labels, modalities, task, classes, datetime, bands, background, class_field, overlaps)
    values |= {"all_touched": all_touched, "repair": repair}
    if is_address(source):
        with TemporaryDirectory(prefix="scan-") as scratch:
            report = scan_remote(source, settings.onboard.hosts, _hints(settings, values, None), Path(scratch))
        _show(report, as_json, remote=True)
        return
    report = _scanned(settings, Path(source).expanduser(), data, form, values)
    _show(report, as_json)
    if not report["ready"]:
        raise typer.Exit(EXIT_CODES[InvalidInput])


def onboard(
    name: Annotated[str, typer.Argument(help="Name of the new dataset: a-z, 0-9, '_' and '-'.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Argument(help="Folder, archive, file or address; or --images and --labels instead.", show_default=False),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Pattern of the image GeoTIFFs (quote it).", show_default=False)
    ] = None,
    labels: Labels = None,
    chip_size: Annotated[int, typer.Option(help="Rows and columns of a chip, pixels; a multiple of 16.")] = 128,
    classes: Classes = None,
    datetime: Datetime = None,
    bands: Bands = None,
    license: Annotated[str, typer.Option(help="SPDX license of the data, or `other`.")] = "other",
    platform: Annotated[str | None, typer.Option(help="Satellite, such as `sentinel-2a`.")] = None,
    form: Forms = None,
    data: Data = None,
    modalities: Modalities = None,
    task: Tasks = None,
    background: Background = None,
    class_field: ClassField = None,
    overlaps: Overlaps = "refuse",
    all_touched: AllTouched = False,
    repair: Repair = False,
    as_json: AsJson = False,
) -> None:
    """Catalogue a dataset in whatever form it is, or GeoTIFF images with labels, as scenes, labels and chips."""
    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.inbox import stage
    from terralab.catalog.settings import Settings

    settings = Settings()
    parameters = _values(labels, modalities, task, classes, datetime, bands, background, class_field, overlaps)
    parameters |= {"name": name, "chip_size": chip_size, "license": license, "platform": platform}
    if source is None:
        if not images or not labels:
            raise InvalidInput("give a folder, archive or file, or both --images and --labels")
        parameters |= {
            "images": stage(settings, matching("--images", images)),
            "labels": stage(settings, matching("--labels", labels)),
        }
        run_and_print("onboard", parameters, as_json)
        return
    parameters |= {"all_touched": all_touched, "repair": repair, "form": form, "images": images}
    with _local(settings, source) as path, _found_data(settings, path, data) as found:
        parameters["source"] = _staged(settings, path)
        parameters["data"] = None if found is None else _staged(settings, found)
    run_and_print("onboard", parameters, as_json)


def _values(
    labels: str | None,
    modalities: list[str] | None,
    task: str | None,
    classes: Path | None,
    datetime: str | None,
    bands: list[str] | None,
    background: str | None,
    class_field: str | None,
    overlaps: str,
) -> dict[str, Any]:
    """Return the options that both commands have, as the flow takes them."""
    return {
        "labels": labels,
        "modalities": dict(_named("--modality", text) for text in modalities or ()),
        "task": task,
        "classes": _classes(classes) if classes else None,
        "datetime": datetime,
        "bands": _bands(bands or ()),
        "background": background,
        "class_field": class_field,
        "overlaps": overlaps,
    }


def _bands(given: Sequence[str]) -> list[str] | dict[str, list[str]] | None:
    """Return the names of bands: a list where no modality is named."""
    found = {name: split_names(names) or [] for name, names in map(_pair, given)}
    return found.get("") if set(found) <= {""} else {name or "image": names for name, names in found.items()}


def _pair(text: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    return (name.strip(), rest) if equals else ("", text)


def _named(option: str, text: str) -> tuple[str, str]:
    from terralab.catalog.errors import InvalidInput

    name, pattern = _pair(text)
    if not name or not pattern:
        raise InvalidInput(f"{option} {text!r}: give NAME=pattern, such as S2L2A='S2L2A/*.tif'")
    return name, pattern


def _classes(path: Path) -> list[dict[str, Any]]:
    from terralab.datasets.classes import read_classes

    return [definition.model_dump(mode="json") for definition in read_classes(path)]


def _hints(settings: "Settings", values: dict[str, Any], data: Path | None) -> "Hints":
    from terralab.datasets.onboarding.hints import Hints
    from terralab.datasets.onboarding.limits import Limits
    from terralab.extensions.chips import Task as TaskKind

    task = TaskKind(values["task"]) if values["task"] else None
    return Hints(values["modalities"], values["labels"], task, data, Limits.of_settings(settings.onboard))


def _scanned(
    settings: "Settings", source: Path, data: Path | None, form: str | None, values: dict[str, Any]
) -> dict[str, Any]:
    """Return the report on a local dataset."""
    from terralab.datasets.onboarding.inspection import inspect, with_choices
    from terralab.datasets.onboarding.limits import Limits
    from terralab.datasets.onboarding.opening import opened
    from terralab.datasets.onboarding.reading import read_table
    from terralab.datasets.onboarding.report import report_of
    from terralab.flows.checked_request import checked_request
    from terralab.flows.onboarding.request import OnboardRequest

    limits = Limits.of_settings(settings.onboard)
    choices = checked_request(OnboardRequest, name="scan", source=str(source), form=form, **values).choices()
    with _found_data(settings, source, data) as found, opened(source, limits) as path:
        if found is None:
            hints = _hints(settings, values, None)
            return report_of(inspect(with_choices(read_table(path, hints, form), choices, hints.task), choices, limits))
        with opened(found, limits) as folder:
            hints = _hints(settings, values, folder)
            return report_of(inspect(with_choices(read_table(path, hints, form), choices, hints.task), choices, limits))


@contextmanager
def _found_data(settings: "Settings", source: Path, given: Path | None) -> Iterator[Path | None]:
    """Yield the files that a GEOStudio JSON describes: as given, beside it, or loaded from an allowed host."""
    from terralab.catalog.errors import LabError
    from terralab.datasets.onboarding.forms import geostudio
    from terralab.datasets.onboarding.hints import Hints
    from terralab.datasets.onboarding.limits import Limits

    if given is not None or source.suffix.lower() != ".json" or not source.is_file():
        yield given
        return
    limits = Limits.of_settings(settings.onboard)
    try:
        payload = geostudio.read_payload(source, Hints(limits=limits))
    except LabError:  # no request of GEOStudio: its reader says so, or another reader takes the file
        yield None
        return
    beside, address = geostudio.data_beside(source, payload), geostudio.archive_address(payload)
    if beside is not None or not address or not settings.onboard.hosts:
        yield beside
        return
    with _local(settings, address) as path:
        yield path


@contextmanager
def _local(settings: "Settings", source: str) -> Iterator[Path]:
    """Yield the path of a source; what an address of an allowed host leads to is loaded for the while."""
    from terralab.datasets.onboarding.limits import Limits
    from terralab.datasets.onboarding.remote_archives import is_address, load

    if not is_address(source):
        yield Path(source).expanduser()
        return
    with TemporaryDirectory(prefix="onboard-") as folder:
        say(f"onboard: loading {source}")
        limits = Limits.of_settings(settings.onboard)
        yield load(source, settings.onboard.hosts, Path(folder), limits, lambda done, total: None)


def _staged(settings: "Settings", path: Path) -> str:
    """Put a folder or a file into the inbox."""
    from terralab.catalog.errors import InvalidInput
    from terralab.catalog.inbox import stage_tree
    from terralab.datasets.onboarding.file_list import list_files
    from terralab.datasets.onboarding.limits import Limits

    if not path.exists():
        raise InvalidInput(f"{path}: no such file or folder")
    root = path.resolve()
    if root.is_file():
        return stage_tree(settings, root, [])
    files = list_files(root, Limits.of_settings(settings.onboard))
    if not files:
        raise InvalidInput(f"{path}: the folder is empty")
    return stage_tree(settings, root, files)


def _show(report: dict[str, Any], as_json: bool, remote: bool = False) -> None:
    from terralab.datasets.onboarding.report import finding_rows, report_rows

    if as_json:
        print_json(report)
        return
    if remote:
        shown = {key: value for key, value in report.items() if key not in ("findings", "ready", "form")}
        print_table((report["name"], ""), list(shown.items()))
    else:
        print_table((report["name"], ""), report_rows(report))
    if report["findings"]:
        print_table(("finding", ""), finding_rows(report))
