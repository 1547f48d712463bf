"""The report of a quality run as JSON: what was found, in numbers, with the chips by their ids."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.datasets.quality.collected import Collected
from terralab.datasets.quality.duplicates import clusters
from terralab.datasets.quality.facts import Facts
from terralab.datasets.quality.finding import Finding
from terralab.datasets.quality.measures import BINS
from terralab.datasets.quality.review_queue import review_queue
from terralab.extensions.chips import SPLITS

REPORT_VERSION = 1
_NAMED = 200
_MEASURES = ("nodata", "cloud", "blur", "saturated", "labeled", "edge_agreement", "label_doubt")
_QUANTILES = (0, 5, 25, 50, 75, 95, 100)


def make_report(facts: Facts, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the report; long lists of chips are cut after 200."""
    chips = facts.chips
    return {
        "report_version": REPORT_VERSION,
        "chips": len(chips),
        "findings": [_finding(chips, finding) for finding in findings],
        "review_queue": review_queue(facts),
        "classes": {name: int(count) for name, count in zip(chips.classes, _totals(chips), strict=True)},
        "splits": facts.balance,
        "bands": _bands(chips),
        "measures": {name: entry for name in _MEASURES if (entry := _distribution(chips, name))},
        "drift": list(facts.drift),
        "leakage": _leakage(chips, facts.leaks),
        "duplicates": _duplicates(facts),
        "label_shifts": facts.shifts,
        "labels": _labels(facts),
        "coverage": {"space": facts.space, "time": facts.time},
        "strata": facts.strata,
        "not_judged": _not_judged(facts),
    }


def _finding(chips: Collected, finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "weight": finding.weight.value,
        "text": finding.text,
        "advice": finding.advice,
        "count": len(finding.chips),
        "chips": [chips.places[number].id for number in finding.chips[:_NAMED]],
    }


def _totals(chips: Collected) -> NDArray[np.int64]:
    totals: NDArray[np.int64] = chips.class_counts.sum(axis=0)
    return totals


def _bands(chips: Collected) -> list[dict[str, Any]]:
    """Return each band's histogram for every split, over one range, and mean and deviation of the chips' means."""
    found = []
    for place, limits in enumerate(chips.bands.ranges):
        means = chips.means[: len(chips), place]
        known = means[np.isfinite(means)]
        entry: dict[str, Any] = {"band": chips.bands.title(place), "feature": chips.bands.features[place]}
        if known.size:
            entry |= {"mean": round(float(known.mean()), 4), "deviation_of_means": round(float(known.std()), 4)}
        if limits is not None:
            entry |= {"range": [float(limits[0]), float(limits[1])], "bins": BINS}
            entry["histograms"] = {split: counts[place].tolist() for split, counts in sorted(chips.histograms.items())}
        found.append(entry)
    return found


def _distribution(chips: Collected, name: str) -> dict[str, float] | None:
    values = [float(qa[name]) for qa in chips.qa if name in qa]
    if not values:
        return None
    cuts = np.percentile(values, _QUANTILES)
    return {f"p{quantile}": round(float(cut), 5) for quantile, cut in zip(_QUANTILES, cuts, strict=True)}


def _pairs(chips: Collected, pairs: Sequence[tuple[int, int]]) -> list[list[str]]:
    return [[chips.places[one].id, chips.places[other].id] for one, other in pairs[:_NAMED]]


def _leakage(chips: Collected, leaks: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **leaks,
        **{name: _pairs(chips, leaks[name]) for name in ("exact", "near", "overlapping")},
        "exact_pairs": len(leaks["exact"]),
        "near_pairs": len(leaks["near"]),
    }


def _duplicates(facts: Facts) -> dict[str, Any]:
    chips, found = facts.chips, facts.duplicates
    return {
        "exact": [[chips.places[number].id for number in group] for group in clusters(found.exact)[:_NAMED]],
        "near": _pairs(chips, found.near),
        "same_place_other_time": _pairs(chips, found.again),
        "exact_pairs": len(found.exact),
        "near_pairs": len(found.near),
    }


def _labels(facts: Facts) -> dict[str, Any]:
    if facts.labels.reason:
        return {"judged": False, "reason": facts.labels.reason}
    agreement = facts.labels.agreement
    return {
        "judged": True,
        "agreement": round(float(np.nanmean(agreement)), 4) if np.isfinite(agreement).any() else None,
        "classes": list(facts.chips.classes),
        "confusion": facts.labels.confusion.tolist(),
        "suspects": len(facts.labels.suspects),
    }


def _not_judged(facts: Facts) -> list[str]:
    """Return what could not be told, and why, so that nobody takes silence for praise."""
    found = []
    if facts.labels.reason:
        found.append(f"label errors: {facts.labels.reason}")
    if facts.exchanged is None:
        found.append("exchanged bands: fewer than 20 chips, or fewer than 3 bands")
    if not any("cloud" in qa for qa in facts.chips.qa):
        found.append("clouds: the bands do not tell (they need B03, B04 and B11 as reflectance, or a cloud mask)")
    if facts.shifts["dataset"] is None:
        found.append("shifted labels: there are no masks, or too few edges in them")
    missing = [split for split in SPLITS if split not in facts.balance]
    if missing:
        found.append(f"the splits: there is no {' and no '.join(missing)}")
    found += [
        f"drift of {' and '.join(entry['splits'])}: {entry['reason']}" for entry in facts.drift if entry["auc"] is None
    ]
    return found
