"""The report as one HTML file that needs nothing else: no script, no font, no file, no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from terralab.datasets.quality import thresholds
from terralab.datasets.quality.facts import Facts
from terralab.datasets.quality.finding import Finding
from terralab.datasets.quality.levels import Rule
from terralab.datasets.quality.maps import place_maps, world_map
from terralab.datasets.quality.pictures import Pictures
from terralab.datasets.quality.plots import SPLIT_COLOURS, histogram_plot, month_plot, share_plot
from terralab.extensions.lab import QualityLevel
from terralab.extensions.raster import ClassDefinition

_SHOWN = 5
_NAMED = 40
_QUEUE = 10
_MEANINGS = {
    QualityLevel.Q0: "files and a description",
    QualityLevel.Q1: "readable, checked, in its place",
    QualityLevel.Q2: "labelled, split, without a fault",
    QualityLevel.Q3: "frozen, reviewed, with a baseline",
}
_MEASURES = (
    ("nodata", "Without data", (0.0, 1.0), thresholds.EMPTY),
    ("cloud", "Cloud", (0.0, 1.0), thresholds.CLOUDY),
    ("blur", "Blur", (0.0, 1.0), None),
    ("saturated", "Saturated", (0.0, 1.0), thresholds.SATURATED),
    ("labeled", "Labelled", (0.0, 1.0), None),
    ("label_doubt", "Labels in doubt", (0.0, 1.0), None),
    ("edge_agreement", "Edges of label and image agree", (-1.0, 3.0), None),
)


@dataclass(frozen=True)
class Heading:
    """What stands above the report.

    Attributes:
        dataset: its name.
        collection: of its chips.
        version: that holds exactly these chips, None where there is none.
        computed: time for people.
        run: id of the run.
        software: name → version.
    """

    dataset: str
    collection: str
    version: str | None
    computed: str
    run: str
    software: Mapping[str, str]


def render_page(
    heading: Heading,
    level: QualityLevel,
    rules: Sequence[Rule],
    facts: Facts,
    findings: Sequence[Finding],
    report: Mapping[str, Any],
    pictures: Pictures,
    classes: Sequence[ClassDefinition],
) -> str:
    """Return the page's HTML."""
    ids = {place.id: number for number, place in enumerate(facts.chips.places)}
    page: str = _template().render(
        heading=heading,
        level=level.value,
        meaning=_MEANINGS[level],
        meanings={known.value: text for known, text in _MEANINGS.items()},
        rules=rules,
        missing=_missing(rules, level),
        findings=[_shown_finding(facts, finding, pictures) for finding in findings],
        counts=_counts(findings),
        figures=_figures(facts, report),
        world=Markup(world_map(facts.chips.places)),  # noqa: S704  # numbers and ids of the catalog's own form
        places=[(title, Markup(plot)) for title, plot in place_maps(facts.chips.places)],  # noqa: S704
        months=Markup(month_plot(report["coverage"]["time"]["months"])),  # noqa: S704
        classes=_class_rows(classes, report),
        splits=[name for name in (*SPLIT_COLOURS,) if name in report["splits"]],
        colours=SPLIT_COLOURS,
        bands=_band_plots(report),
        measures=_measure_plots(facts),
        report=report,
        queue=[
            {"id": entry["chip"], "picture": pictures.of(ids[entry["chip"]]), "why": "; ".join(entry["reasons"])}
            for entry in report["review_queue"][:_QUEUE]
        ],
    )
    return page


def _missing(rules: Sequence[Rule], level: QualityLevel) -> tuple[str, list[Rule]] | None:
    """Return the next level and its rules that are not met."""
    higher = [other for other in QualityLevel if other > level]
    if not higher:
        return None
    return higher[0].value, [rule for rule in rules if rule.level is higher[0] and not rule.met]


def _shown_finding(facts: Facts, finding: Finding, pictures: Pictures) -> dict[str, Any]:
    shown = [
        {"id": facts.chips.places[number].id, "picture": pictures.of(number), "why": _why(facts, finding, number)}
        for number in finding.chips[:_SHOWN]
    ]
    named = [facts.chips.places[number].id for number in finding.chips[:_NAMED]]
    return {
        "weight": finding.weight.value,
        "text": finding.text,
        "advice": finding.advice,
        "shown": shown,
        "named": named if len(finding.chips) > _SHOWN else [],
        "more": len(finding.chips) - len(named),
    }


def _why(facts: Facts, finding: Finding, number: int) -> str:
    """Return the figure of a chip that a finding is about."""
    qa = facts.chips.qa[number]
    name = {"much_nodata": "nodata", "much_cloud": "cloud", "much_saturated": "saturated"}.get(finding.id)
    if name:
        return f"{float(qa.get(name, 0)):.0%}"
    if finding.id == "suspected_labels":
        return f"{' → '.join(facts.labels.doubts[number])}, {float(facts.labels.issue_share[number]):.0%}"
    if finding.id == "chip_labels_shifted":
        return f"{float(qa.get('edge_shift', 0)):.1f} pixels"
    if finding.id == "bands_exchanged" and facts.exchanged:
        return " ↔ ".join(facts.exchanged[number])
    if finding.id.startswith("leak_"):
        return facts.chips.places[number].split or ""
    return ""


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    weights = [finding.weight.value for finding in findings]
    return {name: weights.count(name) for name in ("fault", "warning", "note")}


def _figures(facts: Facts, report: Mapping[str, Any]) -> list[tuple[str, str]]:
    space, time = report["coverage"]["space"], report["coverage"]["time"]
    cloud = report["measures"].get("cloud")
    years = sorted({time["first"][:4], time["last"][:4]})
    found = [
        (f"{len(facts.chips):,}", "chips"),
        (f"{space['scenes']:,}", "scenes"),
        (f"{space['clusters']:,}", "places (50 km apart)"),
        ("–".join(years), "seen"),
        (str(len(facts.chips.bands.names)), "bands"),
        (str(len(facts.chips.classes)), "classes"),
    ]
    if cloud:
        found.append((f"{np.mean([float(qa['cloud']) for qa in facts.chips.qa if 'cloud' in qa]):.1%}", "cloud"))
    labels = report["labels"]
    if labels["judged"] and labels["agreement"] is not None:
        found.append((f"{labels['agreement']:.1%}", "labels that a quick model agrees with"))
    return found


def _class_rows(classes: Sequence[ClassDefinition], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    total = sum(report["classes"].values()) or 1
    rows = []
    for entry in classes:
        count = report["classes"].get(entry.name, 0)
        per_split = {}
        for split, known in report["splits"].items():
            own = sum(known["classes"].values()) or 1
            per_split[split] = known["classes"].get(entry.name, 0) / own
        title = entry.title or entry.name
        rows.append({"title": title, "color": entry.color, "count": count, "share": count / total, "splits": per_split})
    return rows


def _band_plots(report: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    return [
        (entry["band"], Markup(histogram_plot(entry["histograms"], entry["range"], entry["band"])))  # noqa: S704
        for entry in report["bands"]
        if entry.get("histograms")
    ]


def _measure_plots(facts: Facts) -> list[tuple[str, Markup]]:
    found = []
    for name, title, limits, mark in _MEASURES:
        values = [float(qa[name]) for qa in facts.chips.qa if name in qa]
        if values:
            found.append((title, Markup(share_plot(values, limits, title, mark))))  # noqa: S704
    return found


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("terralab.datasets.quality", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"
    environment.filters["thousands"] = lambda value: f"{value:,}"
    return environment.get_template("quality.html")
