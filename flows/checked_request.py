"""Values that somebody gave, as the typed request of a flow; without Prefect, for the command line too."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from terralab.catalog.errors import InvalidInput

_SHOWN_VALUE = 100
Request = TypeVar("Request", bound=BaseModel)


def checked_request(request_type: type[Request], **values: Any) -> Request:
    """Return the request that `values` make.

    Raises:
        InvalidInput: a value breaks a rule of the request; the message names each field.
    """
    try:
        return request_type(**values)
    except ValidationError as error:
        raise InvalidInput("; ".join(_said(entry) for entry in error.errors())) from error


def _said(entry: ErrorDetails) -> str:
    """Return one of pydantic's errors as field, rule and the value that breaks it."""
    if entry["type"] == "value_error":  # our own validators say all in their message
        text = entry["msg"].removeprefix("Value error, ")
    else:
        text = f"{entry['msg']}, got {str(entry['input'])[:_SHOWN_VALUE]!r}"
    return ": ".join([*([".".join(str(part) for part in entry["loc"])] if entry["loc"] else []), text])
