"""Errors as HTTP answers: rio-tiler's and rasterio's by one table, the lab's own by the table of the whole lab.

Texts of GDAL and of the store never reach a client: they hold paths.
"""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from rasterio._err import CPLE_BaseError  # what GDAL reports outside reading and writing; public nowhere
from rasterio.errors import CRSError, RasterioError, WarpOperationError, WindowError
from rio_tiler.errors import (
    InvalidBounds,
    InvalidBufferSize,
    InvalidFormat,
    MissingCRS,
    PointOutsideBounds,
    RioTilerError,
    TileOutsideBounds,
)
from starlette.responses import JSONResponse

from terralab.catalog.errors import AssetCorrupt, InvalidInput, UnknownName
from terralab.catalog.problems import add_problem_handlers, problem

Answer = tuple[HTTPStatus, str, str | None]
"""Status, code, and the text that clients see (None: that of the error)."""

_UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
_CORRUPT: Answer = (
    HTTPStatus.BAD_GATEWAY,
    AssetCorrupt.code,
    "the stored bytes of the asset are missing or damaged; restore them from a backup",
)
ANSWERS: dict[type[Exception], Answer] = {
    TileOutsideBounds: (HTTPStatus.NOT_FOUND, "tile_outside_bounds", None),
    PointOutsideBounds: (HTTPStatus.NOT_FOUND, "point_outside_bounds", None),
    InvalidBounds: (HTTPStatus.NOT_FOUND, "outside_bounds", None),
    InvalidFormat: (_UNPROCESSABLE, "invalid_format", None),
    InvalidBufferSize: (_UNPROCESSABLE, InvalidInput.code, None),
    MissingCRS: (_UNPROCESSABLE, "invalid_raster", None),
    RioTilerError: (_UNPROCESSABLE, InvalidInput.code, "the raster cannot be shown in this way"),
    CRSError: (_UNPROCESSABLE, InvalidInput.code, "the coordinates do not fit the coordinate system"),
    WarpOperationError: (_UNPROCESSABLE, InvalidInput.code, "the image cannot be projected to this place"),
    WindowError: (_UNPROCESSABLE, InvalidInput.code, "the box does not fit the raster"),
    CPLE_BaseError: (_UNPROCESSABLE, InvalidInput.code, "the place is outside the coordinate system"),
    RasterioError: _CORRUPT,
    AssetCorrupt: _CORRUPT,
    UnknownName: (HTTPStatus.NOT_FOUND, UnknownName.code, None),
    InvalidInput: (_UNPROCESSABLE, "", None),
}
_LOG = logging.getLogger("terralab.tiler")


def add_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    add_problem_handlers(app)
    for kind, answer in ANSWERS.items():
        app.add_exception_handler(kind, _handler(answer))
    app.add_exception_handler(RequestValidationError, _on_invalid_request)


def _handler(answer: Answer) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    status, code, text = answer

    async def handle(request: Request, error: Exception) -> JSONResponse:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOG.error("%s: %s", request.url.path, error)
        return problem(request, status, code or getattr(error, "code", InvalidInput.code), text or str(error))

    return handle


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # `loc` is (where, name, place in a list, …)
    parts = [f"{'.'.join(map(str, entry['loc'][1:]))}: {entry['msg']}" for entry in error.errors()[:5]]
    return problem(request, _UNPROCESSABLE, InvalidInput.code, "; ".join(parts))
