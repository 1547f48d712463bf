"""Ingestion: imagery of a provider becomes scenes of the lab."""

from collections.abc import Sequence
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from terralab.catalog.errors import LabError
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import raster_software
from terralab.datasets.imagery.found import WantedScene
from terralab.datasets.imagery.request import IngestRequest
from terralab.datasets.imagery.selection import Selection
from terralab.extensions.ids import derived_id
from terralab.extensions.item import Footprint
from terralab.extensions.lab import RunType
from terralab.flows.imagery.fetching import SceneReader
from terralab.flows.imagery.finding import find_with, nothing_found, open_source
from terralab.flows.imagery.providers import provider_of
from terralab.flows.imagery.scenes import collection_id, make_scene, scene_collections, scene_id
from terralab.flows.imagery.window_cache import WindowCache
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress, tracked
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run

_SHOWN_FAILURES = 3


@flow(name="ingest", description="Fetch imagery of a provider and catalogue it as scenes.")
def ingest(
    name: str,
    modalities: list[str],
    area: dict[str, Any],
    dates: str | None = None,
    connector: str = "stac",
    cloud: float | None = None,
    collections: dict[str, str] | None = None,
    bands: dict[str, list[str]] | None = None,
    align_days: float | None = None,
    buffer: float = 0.0,
    limit: int | None = None,
    engine: Literal["auto", "stac", "terrakit"] = "auto",
    allow_partial: bool = False,
) -> State[Any]:
    """Fetch imagery into the lab that the environment names.

    Args:
        name: Name of the area; the collections are `<sensor>-<level>-<name>`.
        modalities: Such as S2L2A, S1GRD, DEM, HLS_L30.
        area: GeoJSON geometry in longitude and latitude: polygons or points.
        dates: A day, or a range with '/'; empty for modalities without dates.
        connector: Connector, or the name of a STAC API in the settings.
        cloud: Most cloud cover, percent.
        collections: Modality → the provider's collection, where it is not the usual one.
        bands: Modality → bands, where they are not the usual ones.
        align_days: Only dates on which all modalities are within so many days.
        buffer: Metres around outlines; half the side of the box at points.
        limit: Dates of each place at most, the least cloudy.
        engine: auto, stac or terrakit.
        allow_partial: Whether to go on without scenes that cannot be had.
    """
    return in_lab(
        ingest_imagery,
        IngestRequest,
        name=name,
        modalities=modalities,
        area=area,
        dates=dates,
        connector=connector,
        cloud=cloud,
        collections=collections or {},
        bands=bands or {},
        align_days=align_days,
        buffer=buffer,
        limit=limit,
        engine=engine,
        allow_partial=allow_partial,
    )


def ingest_imagery(workspace: Workspace, request: IngestRequest, progress: Progress) -> Outcome:
    """Find imagery, fetch what the lab has not, and publish it as scenes.

    What was fetched before the run ended, however it ended, is kept and not fetched again by the next.

    Raises:
        InvalidInput: nothing is found, or the request is wrong.
        SetupProblem: credentials are missing or refused.
        TooManyRequests: the provider is too busy.
        ServiceUnavailable: it does not answer, or gives a part only.
        OutOfSpace: the disk is full.
    """
    settings = workspace.settings
    with open_source(settings, provider_of(settings.imagery, request.connector), request.engine) as source:
        progress.step("find")
        selection = find_with(source, settings.imagery, request)
        if not selection.wanted:
            raise nothing_found(request, selection)
        summary = selection.summary(request.modalities)
        progress.table("found", "Found scenes", [{**row, "dates": len(row["dates"])} for row in summary])
        parameters = request.model_dump(mode="json")
        run_id = derived_id(f"ingest-{request.name}", {"scenes": sorted(map(scene_id, selection.wanted))}, parameters)
        done = finished_run(workspace, run_id)
        if done and not done.details.get("failed"):  # what could not be had then may be there now
            return done
        with recorded_run(
            workspace,
            RunType.INGEST,
            run_id,
            footprint=_footprint(selection.wanted),
            params=parameters,
            software=raster_software(),
        ) as run:
            reader = SceneReader(source, WindowCache(settings), settings.imagery)
            progress.step("fetch")
            failures = reader.fetch(selection.wanted, progress.advance, request.allow_partial)
            return _publish(workspace, request, selection, reader, failures, run, progress)


def _publish(
    workspace: Workspace,
    request: IngestRequest,
    selection: Selection,
    reader: SceneReader,
    failures: dict[WantedScene, LabError],
    run: RecordedRun,
    progress: Progress,
) -> Outcome:
    progress.step("scenes")
    items, empty = [], 0
    had = [wanted for wanted in selection.wanted if wanted not in failures]
    for wanted in tracked(progress, had, len(had)):
        pixels = reader.read(wanted)
        item = make_scene(workspace, pixels, request.name, [run.link]) if pixels else None
        if item is None:
            empty += 1
        else:
            items.append(item)
    if not items:
        first = next(iter(failures.values()), None)
        raise first or nothing_found(request, selection)
    names = {collection_id(modality, request.name): modality for modality in request.modalities}
    progress.step("publish")
    outcome = run.succeed(
        collections=scene_collections(workspace, request.name, items, names),
        items=items,
        produced=[(item["collection"], item["id"]) for item in items],
        metrics={"scenes": len(items), "empty": empty, "failed": len(failures)},
        details=_details(selection, request.modalities, failures, empty),
    )
    WindowCache(workspace.settings).trim()
    return outcome


def _details(
    selection: Selection, modalities: Sequence[str], failures: dict[WantedScene, LabError], empty: int
) -> dict[str, Any]:
    warnings = [f"{count} scenes left out: {reason}" for reason, count in sorted(selection.left_out.items())]
    if empty:
        warnings.append(f"{empty} scenes have no pixel with data over their place")
    if failures:
        told = "; ".join(f"{wanted.scene.id}: {error}" for wanted, error in list(failures.items())[:_SHOWN_FAILURES])
        warnings.append(f"{len(failures)} scenes could not be had: {told}")
    return {
        "found": selection.summary(modalities),
        "aligned": selection.groups,
        "left_out": dict(selection.left_out),
        "failed": {wanted.scene.id: str(error) for wanted, error in failures.items()},
        "warnings": warnings,
    }


def _footprint(wanted: Sequence[WantedScene]) -> Footprint:
    return Footprint.union(Footprint(one.place.geometry, one.scene.start, one.scene.end) for one in wanted)
