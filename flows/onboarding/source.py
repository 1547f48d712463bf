"""Onboarding a source in any form: read the table of samples, look through it, store, cut, publish, take its split."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from terralab.catalog.errors import TooFewChips
from terralab.catalog.inbox import resolve_place
from terralab.catalog.workspace import Workspace
from terralab.datasets.classes import check_classes
from terralab.datasets.cog import raster_software
from terralab.datasets.grid import chip_windows
from terralab.datasets.onboarding.cut_samples import CutSample, cut_sample
from terralab.datasets.onboarding.findings import Weight
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.inspection import inspect, with_choices
from terralab.datasets.onboarding.license import spdx_license
from terralab.datasets.onboarding.limits import Limits
from terralab.datasets.onboarding.opening import opened
from terralab.datasets.onboarding.plan import DatasetPlan
from terralab.datasets.onboarding.published import PublishedDataset
from terralab.datasets.onboarding.reading import read_table
from terralab.datasets.onboarding.samples import SampleTable
from terralab.datasets.onboarding.stored_samples import StoredSample, store_sample
from terralab.extensions.checksum import multihash_of_file, split_multihash
from terralab.extensions.chips import SPLITS
from terralab.extensions.ids import derived_id, digest
from terralab.extensions.lab import RunType
from terralab.flows.onboarding.earlier import SOURCES, earlier_run, with_chips
from terralab.flows.onboarding.request import OnboardRequest
from terralab.flows.progress import Progress, tracked
from terralab.flows.recorded_run import Outcome, recorded_run
from terralab.flows.split import SplitRequest, split_dataset

_NOT_OF_THE_RESULT = {"source", "data", "images"}


def onboard_source(workspace: Workspace, request: OnboardRequest, progress: Progress) -> Outcome:
    """Catalogue a source as scenes, labels and chips: `<name>-scenes…`, `<name>-labels` and `<name>-v1`.

    Raises:
        InvalidInput: or one of its kinds: something is wrong with the source; the message lists all problems.
        AlreadyExists: there is a dataset of that name from other files or with other parameters.
    """
    limits = Limits.of_settings(workspace.settings.onboard)
    with ExitStack() as stack:
        scratch = stack.enter_context(workspace.store.scratch())

        def open_place(place: str) -> Path:
            return stack.enter_context(opened(resolve_place(workspace.settings, place), limits, scratch))

        progress.step("scan")
        data = open_place(request.data) if request.data else None
        hints = Hints(request.modalities, request.labels, request.wanted_task(), data, limits)
        table = read_table(open_place(str(request.source)), hints, request.form)
        return _onboard_table(workspace, request, with_choices(table, request.choices(), hints.task), limits, progress)


def _onboard_table(
    workspace: Workspace, request: OnboardRequest, table: SampleTable, limits: Limits, progress: Progress
) -> Outcome:
    sha256 = {path: split_multihash(multihash_of_file(path))[1] for path in table.files()}
    parameters = request.model_dump(mode="json", exclude=_NOT_OF_THE_RESULT)
    fingerprint = table.fingerprint(sha256)
    run_id = derived_id(f"onboard-{request.name}", {SOURCES: digest(fingerprint)}, parameters)
    made_from = {**parameters, SOURCES: digest(fingerprint)}
    if done := earlier_run(workspace, request.name, made_from, run_id):
        return done
    if request.classes is not None:
        check_classes(request.classes)
    plan = inspect(table, request.choices(), limits, progress.advance).usable()
    for finding in plan.findings:
        if finding.weight is Weight.WARNING:
            progress.message(finding.text)
    with recorded_run(
        workspace, RunType.ONBOARD, run_id, footprint=plan.footprint, params=made_from, software=raster_software()
    ) as run:
        progress.step("scenes")
        pending = tracked(progress, plan.samples, len(plan.samples))
        stored = [store_sample(workspace.store, plan, sample) for sample in pending]
        progress.step("chips")
        cut = _cut(workspace, plan, request.chip_size, stored, progress)
        _check_any(cut)
        progress.step("publish")
        dataset = PublishedDataset(
            request.name,
            plan,
            request.chip_size,
            cut,
            sha256,
            run.link,
            spdx_license(request.license, plan.about.license),
            request.platform,
            {SOURCES: digest(made_from), "chip_size": request.chip_size, **plan.described()},
        )
        progress.table("bands", "Statistics of the bands", dataset.band_rows())
        progress.table("classes", "Classes", dataset.class_rows())
        details = _details(request, dataset)
        outcome = run.succeed(
            collections=dataset.collections(),
            items=dataset.items,
            produced=dataset.produced,
            metrics={name: details[name] for name in ("scenes", "chips", "left_out")},
            details=details,
        )
    return _with_split(workspace, request.name, dataset.given_split(), with_chips(outcome, request.name), progress)


def _cut(
    workspace: Workspace, plan: DatasetPlan, size: int, stored: Sequence[StoredSample], progress: Progress
) -> list[CutSample]:
    windows = sum(1 for sample in stored for _ in chip_windows(sample.grid.shape, size))
    ticks = iter(tracked(progress, range(windows), windows))
    return [cut_sample(workspace.store, plan, size, sample, lambda: next(ticks)) for sample in stored]


def _check_any(cut: Sequence[CutSample]) -> None:
    if not any(part.chips for part in cut):
        raise TooFewChips("no chip has data in every modality; look at the images' nodata values")


def _with_split(
    workspace: Workspace, name: str, given: dict[str, str], outcome: Outcome, progress: Progress
) -> Outcome:
    """Take over the split that the source gives, with the report of what it is worth."""
    if not given:
        return outcome
    progress.step("split")
    counts = [sum(split == one for split in given.values()) / len(given) for one in SPLITS]
    shares = dict(zip(("train_share", "validate_share", "test_share"), counts, strict=True))
    done = split_dataset(workspace, SplitRequest(name=name, method="given", given=given, **shares), progress)
    report = done.details.get("report", {})
    warnings = [*outcome.details.get("warnings", []), *report.get("warnings", [])]
    return replace(outcome, details={**outcome.details, "split": report.get("chips"), "warnings": warnings})


def _details(request: OnboardRequest, dataset: PublishedDataset) -> dict[str, Any]:
    plan = dataset.plan
    return {
        "dataset": request.name,
        "collection": f"{request.name}-v1",
        "form": plan.form,
        "task": plan.task.value,
        "scenes": len(dataset.cut),
        "chips": len(dataset.chips),
        "left_out": sum(part.left_out for part in dataset.cut),
        "chip_size": request.chip_size,
        "modalities": {feature.modality or feature.key: list(feature.bands) for feature in plan.features},
        "classes": [entry.name for entry in plan.classes],
        "class_counts": dataset.class_counts,
        "warnings": [entry.text for entry in plan.findings if entry.weight is Weight.WARNING],
        "notes": [entry.text for entry in plan.findings if entry.weight is Weight.NOTE],
    }
