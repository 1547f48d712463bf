"""The queue of chips whose labels a person should look at."""

from collections import defaultdict
from typing import Any

from terralab.datasets.quality import thresholds
from terralab.datasets.quality.facts import Facts

IN_QUEUE = 500
_SHIFT_COUNTS = 0.3


def review_queue(facts: Facts) -> list[dict[str, Any]]:
    """Return the suspects, the worst first: `chip`, `score` (0 … 1) and `reasons`."""
    chips = facts.chips
    reasons: dict[int, list[str]] = defaultdict(list)
    scores: dict[int, float] = defaultdict(float)
    for number in facts.labels.suspects:
        labelled, believed = facts.labels.doubts[number]
        share = float(facts.labels.issue_share[number])
        reasons[number].append(f"{share:.0%} of its labels are doubted: {labelled} looks like {believed}")
        scores[number] += share
    for number, qa in enumerate(chips.qa):
        unknown, shift = float(qa.get("unknown_class", 0)), float(qa.get("edge_shift", 0))
        if unknown > 0:
            reasons[number].append(f"{unknown:.1%} of its mask values are no class")
            scores[number] += 1
        if shift >= thresholds.SHIFTED:
            reasons[number].append(f"its label fits better {shift:.1f} pixels away")
            scores[number] += _SHIFT_COUNTS
    ordered = sorted(reasons, key=lambda number: (-scores[number], chips.places[number].id))
    return [
        {"chip": chips.places[number].id, "score": round(min(1.0, scores[number]), 4), "reasons": reasons[number]}
        for number in ordered[:IN_QUEUE]
    ]
