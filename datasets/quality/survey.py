"""The survey of a dataset: every chip is measured, then all measures together are judged."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.catalog.settings import Settings
from terralab.catalog.store import Store
from terralab.datasets.quality.band_order import exchanged_bands
from terralab.datasets.quality.chip_source import ChipSource
from terralab.datasets.quality.collected import Bands, Collected
from terralab.datasets.quality.coverage import spatial_coverage, temporal_coverage
from terralab.datasets.quality.drift import drift_between_splits
from terralab.datasets.quality.duplicates import find_duplicates
from terralab.datasets.quality.facts import Facts
from terralab.datasets.quality.finding import Finding, Weight
from terralab.datasets.quality.findings import findings
from terralab.datasets.quality.label_errors import judge_labels
from terralab.datasets.quality.leakage import leakage, split_balance
from terralab.datasets.quality.measuring import measure_all
from terralab.datasets.quality.shifts import label_shifts
from terralab.datasets.quality.strata import strata


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        facts: measures and what was made of them.
        findings: what there is to say, faults first.
    """

    facts: Facts
    findings: list[Finding]

    @property
    def chips(self) -> Collected:
        """Return the measures of the chips."""
        return self.facts.chips

    @property
    def faults(self) -> list[str]:
        """Return the texts of the faults."""
        return [finding.text for finding in self.findings if finding.weight is Weight.FAULT]


def survey(
    settings: Settings,
    store: Store,
    sources: Iterable[ChipSource],
    total: int,
    folder: Path,
    *,
    split_report: Mapping[str, Any] | None = None,
    processes: int | None = None,
    seed: int = 0,
    on_chip: Callable[[int, int], object] = lambda done, total: None,
    on_step: Callable[[str], object] = lambda name: None,
) -> Survey:
    """Measure and judge a dataset.

    Args:
        settings: the lab's.
        store: holds the chips' files.
        sources: the chips, each read once.
        total: how many they are.
        folder: for a file that grows with the chips; empty.
        split_report: of the dataset, where it was split.
        processes: how many measure; by default one for each core.
        seed: of all random choices.
        on_chip: is told how many of how many are measured.
        on_step: is told the name of each later step.

    Raises:
        InvalidInput: there is no chip.
    """
    iterator = iter(sources)
    first = next(iterator, None)
    if first is None:
        raise InvalidInput("the dataset has no chips; onboard it again")
    chips = Collected(total, _bands(first), first.classes, first.values if first.mask else (), folder)
    for done, (source, found) in enumerate(measure_all(settings, store, chain([first], iterator), total, processes), 1):
        chips.add(source, found)
        on_chip(done, total)
    on_step("compare chips")
    duplicates = find_duplicates(chips)
    exchanged = exchanged_bands(chips)
    on_step("labels")
    labels = judge_labels(chips, seed)
    on_step("splits")
    facts = Facts(
        chips,
        duplicates,
        exchanged,
        labels,
        leakage(chips, duplicates, split_report),
        drift_between_splits(chips, seed),
        label_shifts(chips),
        split_balance(chips),
        spatial_coverage(chips),
        temporal_coverage(chips),
        strata(chips, labels),
    )
    found_all = findings(facts)
    _complete(facts, found_all)
    return Survey(facts, found_all)


def _bands(first: ChipSource) -> Bands:
    return Bands(
        tuple(name for feature in first.features for name in feature.bands),
        tuple(feature.key for feature in first.features for _ in feature.bands),
        tuple(limits for feature in first.features for limits in feature.ranges),
    )


def _complete(facts: Facts, found: list[Finding]) -> None:
    """Write onto each chip's measures what only the dataset as a whole could tell."""
    chips = facts.chips
    exact, near = _others(facts.duplicates.exact), _others(facts.duplicates.near)
    suspects = set(facts.labels.suspects)
    shown = Counter(number for finding in found if finding.weight is not Weight.NOTE for number in finding.chips)
    for number, qa in enumerate(chips.qa):
        if number in chips.problems:
            qa.clear()
            qa["usable"] = False
            qa["problems"] = shown[number]
            continue
        qa["usable"] = True
        for name, others in (("duplicate", exact), ("near_duplicate", near)):
            qa[name] = number in others
            if number in others:  # by which splits keep them together
                qa[f"{name}_of"] = chips.places[others[number]].id
        if facts.exchanged is not None:
            qa["bands_exchanged"] = number in facts.exchanged
        doubt = float(facts.labels.issue_share[number])
        if doubt == doubt:  # NaN where it was not judged
            qa["label_doubt"] = round(doubt, 5)
            qa["label_suspect"] = number in suspects
        qa["problems"] = shown[number]


def _others(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return for each chip of the pairs the first one that it is like."""
    others: dict[int, int] = {}
    for one, other in sorted(pairs):
        others.setdefault(one, other)
        others.setdefault(other, one)
    return others
