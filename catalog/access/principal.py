"""Who calls, as far as the lab knows."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")


@dataclass(frozen=True)
class Principal:
    """A caller.

    Attributes:
        name: of the user; None for a caller that did not say who it is.
        scopes: of `read`, `write` and `admin`. `admin` holds the other two.
        projects: names of the projects that the caller is a member of.
        reads_all: whether it may read everything: an admin may, and anybody in a lab with open reads.
    """

    name: str | None = None
    scopes: frozenset[Scope] = frozenset()
    projects: frozenset[str] = frozenset()
    reads_all: bool = False

    @property
    def is_admin(self) -> bool:
        """Return whether the caller may do everything."""
        return "admin" in self.scopes

    def has(self, scope: Scope) -> bool:
        """Return whether the caller has a scope."""
        return self.is_admin or scope in self.scopes


ANONYMOUS = Principal()
"""A caller that may read what is public."""
