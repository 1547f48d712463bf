"""What is found when a dataset is looked through: errors, which stop it; warnings, which are kept; notes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from terralab.catalog.errors import InvalidInput, LabError

SHOWN = 10


class Weight(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        weight: an error stops onboarding.
        code: stable name for programs, such as `no_partner`.
        text: what is wrong, where, and what to do.
        kind: class of the lab's errors that it is raised as.
    """

    weight: Weight
    code: str
    text: str
    kind: type[LabError] = InvalidInput

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"weight": self.weight.value, "code": self.code, "text": self.text}


def error(code: str, text: str, kind: type[LabError] = InvalidInput) -> Finding:
    """Return an error."""
    return Finding(Weight.ERROR, code, text, kind)


def warning(code: str, text: str) -> Finding:
    """Return a warning."""
    return Finding(Weight.WARNING, code, text)


def note(code: str, text: str) -> Finding:
    """Return a note."""
    return Finding(Weight.NOTE, code, text)


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """Return the errors among findings."""
    return [entry for entry in findings if entry.weight is Weight.ERROR]


def stop(findings: Sequence[Finding]) -> None:
    """Raise the errors among findings together, as the common kind where all are of one.

    Raises:
        InvalidInput: or one of its kinds: there is an error.
    """
    found = errors_of(findings)
    if not found:
        return
    kinds = {entry.kind for entry in found}
    kind = kinds.pop() if len(kinds) == 1 else InvalidInput
    if len(found) == 1:
        raise kind(found[0].text)
    lines = [entry.text for entry in found[:SHOWN]]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    raise kind(f"{len(found)} problems in the files:\n- " + "\n- ".join([*lines, *more]))
