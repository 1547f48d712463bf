"""Which models fit which data, as the lab answers it: best first, with reasons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_OWN = ("name", "title", "score", "reasons", "links")


@dataclass(frozen=True)
class Match:
    """An item that fits.

    Attributes:
        name: `collection/item`.
        title: for people.
        score: 0 … 1.
        reasons: what speaks for it and against it.
        details: what else the lab says: `bands` (which band feeds which), `gsd_ratio`, `asset`, `metrics` and so on.
    """

    name: str
    title: str
    score: float
    reasons: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Matches:
    """What was found; a sequence of what fits, best first.

    Attributes:
        fit: what fits.
        unfit: some of what does not, with the reasons.
        looked_at: how many were compared.
        complete: whether those were all.
    """

    fit: tuple[Match, ...]
    unfit: Mapping[str, tuple[str, ...]]
    looked_at: int
    complete: bool

    def __iter__(self) -> Iterator[Match]:
        return iter(self.fit)

    def __len__(self) -> int:
        return len(self.fit)

    def __getitem__(self, place: int) -> Match:
        return self.fit[place]


def matches_of(document: Mapping[str, Any]) -> Matches:
    """Read the answer of `/models/matching` or `/models/{model}/items`."""
    fit = tuple(
        Match(
            one["name"],
            one["title"],
            one["score"],
            tuple(one["reasons"]),
            {key: value for key, value in one.items() if key not in _OWN},
        )
        for one in document["matches"]
    )
    unfit = {one["name"]: tuple(one["reasons"]) for one in document["unfit"]}
    return Matches(fit, unfit, document["looked_at"], document["complete"])
