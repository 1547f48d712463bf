"""The report on a dataset that was looked through: what was found, and what is missing."""

from collections import Counter
from typing import Any

from terralab.datasets.onboarding.findings import Weight
from terralab.datasets.onboarding.inspection import Inspection
from terralab.datasets.onboarding.plan import DatasetPlan
from terralab.datasets.onboarding.samples import RasterLabel, VectorLabel

_KINDS = {RasterLabel: "rasters", VectorLabel: "outlines"}


def report_of(inspection: Inspection) -> dict[str, Any]:
    """Return what was found, as JSON; `ready` says whether it could be onboarded as it is."""
    table, plan = inspection.table, inspection.plan
    splits = Counter(sample.split for sample in table.samples if sample.split)
    files = table.files()
    return {
        "name": table.root.name,
        "form": table.form,
        "ready": plan is not None,
        "task": table.task.value,
        "samples": len(table.samples),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "modalities": [entry.name for entry in table.modalities],
        "labels": dict(Counter(_kind(sample.label) for sample in table.samples)),
        "splits": dict(splits),
        "about": {
            name: value for name in ("title", "license", "source") if (value := getattr(table.about, name)) is not None
        },
        **({} if plan is None else _of_plan(plan)),
        "findings": [finding.to_json() for finding in inspection.findings],
    }


def _of_plan(plan: DatasetPlan) -> dict[str, Any]:
    grids = [sample.images[0].grid for sample in plan.samples]
    sizes = Counter(f"{grid.shape[1]} x {grid.shape[0]}" for grid in grids)
    return {
        "bands": {feature.modality or feature.key: list(feature.bands) for feature in plan.features},
        "data_types": {feature.modality or feature.key: feature.data_type for feature in plan.features},
        "classes": [{"value": entry.value, "name": entry.name} for entry in plan.classes],
        "sizes": dict(sizes.most_common()),
        "crs": dict(Counter(grid.crs if grid.crs.startswith("EPSG:") else "other" for grid in grids)),
        "pixel": sorted({abs(grid.transform[0]) for grid in grids}),
        "dates": [min(s.start for s in plan.samples).isoformat(), max(s.end for s in plan.samples).isoformat()],
        "bbox": plan.footprint.bbox,
    }


def _kind(label: Any) -> str:
    if label is None:
        return "none"
    return _KINDS.get(type(label), "classes of the whole" if hasattr(label, "names") else "boxes")


def report_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the report as rows of a table, without the findings."""
    rows = [("form", report["form"]), ("samples", str(report["samples"])), ("task", report["task"])]
    rows.append(("files", f"{report['files']}, {report['bytes'] / 1e6:.1f} MB"))
    for name in report["modalities"]:
        bands = report.get("bands", {}).get(name) or report.get("bands", {}).get("image")
        rows.append((f"modality {name}", ", ".join(bands) if bands else ""))
    for name in ("labels", "splits", "sizes", "crs", "about"):
        if report.get(name):
            rows.append((name, ", ".join(f"{key}: {value}" for key, value in report[name].items())))
    if report.get("classes"):
        rows.append(("classes", ", ".join(f"{entry['value']} {entry['name']}" for entry in report["classes"])))
    if report.get("dates"):
        rows.append(("dates", " to ".join(report["dates"])))
        rows.append(("pixel", ", ".join(f"{size:g}" for size in report["pixel"])))
    rows.append(("ready", "yes" if report["ready"] else "no"))
    return rows


def finding_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the findings as rows of a table, errors first."""
    order = [weight.value for weight in Weight]
    found = sorted(report["findings"], key=lambda entry: order.index(entry["weight"]))
    return [(entry["weight"], entry["text"]) for entry in found]
