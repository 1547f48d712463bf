"""Onboarding: users' images and labels become a catalogued dataset of scenes, labels and chips."""

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from terralab.catalog.inbox import resolve
from terralab.catalog.store import Store
from terralab.catalog.workspace import Workspace
from terralab.datasets.chips import ChipRecipe, cut_chips
from terralab.datasets.classes import check_classes
from terralab.datasets.cog import raster_software
from terralab.datasets.dataset_items import CutScene, DatasetItems
from terralab.datasets.grid import chip_windows
from terralab.datasets.scan import Scan, scan
from terralab.datasets.scenes import StoredScene, store_scene
from terralab.datasets.source_files import SourceFiles, source_files
from terralab.extensions.ids import derived_id, digest
from terralab.extensions.item import Footprint
from terralab.extensions.lab import RunType
from terralab.extensions.raster import ClassDefinition
from terralab.flows.in_lab import in_lab
from terralab.flows.onboarding.earlier import SOURCES, earlier_run, with_chips
from terralab.flows.onboarding.request import FormName, OnboardRequest, Overlaps, TaskName
from terralab.flows.onboarding.source import onboard_source
from terralab.flows.progress import Progress, tracked
from terralab.flows.recorded_run import Outcome, recorded_run

_OF_PATTERNS = {"name", "chip_size", "classes", "datetime", "bands", "license", "platform"}


@flow(name="onboard", description="Catalogue images with labels as a dataset of scenes, labels and chips.")
def onboard(
    name: str,
    images: str | None = None,
    labels: str | None = None,
    chip_size: int = 128,
    classes: list[ClassDefinition] | None = None,
    datetime: str | None = None,
    bands: list[str] | dict[str, list[str]] | None = None,
    license: str = "other",
    platform: str | None = None,
    source: str | None = None,
    form: FormName | None = None,
    data: str | None = None,
    modalities: dict[str, str] | None = None,
    task: TaskName | None = None,
    background: str | None = None,
    class_field: str | None = None,
    overlaps: Overlaps = "refuse",
    all_touched: bool = False,
    repair: bool = False,
) -> State[Any]:
    """Onboard a dataset in the lab that the environment names.

    Args:
        name: Name of the dataset: a-z, 0-9, '_' and '-'.
        images: Pattern of the images, relative to the inbox or in a source folder.
        labels: Pattern of the labels; with a source, relative to it, or the name of their folder or suffix.
        chip_size: Rows and columns of a chip, pixels; a multiple of 16.
        classes: Classes; empty to take the values found.
        datetime: Acquisition: a day, a time, or a range with '/'.
        bands: Band names in order, or those of each modality; empty to take the files' own.
        license: SPDX license of the data, or `other`.
        platform: Satellite, such as `sentinel-2a`.
        source: Folder, archive or file instead of patterns, relative to the inbox or in a source folder.
        form: Form of the source; empty to find it.
        data: Folder or archive with the files that the source describes.
        modalities: Modality → pattern of its images, relative to the source; empty to find them.
        task: What the dataset teaches; empty to find it.
        background: Class of pixels outside all outlines; empty for no label.
        class_field: Field of outlines with the class; empty to find it.
        overlaps: Which of two overlapping outlines wins: refuse, first or last.
        all_touched: Whether an outline takes every pixel that it touches.
        repair: Whether self-crossing outlines are made valid.
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
        source=source,
        form=form,
        data=data,
        modalities=modalities or {},
        task=task,
        background=background,
        class_field=class_field,
        overlaps=overlaps,
        all_touched=all_touched,
        repair=repair,
    )


def onboard_dataset(workspace: Workspace, request: OnboardRequest, progress: Progress) -> Outcome:
    """Scan the files, store scenes and chips, and publish them as `<name>-scenes`, `<name>-labels` and `<name>-v1`.

    Raises:
        InvalidInput: or one of its kinds: something is wrong with the files; the message lists all problems.
        AlreadyExists: there is a dataset of that name from other files or with other parameters.
    """
    if request.source is not None:
        return onboard_source(workspace, request, progress)
    sources = source_files(
        resolve(workspace.settings, str(request.images)), resolve(workspace.settings, str(request.labels))
    )
    parameters = request.model_dump(mode="json", include=_OF_PATTERNS)
    run_id = derived_id(f"onboard-{request.name}", {SOURCES: sources.fingerprint()}, parameters)
    made_from = {**parameters, SOURCES: sources.fingerprint()}
    if done := earlier_run(workspace, request.name, made_from, run_id):
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
            {SOURCES: digest(made_from), "chip_size": request.chip_size},
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
    return with_chips(outcome, request.name)


def _scan(request: OnboardRequest, sources: SourceFiles, progress: Progress) -> Scan:
    if request.classes is not None:
        check_classes(request.classes)
    return scan(
        sources.images,
        sources.labels,
        classes=request.classes,
        bands=request.bands if isinstance(request.bands, list) else None,
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
