"""The quality run: every chip is measured, the dataset is judged, and both are written down where others find them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import BaseModel, Field

from terralab.catalog.errors import InvalidInput
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.quality.chip_source import ChipSource
from terralab.datasets.quality.chips_collection import find_chips_collection
from terralab.datasets.quality.level_facts import Standing, level_facts, standing
from terralab.datasets.quality.levels import Rule, level_of, rules
from terralab.datasets.quality.page import Heading, render_page
from terralab.datasets.quality.pictures import Pictures
from terralab.datasets.quality.ranges import BandRanges
from terralab.datasets.quality.recorded import REPORT_REL, chips_digest, current_run, report_link
from terralab.datasets.quality.report import make_report
from terralab.datasets.quality.survey import Survey, survey
from terralab.extensions.dataset import DATASETS_COLLECTION
from terralab.extensions.ids import code_version, derived_id
from terralab.extensions.item import Footprint, asset, format_time, parse_time
from terralab.extensions.lab import QA_PROP, QUALITY_PROP, SPLIT_REPORT_PROP, Quality, QualityLevel, RunType
from terralab.extensions.raster import ClassDefinition
from terralab.flows.in_lab import in_lab
from terralab.flows.progress import Progress
from terralab.flows.recorded_run import Outcome, RecordedRun, finished_run, recorded_run

PAGE_ASSET, REPORT_ASSET = "page", "report"
_BATCH = 1000
REVIEWED = "reviewed"
_SHOWN = 20


class QualityRequest(BaseModel):
    """Which dataset to judge."""

    name: str = Field(min_length=1, description="Name of the dataset.")
    seed: int = Field(default=0, ge=0, description="Seed of all random choices.")


@flow(name="qa", description="Measure every chip of a dataset, judge the whole, and compute its quality level.")
def qa(name: str, seed: int = 0) -> State[Any]:
    """Judge a dataset in the lab that the environment names.

    Args:
        name: Name of the dataset.
        seed: Seed of all random choices.
    """
    return in_lab(judge_dataset, QualityRequest, name=name, seed=seed)


def judge_dataset(workspace: Workspace, request: QualityRequest, progress: Progress) -> Outcome:
    """Measure the chips of a dataset; write `lab:qa` on them, `lab:quality` on the collection, and a report.

    Repeating it gives the finished run, unless chips, splits, reviews or what else the level depends on have changed.

    Raises:
        UnknownName: there is no such dataset.
        InvalidInput: it has no chips.
    """
    collection = find_chips_collection(workspace, request.name)
    id = str(collection["id"])
    ranges = BandRanges()
    digest, ids = chips_digest(ranges.watching(workspace.catalog.search(collections=[id])))
    if not ids:
        raise InvalidInput(f"{request.name} has no chips; onboard it again")
    known = standing(workspace, collection)
    parameters = request.model_dump(mode="json")
    run_id = derived_id(f"quality-{request.name}", {"chips": digest, "standing": known.to_json()}, parameters)
    if current_run(collection) == run_id and (done := finished_run(workspace, run_id)):
        return replace(done, produced=[(id, "")])
    with recorded_run(
        workspace,
        RunType.QUALITY,
        run_id,
        footprint=_footprint(workspace, collection),
        params=parameters,
        software=_software(),
        seed=request.seed,
    ) as run:
        found = _survey(workspace, collection, ids, ranges, request.seed, progress)
        progress.step("report")
        judged = rules(level_facts(found, known, collection, workspace))
        level = level_of(judged)
        quality = Quality(level, datetime.now(UTC))
        page = _write_report(workspace, run, collection, known, found, judged, level)
        progress.step("publish")
        _write_on_chips(workspace, id, found, progress.advance)
        progress.table("findings", "What stood out", [_row(entry) for entry in page["findings"]])
        outcome = run.succeed(
            collections=[_described(collection, quality, report_link(run_id, digest))],
            items=[_with_quality(item, quality) for item in _versions(workspace, known)],
            produced=[],
            metrics=_metrics(found, level),
            details=_details(request.name, id, level, judged, page, run.record.assets),
        )
    return replace(outcome, produced=[(id, "")])


def _footprint(workspace: Workspace, collection: Mapping[str, Any]) -> Footprint:
    """Return the collection's own extent: the union of many outlines would say little more, and take long."""
    from shapely.geometry import box

    extent = collection["extent"]
    begin, end = extent["temporal"]["interval"][0]
    first = begin or end
    return Footprint(box(*extent["spatial"]["bbox"][0]), parse_time(first), parse_time(end or first))


def _survey(
    workspace: Workspace,
    collection: Mapping[str, Any],
    ids: Sequence[str],
    ranges: BandRanges,
    seed: int,
    progress: Progress,
) -> Survey:
    progress.step("chips")
    known = ranges.found()
    sources = (ChipSource.of_item(item, known) for item in _items(workspace, str(collection["id"]), ids))
    with workspace.store.scratch() as folder:
        return survey(
            workspace.settings,
            workspace.store,
            sources,
            len(ids),
            folder,
            split_report=collection.get(SPLIT_REPORT_PROP),
            seed=seed,
            on_chip=progress.advance,
            on_step=progress.step,
        )


