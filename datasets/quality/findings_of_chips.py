"""Findings that single chips show: their files, pictures and labels."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from terralab.datasets.quality import thresholds
from terralab.datasets.quality.collected import Collected
from terralab.datasets.quality.duplicates import clusters
from terralab.datasets.quality.facts import Facts
from terralab.datasets.quality.finding import Finding, count_of, say

_NAMED = 5
_FEWEST_FOR_BLUR = 20
_CLIPPED = "clipped at a highest value"


def findings_of_chips(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with chips."""
    yield from _of_files(facts)
    yield from _of_pictures(facts)
    yield from _of_copies(facts)
    yield from _of_labels(facts)
    yield from _of_shifts(facts)


def blurred(chips: Collected) -> list[int]:
    """Return the chips that are far less sharp than the others, the least sharp first."""
    known = [int(number) for number in chips.measured if chips.sharpness[number] > 0]
    if len(known) < _FEWEST_FOR_BLUR:
        return []
    logs = np.log(chips.sharpness[known])
    middle = float(np.median(logs))
    spread = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.1)
    limit = middle - max(thresholds.BLURRED_SIGMAS * spread, -float(np.log(thresholds.BLURRED_BELOW)))
    return [number for log, number in sorted(zip(logs.tolist(), known, strict=True)) if log < limit]


def over(chips: Collected, name: str, limit: float) -> list[int]:
    """Return the chips whose measure is over a limit, the highest first."""
    found = [(float(qa[name]), number) for number, qa in enumerate(chips.qa) if float(qa.get(name, 0)) > limit]
    return [number for _, number in sorted(found, key=lambda pair: (-pair[0], pair[1]))]


def _of_files(facts: Facts) -> Iterator[Finding]:
    chips = facts.chips
    broken = sorted(chips.problems)
    if broken:
        first = f"{chips.places[broken[0]].id}: {chips.problems[broken[0]]}"
        yield say("unusable_files", f"{count_of(broken)} with files that cannot be used ({first})", broken)
    lost = [number for number, qa in enumerate(chips.qa) if qa.get("georeferenced") is False]
    if lost:
        yield say("georeference", f"{count_of(lost)} at a place that cannot be right", lost)
    if facts.exchanged:
        swapped = sorted(facts.exchanged)
        bands = " and ".join(facts.exchanged[swapped[0]])
        yield say("bands_exchanged", f"{count_of(swapped)} with exchanged bands, such as {bands}", swapped)


def _of_pictures(facts: Facts) -> Iterator[Finding]:
    for name, limit, what in (
        ("nodata", thresholds.EMPTY, f"without data in more than {thresholds.EMPTY:.0%} of the pixels"),
        ("cloud", thresholds.CLOUDY, f"with cloud over more than {thresholds.CLOUDY:.0%} of the pixels"),
        ("saturated", thresholds.SATURATED, _CLIPPED),
    ):
        found = over(facts.chips, name, limit)
        if found:
            yield say(f"much_{name}", f"{count_of(found)} {what}", found)
    dull = blurred(facts.chips)
    if dull:
        yield say("blurred", f"{count_of(dull)} far less sharp than the others", dull)


def _of_copies(facts: Facts) -> Iterator[Finding]:
    exact = [number for group in clusters(facts.duplicates.exact) for number in group]
    if exact:
        yield say("exact_duplicates", f"{count_of(exact)} equal in every pixel to another", exact)
    near = [number for group in clusters(facts.duplicates.near) for number in group]
    if near:
        yield say("near_duplicates", f"{count_of(near)} nearly equal to another", near)


def _of_labels(facts: Facts) -> Iterator[Finding]:
    chips = facts.chips
    unknown = over(chips, "unknown_class", 0.0)
    if unknown:
        yield say("unknown_class", f"{count_of(unknown)} with mask values that are no class", unknown)
    bare = [number for number, qa in enumerate(chips.qa) if qa.get("labeled") == 0]
    if bare:
        yield say("no_labels", f"{count_of(bare)} without one labelled pixel", bare)
    suspects = facts.labels.suspects
    if suspects:
        what = "whose labels are doubted by a model that has not seen them"
        yield say("suspected_labels", f"{count_of(suspects)} {what}", suspects)


def _of_shifts(facts: Facts) -> Iterator[Finding]:
    chips, whole = facts.chips, facts.shifts["dataset"]
    if whole and whole["certain"]:
        yield say("labels_shifted", f"the labels of the whole dataset are shifted by {_offset(whole)}")
    for entry in facts.shifts["scenes"][:_NAMED]:
        members = [number for number, place in enumerate(chips.places) if place.scene == entry["scene"]]
        yield say("scene_labels_shifted", f"the labels of {entry['scene']} are shifted by {_offset(entry)}", members)
    moved = over(chips, "edge_shift", thresholds.SHIFTED - 1e-6)
    if moved:
        yield say("chip_labels_shifted", f"{count_of(moved)} whose label fits better when it is moved", moved)


def _offset(entry: Mapping[str, Any]) -> str:
    """Say by how much a label is shifted: the opposite of the offset that would put it right."""
    parts = [(-entry["rows"], "down", "up"), (-entry["columns"], "to the right", "to the left")]
    said = [f"{abs(number)} pixels {plus if number > 0 else minus}" for number, plus, minus in parts if number]
    return " and ".join(said)
