"""The lab's errors. They know nothing of HTTP or of exit codes; two tables elsewhere map them.

LabError
├── InvalidInput            what was asked or given is wrong; the message says what, where and what to do
│   ├── InvalidRaster       a file is not a GeoTIFF that the lab can use
│   ├── GridMismatch        an image and its label do not lie on the same grid
│   ├── InvalidLabels       label values or classes are wrong
│   ├── InvalidItem         a STAC object breaks the profile or an official schema
│   ├── UnknownName         no template, backbone, model, dataset, collection or item of that name
│   ├── TooFewChips         fewer chips than the work needs
│   ├── TooLarge            a body, batch or geometry is over its limit
│   ├── UnsupportedMedia    a body of a type that the route does not take
│   ├── ChecksumMismatch    a body is not the one that its sender says it is
│   └── KeyReused           an idempotency key that came with another body before
├── AlreadyExists           the name is taken by something else
├── Changed                 it is no longer what the caller saw (a stale ETag)
├── ConditionMissing        the change must say what the caller saw (If-Match), and does not
├── NotAuthenticated        the caller must say who it is, or the token does not hold
├── NotAllowed              the caller may not do that
├── TooManyRequests         one caller asks for more than its share
├── AssetCorrupt            stored bytes are missing or differ from their checksum
├── OutOfSpace              the disk is full
├── ServiceUnavailable      the database, Prefect or another part does not answer
└── SetupProblem            something outside the lab must be installed or changed first
    └── VersionMismatch     the database holds another pgstac version
"""

from difflib import get_close_matches
from typing import Any


class LabError(Exception):
    """Base of all errors that the lab raises on purpose.

    Args:
        message: what is wrong, where, and what to do.
        members: what programs need to know besides, as JSON: further members of a problem document.

    Attributes:
        code: stable, machine-readable name.
    """

    code = "lab_error"

    def __init__(self, message: str = "", **members: Any) -> None:
        super().__init__(message)
        self.members = members


class InvalidInput(LabError):
    """What was asked or given is wrong."""

    code = "invalid_input"


class InvalidRaster(InvalidInput):
    """A file is not a GeoTIFF that the lab can use."""

    code = "invalid_raster"


class GridMismatch(InvalidInput):
    """An image and its label do not lie on the same grid."""

    code = "grid_mismatch"


class InvalidLabels(InvalidInput):
    """Label values or classes are wrong."""

    code = "invalid_labels"


class InvalidItem(InvalidInput):
    """A STAC object breaks the profile or an official schema."""

    code = "invalid_item"


class UnknownName(InvalidInput):
    """Nothing has that name."""

    code = "unknown_name"

    @classmethod
    def of(cls, what: str, name: str, known: list[str]) -> "UnknownName":
        """Return the error with the closest known names as the remedy."""
        close = get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:8]
        hint = f"; did you mean {', '.join(close)}?" if close else f"; there is no {what} yet"
        return cls(f"no {what} is called {name!r}{hint}")


class TooFewChips(InvalidInput):
    """Fewer chips than the work needs."""

    code = "too_few_chips"


class TooLarge(InvalidInput):
    """A body, batch or geometry is over its limit."""

    code = "too_large"


class UnsupportedMedia(InvalidInput):
    """A body of a type that the route does not take."""

    code = "unsupported_media_type"


class ChecksumMismatch(InvalidInput):
    """A body is not the one that its sender says it is."""

    code = "checksum_mismatch"


class KeyReused(InvalidInput):
    """An idempotency key came with another body before."""

    code = "idempotency_key_reuse"


class AlreadyExists(LabError):
    """The name is taken by something else."""

    code = "already_exists"


class Changed(LabError):
    """It is no longer what the caller saw."""

    code = "changed"


class ConditionMissing(LabError):
    """The change must say what the caller saw."""

    code = "condition_missing"


class NotAuthenticated(LabError):
    """The caller must say who it is, or its token does not hold."""

    code = "not_authenticated"


class NotAllowed(LabError):
    """The caller may not do that."""

    code = "not_allowed"


class TooManyRequests(LabError):
    """One caller asks for more than its share."""

    code = "too_many_requests"


class AssetCorrupt(LabError):
    """Stored bytes are missing or differ from their checksum."""

    code = "asset_corrupt"


class OutOfSpace(LabError):
    """The disk is full."""

    code = "out_of_space"


class ServiceUnavailable(LabError):
    """A part of the lab does not answer."""

    code = "service_unavailable"


class SetupProblem(LabError):
    """Something outside the lab must be installed or changed first."""

    code = "setup_problem"


class VersionMismatch(SetupProblem):
    """The database holds another pgstac version."""

    code = "version_mismatch"


def error_by_code(code: str, message: str) -> LabError:
    """Return the error with that code, as when it comes back from a flow run or over HTTP."""
    kinds = [LabError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return next((kind for kind in kinds if kind.code == code), LabError)(message)
