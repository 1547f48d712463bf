"""Making a dataset: chips on one grid, cut from catalogued imagery by labels, in any number of dates and modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from terralab.catalog.errors import AlreadyExists, InvalidInput, TooFewChips
from terralab.catalog.inbox import resolve
from terralab.catalog.workspace import Workspace
from terralab.datasets.chipping.chip_request import ChipRequest, ModalityRequest
from terralab.datasets.chipping.documents import MadeDataset
from terralab.datasets.chipping.executors import executor_of
from terralab.datasets.chipping.jobs import Journal, cut_all
from terralab.datasets.chipping.label_items import label_items
from terralab.datasets.chipping.label_sources import Labels, fill_of, labels_of_files, labels_of_items
from terralab.datasets.chipping.making import MadeChip
from terralab.datasets.chipping.places import box_of
from terralab.datasets.chipping.plan import ChipPlan, FeatureRecipe, ItemKey, Recipe
from terralab.datasets.chipping.planning import Plans, Wanted, plan_chips
from terralab.datasets.chipping.scenes import Scene, SceneFinder
from terralab.datasets.cog import raster_software
from terralab.datasets.dates import parse_period
from terralab.extensions.ids import derived_id, digest, slug
from terralab.extensions.item import Footprint
from terralab.extensions.lab import PARAMS_PROP, RunType
from terralab.extensions.labels import labels_collection
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run

_MADE_FROM = "made_from"


@flow(name="chip", description="Cut a dataset of chips from catalogued imagery and labels.")
def chip(request: ChipRequest) -> State[Any]:
    """Make a dataset in the lab that the environment names.

    Args:
        request: Which dataset to make, and how.
    """
    return in_lab(make_dataset, ChipRequest, **request.model_dump())


def make_dataset(workspace: Workspace, request: ChipRequest, progress: Progress) -> Outcome:
    """Plan, cut and publish the chips as `<name>-v1`, with the labels as `<name>-labels` where they came in files.

    Chips that are there already are left as they are: what is missing of them is cut again, with the same bytes.

    Raises:
        InvalidInput: or one of its kinds: something is wrong with labels, imagery or parameters.
        AlreadyExists: there is a dataset of that name made of something else.
        TooFewChips: no chip could be cut.
    """
    progress.step("plan")
    labels = _labels(workspace, request)
    scenes = [_scenes(workspace, modality, request) for modality in request.imagery]
    recipe = _recipe(request, labels, [found for found, _ in scenes])
    plans = _plan(request, labels, recipe, [found for found, _ in scenes])
    made_from = _made_from(request, labels, plans, [found for found, _ in scenes])
    run_id = derived_id(f"chip-{request.name}", made_from, {})
    kept = _kept(workspace, request.name, made_from)
    missing = [plan for plan in plans.chips if plan.id not in kept]
    done = finished_run(workspace, run_id)
    if done and done.details.get("chips") == len(kept):
        return replace(done, produced=[(f"{request.name}-v1", "")])
    items = {key: item for _, found in scenes for key, item in found.items()}
    with recorded_run(
        workspace,
        RunType.CHIP,
        run_id,
        footprint=Footprint.union(_footprint(plan) for plan in plans.chips),
        params=request.model_dump(mode="json", exclude={"labels", "engine", "workers"}),
        software=raster_software(),
    ) as run:
        progress.step("chips")
        made = _cut(workspace, request, recipe, missing, run_id, progress)
        progress.step("publish")
        return _publish(workspace, request, recipe, labels, plans, made, kept, items, run, made_from, progress)


def _labels(workspace: Workspace, request: ChipRequest) -> Labels:
    recipe = request.label_recipe()
    if request.labels is None:
        query: dict[str, Any] = {"collections": [request.labels_collection]}
        if request.bbox:
            query["bbox"] = request.bbox
        return labels_of_items(workspace.store, workspace.catalog.search(**query), recipe)
    labels = labels_of_files(resolve(workspace.settings, request.labels), recipe)
    # A raster's own date may be that of its export, so one that is given counts more.
    named = [
        replace(
            source,
            time=None if request.datetime else source.time,
            item=ItemKey(f"{request.name}-labels", slug(source.name.rsplit(".", 1)[0])),
        )
        if source.raster is not None
        else source
        for source in labels.sources
    ]
    return replace(labels, sources=tuple(named))


def _scenes(
    workspace: Workspace, modality: ModalityRequest, request: ChipRequest
) -> tuple[list[Scene], Mapping[ItemKey, Mapping[str, Any]]]:
    """Return the scenes of a modality and their items."""
    workspace.catalog.collection(modality.collection)
    found = list(workspace.catalog.search(**modality.query(request)))
    if not found:
        raise InvalidInput(f"collection {modality.collection!r} has no items that fit; check filter, ids and bbox")
    files = modality.files()
    scenes = [files.scene(workspace.store, item) for item in found]
    first = scenes[0]
    for scene in scenes[1:]:
        for what, here, there in (("bands", first.bands, scene.bands), ("type", first.data_type, scene.data_type)):
            if here != there:
                raise InvalidInput(
                    f"{scene.item.collection}/{scene.item.id} differs from {first.item.id} in its {what}:"
                    f" {there} and {here}; choose bands that all have, or leave it out"
                )
    return scenes, {scene.item: item for scene, item in zip(scenes, found, strict=True)}


def _recipe(request: ChipRequest, labels: Labels, scenes: Sequence[Sequence[Scene]]) -> Recipe:
    several = len(request.imagery) > 1
    features = tuple(
        FeatureRecipe(
            slug(modality.name) if several else "image",
            modality.name if several else None,
            found[0].bands,
            found[0].data_type,
            fill_of(found[0].data_type, found[0].nodata, modality.nodata),
            1 if modality.static or modality.composite else request.dates,
            modality.resampling,
            modality.composite,
            modality.pixel_mask(),
        )
        for modality, found in zip(request.imagery, scenes, strict=True)
    )
    return Recipe(request.chip_size, features, request.target(labels.classes), request.cleaning(labels.classes))


def _plan(request: ChipRequest, labels: Labels, recipe: Recipe, scenes: Sequence[Sequence[Scene]]) -> Plans:
    finders = [
        SceneFinder(found, static=modality.static, composite=modality.composite is not None)
        for modality, found in zip(request.imagery, scenes, strict=True)
    ]
    area = box_of(*request.bbox) if request.bbox else None
    wanted = Wanted(
        request.grid_recipe(),
        request.grid == "scene",
        request.date_recipe(),
        recipe.features,
        finders,
        parse_period(request.datetime)[0] if request.datetime else None,
        within=area,
        everywhere=area if request.whole_box else None,
    )
    plans = plan_chips(labels.sources, wanted, ItemKey(f"{request.name}-labels", ""))
    if not plans.chips:
        raise TooFewChips(
            "no label lies on imagery of its time: "
            + ("; ".join(plans.warnings()) or "there are no labels in the box")
            + "; check dates, tolerance and coordinate systems"
        )
    return plans


def _made_from(request: ChipRequest, labels: Labels, plans: Plans, scenes: Sequence[Sequence[Scene]]) -> dict[str, Any]:
    """Return what the chips follow from: checksums of what is used, and every choice that changes a pixel."""
    used = {key for plan in plans.chips for key in plan.scenes}
    sources = sorted(
        [f"{scene.item.collection}/{scene.item.id}", *scene.checksums]
        for found in scenes
        for scene in found
        if scene.item in used
    )
    places = sorted([plan.id, list(plan.grid.transform), digest(_target_of(plan))] for plan in plans.chips)
    parameters = request.model_dump(mode="json", exclude={"labels", "engine", "workers", "license"})
    classes = [entry.model_dump(mode="json") for entry in labels.classes]
    return {"scenes": sources, "chips": digest(places), "classes": classes, "request": parameters}


def _target_of(plan: ChipPlan) -> list[Any]:
    import hashlib

    rasters = [hashlib.sha256(raster.path.read_bytes()).hexdigest() for raster in plan.target.rasters]
    return [rasters, sorted([shape.value, hashlib.sha256(shape.wkb).hexdigest()] for shape in plan.target.shapes)]


def _kept(workspace: Workspace, name: str, made_from: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the items of chips that are there with all their files, by id.

    Raises:
        AlreadyExists: the dataset was made of something else.
    """
    collection = workspace.catalog.find_collection(f"{name}-v1")
    if collection is None:
        return {}
    if collection.get(PARAMS_PROP, {}).get(_MADE_FROM) != digest(made_from):
        raise AlreadyExists(
            f"there is a dataset {name!r} already, from other scenes or labels or with other parameters; choose another"
            " name"
        )
    chips = list(workspace.catalog.search(collections=[f"{name}-v1"]))
    assets = [asset for each in chips for asset in each["assets"].values()]
    sizes = workspace.store.sizes({str(asset["file:checksum"]) for asset in assets})
    return {
        str(each["id"]): each
        for each in chips
        if all(sizes.get(asset["file:checksum"]) == asset["file:size"] for asset in each["assets"].values())
    }


