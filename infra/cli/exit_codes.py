"""Which exit code says what: scripts can tell a wrong input from a lab that does not run.

0 is success, 2 a command that cannot be understood (unknown option, missing argument), 130 Ctrl-C. Any other error of
the lab has the code of its class, or of the nearest class above it.
"""

from terralab.catalog.errors import (
    AlreadyExists,
    AssetCorrupt,
    Changed,
    InvalidInput,
    LabError,
    NotAllowed,
    NotAuthenticated,
    OutOfSpace,
    ServiceUnavailable,
    SetupProblem,
    UnknownName,
    VersionMismatch,
)
from terralab.infra.errors import (
    AlreadyRunning,
    FolderUnwritable,
    PortBusy,
    RunCancelled,
    RunCrashed,
    StartFailed,
)

OK = 0
USAGE = 2
INTERRUPTED = 130

EXIT_CODES: dict[type[LabError], int] = {
    LabError: 1,
    InvalidInput: 3,
    UnknownName: 4,
    AlreadyExists: 5,
    AssetCorrupt: 6,
    OutOfSpace: 7,
    ServiceUnavailable: 8,
    SetupProblem: 9,
    VersionMismatch: 10,
    PortBusy: 11,
    FolderUnwritable: 12,
    AlreadyRunning: 13,
    StartFailed: 14,
    RunCrashed: 15,
    RunCancelled: 16,
    Changed: 17,
    NotAuthenticated: 18,
    NotAllowed: 19,
}


def exit_code(error: LabError) -> int:
    """Return the exit code of an error."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
