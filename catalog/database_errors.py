"""What psycopg's errors mean to the caller, in one table; `search_guards` has that of asyncpg.

Only the first line of a message is shown: it never holds a statement or its values.
"""

from psycopg import DataError, InterfaceError, OperationalError, errors

from terralab.catalog.errors import AlreadyExists, InvalidInput, LabError, OutOfSpace, ServiceUnavailable

COLLISIONS = (errors.DeadlockDetected, errors.SerializationFailure)
"""Two transactions were in one another's way, and one of them was undone: it can be done again at once."""

_Kinds = tuple[type[Exception], ...]
# The first that fits counts.
_MEANINGS: tuple[tuple[_Kinds, type[LabError], str], ...] = (
    (
        (errors.DiskFull,),
        OutOfSpace,
        "no space left on the disk of the database; free some and repeat the command",
    ),
    ((errors.QueryCanceled, errors.TransactionTimeout), ServiceUnavailable, "this took the database too long ({})"),
    ((errors.LockNotAvailable,), ServiceUnavailable, "others are writing the same; try again soon ({})"),
    (COLLISIONS, ServiceUnavailable, "others were writing the same; try again ({})"),
    ((errors.ProgramLimitExceeded,), InvalidInput, "the database cannot hold this: {}"),
    ((OperationalError, InterfaceError), ServiceUnavailable, "the database does not answer ({}); try again soon"),
    (
        (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout),
        ServiceUnavailable,
        "the database cannot write now ({})",
    ),
    (
        (errors.InvalidCatalogName, errors.UndefinedTable, errors.UndefinedFunction, errors.InvalidSchemaName),
        ServiceUnavailable,
        "the database is not ready ({}); see `terralab doctor`",
    ),
    ((errors.InsufficientPrivilege,), ServiceUnavailable, "the database refuses the lab ({}); see `terralab doctor`"),
    ((errors.UniqueViolation,), AlreadyExists, "another program wrote the same at the same time ({})"),
    # pgstac's and PostGIS's own errors, and values that no column can hold.
    (
        (DataError, errors.RaiseException, errors.InternalError_, errors.NotNullViolation, errors.CheckViolation),
        InvalidInput,
        "the catalog cannot store this: {}",
    ),
)


def meaning_of(error: Exception) -> LabError | None:
    """Return the lab's error for one of psycopg's, None where it is an error of the lab's own making."""
    for kinds, kind, message in _MEANINGS:
        if isinstance(error, kinds):
            return kind(message.format(first_line(error)))
    return None


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, which never holds a statement's values."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