def _footprint(plan: ChipPlan) -> Footprint:
    return plan.grid.footprint(datetime.fromisoformat(plan.start), datetime.fromisoformat(plan.end).astimezone(UTC))


def _cut(
    workspace: Workspace,
    request: ChipRequest,
    recipe: Recipe,
    plans: Sequence[ChipPlan],
    run_id: str,
    progress: Progress,
) -> dict[str, MadeChip]:
    journal = Journal(workspace.settings.work_folder / f"{run_id}.jsonl")
    made = journal.chips(workspace.store)
    wanted = {plan.id for plan in plans}
    made = {id: chip for id, chip in made.items() if id in wanted}

    def on_chips(chips: list[MadeChip]) -> None:
        journal.add(chips)
        made.update({chip.id: chip for chip in chips})
        progress.advance(len(made), len(plans))

    executor = executor_of(request.engine, request.workers)
    left = [plan for plan in plans if plan.id not in made]
    cut_all(workspace.settings, recipe, left, executor, request.jobs, on_chips)
    return made


def _publish(
    workspace: Workspace,
    request: ChipRequest,
    recipe: Recipe,
    labels: Labels,
    plans: Plans,
    made: Mapping[str, MadeChip],
    kept: Mapping[str, dict[str, Any]],
    scenes: Mapping[ItemKey, Mapping[str, Any]],
    run: RecordedRun,
    made_from: Mapping[str, Any],
    progress: Progress,
) -> Outcome:
    params = {_MADE_FROM: digest(made_from), "chip_size": request.chip_size, "grid": request.grid}
    dataset = MadeDataset(request.name, recipe, run.link, request.license, params)
    cut = [plan for plan in plans.chips if plan.id in made and made[plan.id].dropped is None]
    chips = sorted(
        [*kept.values(), *(dataset.chip(plan, made[plan.id]) for plan in cut)], key=lambda item: str(item["id"])
    )
    dropped: dict[str, int] = {}
    for chip in made.values():
        if chip.dropped is not None:
            dropped[chip.dropped] = dropped.get(chip.dropped, 0) + 1
    if not chips:
        raise TooFewChips(f"no chip is left: {', '.join(f'{count} {why}' for why, count in dropped.items())}")
    disputed = sum(chip.disputed for chip in made.values())
    warnings = [*labels.warnings, *plans.warnings()]
    warnings += [f"{disputed} pixels that several classes claim"] if disputed else []
    for warning in warnings:
        progress.message(warning)
    left = [plan for plan in plans.chips if plan.id in kept or plan in cut]
    described, collections = [], []
    if request.labels is not None:
        described = label_items(workspace.store, left, scenes, labels.classes, request.task, run.link)
        collections.append(
            {
                **labels_collection(
                    id=f"{request.name}-labels",
                    title=f"{request.name}: labels",
                    description=f"Labels of the dataset `{request.name}`.",
                    footprint=Footprint.union(Footprint.of_item(item) for item in described),
                    classes=labels.classes,
                    task=request.task,
                ),
                "license": request.license,
            }
        )
    details = {
        "dataset": request.name,
        "collection": f"{request.name}-v1",
        "chips": len(chips),
        "dropped": dropped,
        "warnings": warnings,
    }
    current = workspace.catalog.find_collection(f"{request.name}-v1")
    outcome = run.succeed(
        collections=[*collections, *([] if current and len(kept) == len(chips) else [dataset.collection(chips)])],
        items=[*described, *(item for item in chips if item["id"] not in kept)],
        produced=[],
        metrics={"chips": len(chips), "cut": len(cut), "dropped": sum(dropped.values())},
        details=details,
    )
    Journal(workspace.settings.work_folder / f"{run.record.id}.jsonl").remove()
    return replace(outcome, produced=[(f"{request.name}-v1", "")])