def _items(workspace: Workspace, collection: str, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield items in the order of their ids, a batch at a time, so that they may be written meanwhile."""
    iterator = iter(ids)
    while batch := list(islice(iterator, _BATCH)):
        found = workspace.catalog.search(collections=[collection], ids=batch)
        yield from sorted(found, key=lambda item: str(item["id"]))


def _write_report(
    workspace: Workspace,
    run: RecordedRun,
    collection: Mapping[str, Any],
    known: Standing,
    found: Survey,
    judged: Sequence[Rule],
    level: QualityLevel,
) -> dict[str, Any]:
    """Store the report as JSON and as a page, as assets of the run; return its content."""
    name = str(collection.get("lab:dataset") or collection["id"])
    content = {
        "dataset": name,
        "collection": collection["id"],
        "version": known.frozen,
        "level": level.value,
        "rules": [rule.to_json() for rule in judged],
        **make_report(found.facts, found.findings),
    }
    classes = _classes(workspace, collection, found)
    heading = Heading(
        name,
        str(collection["id"]),
        known.frozen,
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        run.record.id,
        _software(),
    )
    pictures = Pictures(workspace.store, found.chips, classes)
    html = render_page(heading, level, judged, found.facts, found.findings, content, pictures, classes)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    store = workspace.store
    run.record.assets = {
        PAGE_ASSET: asset(store.put_bytes(html.encode(), "quality.html"), "text/html", ["overview"], "Report"),
        REPORT_ASSET: asset(store.put_bytes(text.encode(), "quality.json"), "application/json", ["metadata"], "Report"),
    }
    return content


def _classes(workspace: Workspace, collection: Mapping[str, Any], found: Survey) -> list[ClassDefinition]:
    """Return the classes with their colours, from a chip."""
    from terralab.extensions.chips import ChipRecord

    item = workspace.catalog.item(str(collection["id"]), found.chips.places[0].id)
    return list(ChipRecord.of_item(item).classes)


def _write_on_chips(
    workspace: Workspace, collection: str, found: Survey, advance: Callable[[int, int], object]
) -> None:
    """Write `lab:qa` on all chips, a batch in each transaction; what a person has reviewed stays so."""
    measured = {place.id: qa for place, qa in zip(found.chips.places, found.chips.qa, strict=True)}
    batch: list[dict[str, Any]] = []
    for done, item in enumerate(_items(workspace, collection, sorted(measured)), 1):
        before = item["properties"].get(QA_PROP) or {}
        kept = {REVIEWED: True} if before.get(REVIEWED) else {}
        item["properties"][QA_PROP] = {**measured[item["id"]], **kept}
        batch.append(item)
        if len(batch) == _BATCH:
            publish(workspace, items=batch)
            batch = []
            advance(done, len(measured))
    publish(workspace, items=batch)


def _described(collection: Mapping[str, Any], quality: Quality, link: dict[str, Any]) -> dict[str, Any]:
    links = [*(other for other in collection.get("links", []) if other.get("rel") != REPORT_REL), link]
    return {**collection, QUALITY_PROP: quality.to_stac(), "links": links}


def _versions(workspace: Workspace, known: Standing) -> list[dict[str, Any]]:
    return [workspace.catalog.item(DATASETS_COLLECTION, known.version_item)] if known.version_item else []


def _with_quality(item: dict[str, Any], quality: Quality) -> dict[str, Any]:
    return {**item, "properties": {**item["properties"], QUALITY_PROP: quality.to_stac()}}


def _row(finding: Mapping[str, Any]) -> dict[str, Any]:
    chips = ", ".join(finding["chips"][:3])
    return {"weight": finding["weight"], "finding": finding["text"], "advice": finding["advice"], "chips": chips}


def _metrics(found: Survey, level: QualityLevel) -> dict[str, float]:
    weights = [finding.weight.value for finding in found.findings]
    return {
        "chips": len(found.chips),
        "level": float(level.value[1:]),
        "faults": weights.count("fault"),
        "findings_to_look_at": weights.count("warning"),
        "suspects": len(found.facts.labels.suspects),
    }


def _details(
    name: str,
    collection: str,
    level: QualityLevel,
    judged: Sequence[Rule],
    report: Mapping[str, Any],
    assets: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "dataset": name,
        "collection": collection,
        "level": level.value,
        "rules": [rule.to_json() for rule in judged],
        "findings": [{**entry, "chips": entry["chips"][:_SHOWN]} for entry in report["findings"]],
        "to_review": len(report["review_queue"]),
        "computed": format_time(datetime.now(UTC)),
        PAGE_ASSET: assets[PAGE_ASSET]["href"],
        REPORT_ASSET: assets[REPORT_ASSET]["href"],
    }


def _software() -> dict[str, str]:
    import numpy
    import sklearn

    return {"terralab": code_version(), "numpy": numpy.__version__, "scikit-learn": sklearn.__version__}
