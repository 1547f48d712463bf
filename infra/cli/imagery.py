"""`terralab imagery …`: what providers have, and fetching it as scenes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from terralab.infra.cli.flow_command import run_and_print
from terralab.infra.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from terralab.datasets.imagery.request import ImageryRequest

app = typer.Typer(help="Imagery of providers: find it, fetch it as scenes.", no_args_is_help=True)

Modalities = Annotated[
    list[str], typer.Option("--modality", "-m", help="Such as S2L2A; several times for several.", show_default=False)
]
Box = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(help="West, south, east, north in degrees.", show_default=False),
]
Area = Annotated[
    Path | None,
    typer.Option(help="GeoJSON of polygons or points, or a CSV of points with lon and lat.", show_default=False),
]
Dates = Annotated[str | None, typer.Option(help="A day, or a range with '/'.", show_default=False)]
Connector = Annotated[str, typer.Option(help="Connector, or a STAC API of the settings; see `imagery providers`.")]
Cloud = Annotated[float | None, typer.Option(help="Most cloud cover, percent.", show_default=False)]
Collections = Annotated[
    list[str] | None, typer.Option("--collection", help="MODALITY=collection of the provider.", show_default="usual")
]
Bands = Annotated[list[str] | None, typer.Option(help="MODALITY=B02,B03,…", show_default="usual")]
AlignDays = Annotated[
    float | None,
    typer.Option(help="Only dates on which all modalities are within so many days.", show_default=False),
]
Buffer = Annotated[float, typer.Option(help="Metres around outlines; half the side of the box at points.")]
Limit = Annotated[int | None, typer.Option(help="Dates of each place at most, the least cloudy.", show_default="all")]
Engine = Annotated[Literal["auto", "stac", "terrakit"], typer.Option(help="Who reads; auto: as the table says.")]


@app.command()
def providers(as_json: AsJson = False) -> None:
    """List the connectors with their modalities, and which credentials are missing in this shell."""
    import os

    from terralab.catalog.settings import Settings
    from terralab.datasets.imagery.modalities import STAC, imagery_table
    from terralab.flows.imagery.providers import missing_credentials, provider_names

    table = imagery_table().connectors
    rows = []
    for name in provider_names(Settings().imagery):
        entry = table.get(name, table[STAC])
        rows.append(
            {
                "connector": name,
                "title": entry.title if name in table else "STAC API",
                "engine": entry.engine,
                "collections": {modality: named.name for modality, named in entry.collections.items()},
                "missing": missing_credentials(entry, os.environ),
            }
        )
    if as_json:
        print_json(rows)
        return
    shown = [
        (row["connector"], row["title"], row["engine"], ", ".join(row["collections"]), ", ".join(row["missing"]))
        for row in rows
    ]
    print_table(("connector", "", "engine", "modalities", "missing credentials"), shown)


@app.command()
def find(
    modalities: Modalities,
    bbox: Box = None,
    area: Area = None,
    dates: Dates = None,
    connector: Connector = "stac",
    cloud: Cloud = None,
    collections: Collections = None,
    bands: Bands = None,
    align_days: AlignDays = None,
    buffer: Buffer = 0.0,
    limit: Limit = None,
    engine: Engine = "auto",
    as_json: AsJson = False,
) -> None:
    """List the scenes that a provider has; nothing is fetched."""
    from terralab.datasets.imagery.request import ImageryRequest
    from terralab.flows.checked_request import checked_request

    values = _values(
        modalities, bbox, area, dates, connector, cloud, collections, bands, align_days, buffer, limit, engine
    )
    _show_found(checked_request(ImageryRequest, **values), as_json, scenes=True)


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="Name of the area; collections are <sensor>-<level>-<name>.", show_default=False)
    ],
    modalities: Modalities,
    bbox: Box = None,
    area: Area = None,
    dates: Dates = None,
    connector: Connector = "stac",
    cloud: Cloud = None,
    collections: Collections = None,
    bands: Bands = None,
    align_days: AlignDays = None,
    buffer: Buffer = 0.0,
    limit: Limit = None,
    engine: Engine = "auto",
    allow_partial: Annotated[bool, typer.Option(help="Go on without scenes that cannot be had.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say scenes, dates and bytes; fetch nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch imagery and catalogue it as scenes."""
    from terralab.datasets.imagery.request import IngestRequest
    from terralab.flows.checked_request import checked_request

    values = _values(
        modalities, bbox, area, dates, connector, cloud, collections, bands, align_days, buffer, limit, engine
    )
    request = checked_request(IngestRequest, name=name, allow_partial=allow_partial, **values)
    if dry_run:
        _show_found(request, as_json, scenes=False)
    else:
        run_and_print("ingest", request.model_dump(mode="json"), as_json)


def _values(
    modalities: list[str],
    bbox: tuple[float, float, float, float] | None,
    area: Path | None,
    dates: str | None,
    connector: str,
    cloud: float | None,
    collections: list[str] | None,
    bands: list[str] | None,
    align_days: float | None,
    buffer: float,
    limit: int | None,
    engine: str,
) -> dict[str, Any]:
    """Return the request's fields."""
    from terralab.catalog.errors import InvalidInput
    from terralab.datasets.imagery.area import area_of_box, area_of_file

    if (bbox is None) == (area is None):
        raise InvalidInput("give --bbox or --area, one of them")
    return {
        "modalities": modalities,
        "area": area_of_box(bbox) if bbox is not None else area_of_file(area or Path()),
        "dates": dates,
        "connector": connector,
        "cloud": cloud,
        "collections": _pairs("--collection", collections),
        "bands": {name: value.split(",") for name, value in _pairs("--bands", bands).items()},
        "align_days": align_days,
        "buffer": buffer,
        "limit": limit,
        "engine": engine,
    }


def _pairs(option: str, written: list[str] | None) -> dict[str, str]:
    from terralab.catalog.errors import InvalidInput

    found = {}
    for text in written or ():
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise InvalidInput(f"{option} {text}: write MODALITY=value, such as S2L2A=sentinel-2-l2a")
        found[name] = value
    return found


def _show_found(request: "ImageryRequest", as_json: bool, scenes: bool) -> None:
    """Print what a provider has for a request."""
    from terralab.catalog.settings import Settings
    from terralab.flows.imagery.finding import find_imagery

    selection = find_imagery(Settings(), request)
    summary = selection.summary(request.modalities)
    rows = [wanted.row() for wanted in selection.wanted]
    if as_json:
        found = {"found": summary, "aligned": selection.groups, "left_out": dict(selection.left_out)}
        print_json({**found, "scenes": rows} if scenes else found)
        return
    if scenes and rows:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    shown = [
        (row["modality"], row["scenes"], row["places"], _dates(row["dates"]), f"{row['estimated_bytes'] / 1e6:.1f} MB")
        for row in summary
    ]
    print_table(("modality", "scenes", "places", "dates", "about"), shown)
    for group in selection.groups:
        say("together: " + ", ".join(f"{name} {time}" for name, time in group["times"].items()))
    for reason, count in selection.left_out.items():
        say(f"left out: {count} {reason}")


def _dates(dates: list[str]) -> str:
    return ", ".join(dates) if len(dates) <= 4 else f"{len(dates)}: {dates[0]} … {dates[-1]}"
