"""What a load did, for each piece of its source and in sum."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from terralab.extensions.problem import Problem

SHOWN_BAD = 20
"""So many bad documents are described; the others are counted."""
CREATED, UPDATED, UNCHANGED, DONE_BEFORE, INVALID = "created", "updated", "unchanged", "done_before", "invalid"
COLLECTIONS, DROPPED_LINKS = "collections", "dropped_links"


@dataclass(frozen=True)
class BadDocument:
    """A document that is not valid.

    Attributes:
        name: where it is, such as `items.ndjson:12`.
        id: its id, None where it has none.
        problems: what is wrong with it.
    """

    name: str
    id: str | None
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.id or 'without an id'}): {'; '.join(map(str, self.problems))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"name": self.name, "id": self.id, "problems": [problem.to_dict() for problem in self.problems]}


@dataclass
class ChunkResult:
    """What became of one piece.

    Attributes:
        number: of the piece.
        weight: how much of the source it is.
        counts: how many items were created, updated and so on.
        bad: documents that are not valid, the first 20.
        missing: collections that its items need and the catalog has not, with the extent of those items where it is
            wanted; then nothing of it is stored.
    """

    number: int
    weight: int
    counts: Counter[str] = field(default_factory=Counter)
    bad: list[BadDocument] = field(default_factory=list)
    missing: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def refuse(self, document: BadDocument) -> None:
        """Count a bad document and keep it where there is room."""
        self.counts[INVALID] += 1
        if len(self.bad) < SHOWN_BAD:
            self.bad.append(document)


@dataclass
class LoadReport:
    """What a load did.

    Attributes:
        counts: items `created`, `updated`, found `unchanged`, stored by an earlier load of the same (`done_before`),
            left out as `invalid`; `collections` written; `dropped_links` to files that are no STAC documents.
        bad: documents that are not valid, the first 20 in the order of the source.
        seconds: how long it took.
        interrupted: whether it was stopped before the end.
    """

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[BadDocument] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def stored(self) -> int:
        """Return how many items were created or updated."""
        return self.counts[CREATED] + self.counts[UPDATED]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        names = (CREATED, UPDATED, UNCHANGED, DONE_BEFORE, INVALID, COLLECTIONS, DROPPED_LINKS)
        return {
            **{name: self.counts[name] for name in names},
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "problems": [document.to_dict() for document in self.bad],
        }
