"""The rules of the quality levels Q0 to Q3. A level is computed from them, never declared.

A dataset has a level where it meets all rules of this and of the lower levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terralab.extensions.lab import QualityLevel

SUSPECTS_REVIEWED = 100
"""Suspects that a person must have decided on: the worst, at most so many."""
LEAST_REVIEWED = 10
"""Chips that a person must have looked at, or all where there are fewer."""


@dataclass(frozen=True)
class LevelFacts:
    """What the rules ask.

    Attributes:
        chips: how many there are.
        described: whether the collection has a description.
        licensed: whether its license is named (`other` is no name).
        georeferenced: whether all chips lie where they can lie.
        checked: whether all files could be read and have their checksums.
        labelled: share of the chips with a label.
        split: whether chips are in train and test.
        faults: texts of the findings that are faults.
        frozen: version that holds exactly these chips, None where there is none.
        reviewed: chips that a person decided on.
        open_suspects: suspects of the worst ones that nobody has decided on.
        baseline: whether a model of the frozen version has the score of a baseline.
    """

    chips: int
    described: bool
    licensed: bool
    georeferenced: bool
    checked: bool
    labelled: float
    split: bool
    faults: Sequence[str]
    frozen: str | None
    reviewed: int
    open_suspects: int
    baseline: bool


@dataclass(frozen=True)
class Rule:
    """One rule, and whether it is met.

    Attributes:
        level: it belongs to.
        text: what it asks.
        met: whether that is so.
        why: what was found.
    """

    level: QualityLevel
    text: str
    met: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it for the report."""
        return {"level": self.level.value, "rule": self.text, "met": self.met, "why": self.why}


def rules(facts: LevelFacts) -> list[Rule]:
    """Return all rules with what was found."""
    q0, q1, q2, q3 = QualityLevel
    faults = f"{len(facts.faults)}: {facts.faults[0]}" if facts.faults else "none"
    wanted = min(LEAST_REVIEWED, facts.chips)
    return [
        Rule(q0, "It has chips and a description.", facts.chips > 0 and facts.described, f"{facts.chips} chips"),
        Rule(q1, "All files were read, and are those that the catalog describes.", facts.checked, _yes(facts.checked)),
        Rule(q1, "All chips lie where chips can lie.", facts.georeferenced, _yes(facts.georeferenced)),
        Rule(q1, "Its license is named.", facts.licensed, "named" if facts.licensed else "`other`"),
        Rule(q2, "At least nine of ten chips have labels.", facts.labelled >= 0.9, f"{facts.labelled:.0%}"),
        Rule(q2, "It is split into train and test.", facts.split, _yes(facts.split)),
        Rule(q2, "No finding is a fault.", not facts.faults, faults),
        Rule(q3, "A version holds exactly these chips.", facts.frozen is not None, facts.frozen or "none"),
        Rule(q3, f"A person has looked at {wanted} chips or more.", facts.reviewed >= wanted, f"{facts.reviewed}"),
        Rule(q3, "No suspect waits for a decision.", facts.open_suspects == 0, f"{facts.open_suspects} wait"),
        Rule(q3, "A model of the version has the score of a baseline.", facts.baseline, _yes(facts.baseline)),
    ]


def level_of(judged: Sequence[Rule]) -> QualityLevel:
    """Return the highest level whose rules, and those below, are all met; Q0 is never denied."""
    reached = QualityLevel.Q0
    for level in QualityLevel:
        if not all(rule.met for rule in judged if rule.level is level):
            break
        reached = level
    return reached


def _yes(met: bool) -> str:
    return "yes" if met else "no"
