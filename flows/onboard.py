"""Onboarding: users' images and labels become a catalogued dataset of scenes, labels and chips."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field, field_validator

from terralab.catalog.errors import AlreadyExists, InvalidInput
from terralab.catalog.inbox import resolve
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.datasets.chips import ChipRecipe, cut_chips
from terralab.datasets.classes import check_classes
from terralab.datasets.cog import raster_software
from terralab.datasets.dataset_items import CutScene, DatasetItems
from terralab.datasets.dates import parse_period
from terralab.datasets.grid import chip_windows
from terralab.datasets.scan import Scan, scan
from terralab.datasets.scenes import StoredScene, store_scene
from terralab.datasets.source_files import SourceFiles, source_files
from terralab.extensions.ids import derived_id, digest
from terralab.extensions.item import Footprint
from terralab.extensions.lab import EXECUTION_REL, PARAMS_PROP, RunType
from terralab.extensions.raster import ClassDefinition
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress, tracked
from terralab.flows.recorded_run import Outcome, finished_run, recorded_run

_SOURCES = "sources"


class OnboardRequest(BaseModel):
    """What to onboard, and how."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", description="Name of the dataset: a-z, 0-9, '_' and '-'.")
    images: str = Field(description="Pattern of the images, relative to the inbox or in a source folder.")
    labels: str = Field(description="Pattern of the labels.")
    chip_size: int = Field(
        default=128, ge=16, le=4096, multiple_of=16, description="Rows and columns of a chip, pixels."
    )
    classes: list[ClassDefinition] | None = Field(default=None, description="Classes; None to take the values found.")
    datetime: str | None = Field(
        default=None, description="Acquisition of all images: a day, a time, or a range with '/'."
    )
    bands: list[str] | None = Field(default=None, description="Band names in order; None to take the files' own.")
    license: str = Field(default="other", min_length=1, description="SPDX license of the data, or `other`.")
    platform: str | None = Field(default=None, min_length=1, description="Satellite, such as `sentinel-2a`.")

    @field_validator("datetime")
    @classmethod
    def _is_period(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_period(value)
            except InvalidInput as error:
                raise ValueError(str(error)) from error
        return value


@flow(name="onboard", description="Catalogue images with labels as a dataset of scenes, labels and chips.")
def onboard(
    name: str,
    images: str,
    labels: str,
    chip_size: int = 128,
    classes: list[ClassDefinition] | None = None,
    datetime: str | None = None,
    bands: list[str] | None = None,
    license: str = "other",
    platform: str | None = None,
) -> State[Any]:
    """Onboard a dataset in the lab that the environment names.

    Args:
        name: Name of the dataset: a-z, 0-9, '_' and '-'.
        images: Pattern of the images, relative to the inbox or in a source folder.
        labels: Pattern of the labels.
        chip_size: Rows and columns of a chip, pixels; a multiple of 16.
        classes: Classes; empty to take the values found.
        datetime: Acquisition: a day, a time, or a range with '/'.
        bands: Band names in order; empty to take the files' own.
        license: SPDX license of the data, or `other`.
        platform: Satellite, such as `sentinel-2a`.
    """
    return in_lab(
        onboard_dataset,
        OnboardRequest,
        name=name,
        images=images,
        labels=labels,
        chip_size=chip_size,
        classes=classes,
        datetime=datetime,
        bands=bands,
        license=license,
        platform=platform,
    )


def onboard_dataset(workspace: Workspace, request: OnboardRequest, progress: Progress) -> Outcome:
    """Scan the files, store scenes and chips, and publish them as `<name>-scenes`, `<name>-labels` and `<name>-v1`.

    Raises:
        InvalidInput: or one of its kinds: something is wrong with the files; the message lists all problems.
        AlreadyExists: there is a dataset of that name from other files or with other parameters.
    """
    sources = source_files(resolve(workspace.settings, request.images), resolve(workspace.settings, request.labels))
    parameters = request.model_dump(mode="json", exclude={"images", "labels"})
    run_id = derived_id(f"onboard-{request.name}", {_SOURCES: sources.fingerprint()}, parameters)
    made_from = {**parameters, _SOURCES: sources.fingerprint()}
    if done := _earlier(workspace, request.name, made_from, run_id):
        return done
    progress.step("scan")
    scanned = _scan(request, sources, progress)
    with recorded_run(
        workspace,
        RunType.ONBOARD,
        run_id,
        footprint=Footprint.union(pair.image.grid.footprint(pair.start, pair.end) for pair in scanned.pairs),
        params=made_from,
        software=raster_software(),
    ) as run:
        progress.step("scenes")
        pairs = tracked(progress, scanned.pairs, len(scanned.pairs))
        scenes = [store_scene(workspace.store, scanned, pair) for pair in pairs]
        progress.step("chips")
        recipe = _recipe(request, scanned)
        cut = _cut(workspace.store, recipe, scenes, progress)
        progress.step("publish")
        dataset = DatasetItems(
            request.name,
            recipe,
            cut,
            sources,
            run.link,
            request.license,
            request.platform,
            {_SOURCES: digest(made_from), "chip_size": request.chip_size},
        )
        progress.table("bands", "Statistics of the bands", dataset.band_rows())
        progress.table("classes", "Pixels of the classes", dataset.class_rows())
        details = _details(request, dataset)
        outcome = run.succeed(
            collections=dataset.collections(),
            items=dataset.items,
            produced=[(item["collection"], item["id"]) for item in (*dataset.scene_items, *dataset.label_items)],
            metrics={name: details[name] for name in ("scenes", "chips", "left_out")},
            details=details,
        )
    return _with_chips(outcome, request.name)


def _earlier(workspace: Workspace, name: str, made_from: dict[str, Any], run_id: str) -> Outcome | None:
    """Return what an earlier run made of the same files, also one of another version of the code."""
    if done := finished_run(workspace, run_id):
        return _with_chips(done, name)
    ids = (f"{name}-v1", f"{name}-scenes", f"{name}-labels")
    existing = next(filter(None, (workspace.catalog.find_collection(id) for id in ids)), None)
    if existing is None:
        return None
    if existing.get(PARAMS_PROP, {}).get(_SOURCES) == digest(made_from):
        earlier = next(link["href"] for link in existing["links"] if link["rel"] == EXECUTION_REL)
        if done := finished_run(workspace, earlier.rsplit("/", 1)[-1]):
            return _with_chips(done, name)
    raise AlreadyExists(
        f"there is a dataset {name!r} already, from other files or with other parameters; choose another name"
    )


def _with_chips(outcome: Outcome, name: str) -> Outcome:
    """Name the chips by their collection; the run item links scenes and labels, which are few."""
    return replace(outcome, produced=[*outcome.produced, (f"{name}-v1", "")])


def _scan(request: OnboardRequest, sources: SourceFiles, progress: Progress) -> Scan:
    if request.classes is not None:
        check_classes(request.classes)
    return scan(
        sources.images,
        sources.labels,
        classes=request.classes,
        bands=request.bands,
        period=request.datetime,
        on_file=progress.advance,
    )


def _recipe(request: OnboardRequest, scanned: Scan) -> ChipRecipe:
    return ChipRecipe(
        request.chip_size,
        scanned.bands,
        scanned.data_type,
        scanned.nodata,
        scanned.chip_nodata,
        scanned.padding,
        scanned.classes,
    )


def _cut(store: Store, recipe: ChipRecipe, scenes: Sequence[StoredScene], progress: Progress) -> list[CutScene]:
    """Cut the chips of all scenes."""
    windows = [sum(1 for _ in chip_windows(scene.pair.image.grid.shape, recipe.size)) for scene in scenes]
    ticks = iter(tracked(progress, range(sum(windows)), sum(windows)))
    cut = []
    for scene in scenes:
        chips, left_out = cut_chips(
            store,
            recipe,
            scene_id=scene.pair.id,
            scene_grid=scene.pair.image.grid,
            image=store.open_path(scene.image.href),
            mask=store.open_path(scene.mask.href),
            on_chip=lambda: next(ticks),
        )
        cut.append(CutScene(scene, chips, left_out))
    return cut


def _details(request: OnboardRequest, dataset: DatasetItems) -> dict[str, Any]:
    return {
        "dataset": request.name,
        "collection": f"{request.name}-v1",
        "scenes": len(dataset.cut),
        "chips": len(dataset.chips),
        "left_out": sum(part.left_out for part in dataset.cut),
        "chip_size": request.chip_size,
        "bands": list(dataset.recipe.bands),
        "classes": [entry.name for entry in dataset.recipe.classes],
        "class_counts": dataset.class_counts,
    }
