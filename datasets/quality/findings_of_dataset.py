"""Findings about the dataset as a whole: its splits, its classes, and what it covers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from terralab.datasets.quality import thresholds
from terralab.datasets.quality.drift import DIFFERENT
from terralab.datasets.quality.facts import Facts
from terralab.datasets.quality.finding import Finding, counted, say
from terralab.datasets.quality.strata import RARE, WORSE
from terralab.extensions.chips import SPLITS

_NAMED = 5


def findings_of_dataset(facts: Facts) -> Iterator[Finding]:
    """Yield what is to be said about the whole."""
    yield from _of_leaks(facts)
    yield from _of_drift(facts)
    yield from _of_absent_classes(facts)
    yield from _of_balance(facts)
    yield from _of_coverage(facts)
    for way, rows in facts.strata.items():
        yield from _of_strata(way, rows)


def _of_leaks(facts: Facts) -> Iterator[Finding]:
    leaks = facts.leaks
    for name, what in (("exact", "equal"), ("near", "nearly equal")):
        pairs = leaks[name]
        if pairs:
            members = sorted({number for pair in pairs for number in pair})
            yield say(f"leak_{name}", f"{what} chips are in different splits: {counted(len(pairs), 'pair')}", members)
    overlapping = leaks["overlapping_pairs"]
    if overlapping:
        members = sorted({number for pair in leaks["overlapping"] for number in pair})
        yield say(
            "leak_overlap", f"chips in different splits show the same ground: {counted(overlapping, 'pair')}", members
        )
    elif leaks["split_report_leaks"]:
        yield say("leak_reported", "the split's own report says that it leaks")
    if leaks["scenes"]:
        yield say("divided_scenes", f"chips of one scene are in several splits: {counted(leaks['scenes'], 'scene')}")


def _of_drift(facts: Facts) -> Iterator[Finding]:
    for entry in facts.drift:
        auc = entry["auc"]
        if auc is not None and auc > DIFFERENT:
            one, other = entry["splits"]
            telling = ", ".join(entry["tells_apart"])
            yield say("drift", f"{one} and {other} can be told apart (AUC {auc:.2f}), best by {telling}")


def _of_absent_classes(facts: Facts) -> Iterator[Finding]:
    total = facts.chips.class_counts.sum(axis=0)
    present = [name for name, count in zip(facts.chips.classes, total, strict=True) if count]
    for split in SPLITS:
        own = facts.balance.get(split)
        absent = [name for name in present if own and not own["classes"][name]]
        if absent:
            yield say(f"class_absent_{split}", f"the split {split} has no label of {', '.join(absent)}")


def _of_balance(facts: Facts) -> Iterator[Finding]:
    names, total = facts.chips.classes, facts.chips.class_counts.sum(axis=0)
    empty = [name for name, count in zip(names, total, strict=True) if not count]
    if empty:
        yield say("unused_class", f"no label says {', '.join(empty)}")
    present = np.flatnonzero(total)
    if len(present) < 2:
        return
    rarest = present[total[present].argmin()]
    ratio = float(total.max() / total[rarest])
    if ratio > thresholds.IMBALANCED:
        yield say("imbalance", f"the commonest class has {ratio:.0f} times the labels of {names[rarest]}")


def _of_coverage(facts: Facts) -> Iterator[Finding]:
    clusters, share = facts.space.get("clusters", 0), facts.space.get("largest_cluster_share", 0.0)
    if clusters > 1 and share > thresholds.ONE_PLACE:
        yield say("clustered", f"{share:.0%} of the chips lie in one of {clusters} places")
    again = facts.duplicates.again
    if again:
        yield say(
            "repeated_views", f"chips show one place at different times, and look alike: {counted(len(again), 'pair')}"
        )


def _of_strata(way: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    rare = [str(row["name"]) for row in rows if row["share"] < RARE]
    if rare and way != "region":  # regions are many by nature
        yield say("rare_stratum", f"few chips by {way}: {', '.join(rare[:_NAMED])}")
    known = [row for row in rows if "agreement" in row]
    if len(known) < 2:
        return
    usual = sum(row["agreement"] * row["chips"] for row in known) / sum(row["chips"] for row in known)
    for row in [row for row in known if row["agreement"] < usual - WORSE][:_NAMED]:
        own = f"{row['agreement']:.0%} of the labels of {row['name']} ({way})"
        yield say("worse_stratum", f"a quick model agrees with {own}, and with {usual:.0%} of all")
