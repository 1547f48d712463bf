"""Errors as HTTP answers: one table from the lab's errors to a status, and RFC 9457 problem documents for all apps.

A problem document also carries `code` (stable, for programs) and `description`, the two members of STAC API errors.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from terralab.catalog.errors import (
    AlreadyExists,
    AssetCorrupt,
    Changed,
    ChecksumMismatch,
    ConditionMissing,
    InvalidInput,
    InvalidItem,
    KeyReused,
    LabError,
    NotAllowed,
    NotAuthenticated,
    OutOfSpace,
    ServiceUnavailable,
    SetupProblem,
    TooLarge,
    TooManyRequests,
    UnknownName,
    UnsupportedMedia,
)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
STATUS_OF_ERROR: dict[type[LabError], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    InvalidItem: HTTPStatus.UNPROCESSABLE_ENTITY,
    ChecksumMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UnknownName: HTTPStatus.NOT_FOUND,
    AlreadyExists: HTTPStatus.CONFLICT,
    Changed: HTTPStatus.PRECONDITION_FAILED,
    ConditionMissing: HTTPStatus.PRECONDITION_REQUIRED,
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    AssetCorrupt: HTTPStatus.INTERNAL_SERVER_ERROR,
    OutOfSpace: HTTPStatus.INSUFFICIENT_STORAGE,
    ServiceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    SetupProblem: HTTPStatus.SERVICE_UNAVAILABLE,
    LabError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_HEADERS_OF_STATUS: dict[int, Mapping[str, str]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="terralab"'},
}
_LOG = logging.getLogger("terralab.web")
_SHOWN_FIELDS = 10


def add_problem_handlers(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    app.add_exception_handler(LabError, _on_lab_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, _on_unexpected)


def status_of(error: LabError) -> HTTPStatus:
    """Return the HTTP status of a domain error: that of its nearest class in the table."""
    return next(STATUS_OF_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERROR)


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """Return a problem document.

    Args:
        request: what is answered; its id is part of the document, so that a user can report it.
        status: HTTP status.
        code: stable name of the error.
        detail: what is wrong and what to do.
        headers: further response headers.
        members: further members of the document.
    """
    text = detail.encode("utf-8", "replace").decode()  # a lone surrogate from a request cannot be sent back
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": text,
        "description": text,
        "request_id": request.scope.get("terralab.request_id"),
        **members,
    }
    known = {key: value for key, value in document.items() if value is not None}
    return JSONResponse(
        known, status, {**_HEADERS_OF_STATUS.get(status, {}), **(headers or {})}, media_type=PROBLEM_TYPE
    )


def unexpected_problem(request: Request) -> JSONResponse:
    """Return the answer to a request that met an error of the lab's own; the log has the rest under its id."""
    detail = "the lab made an error; report the request_id and look for it in the log of the web process"
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", detail)


async def _on_lab_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LabError)
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.error("%s %s: %s", request.method, request.url.path, error)
    return problem(request, status, error.code, str(error), **error.members)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    return problem(request, error.status_code, code, str(error.detail), error.headers)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        {"where": ".".join(str(part) for part in entry["loc"]), "message": str(entry["msg"])}
        for entry in error.errors()[:_SHOWN_FIELDS]
    ]
    detail = "; ".join(f"{field['where']}: {field['message']}" for field in fields)
    return problem(request, HTTPStatus.BAD_REQUEST, InvalidInput.code, detail)


async def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    return unexpected_problem(request)
