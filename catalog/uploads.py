"""Uploading files into the asset store, for items that will refer to them.

    curl -T scene.tif -H "Authorization: Bearer $TOKEN" "$LAB/files?name=scene.tif"

The body is the file itself. It is stored as it is, under the hash of its bytes: nothing opens it here, and whatever
reads pixels later opens it as any stranger's file (see `tiler/rasters.py`, `datasets/raster_file.py`). A file that no
item refers to within the grace period is garbage.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from terralab.catalog.access.file_access import note_upload
from terralab.catalog.access.principal import Principal
from terralab.catalog.access.requests import Writes
from terralab.catalog.errors import ChecksumMismatch, InvalidInput, TooLarge, UnsupportedMedia
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import StoredFile

_NAME = re.compile(r"""[^\x00-\x20\x7f-\xa0/\\?#%"<>\[\]{}|^`]{1,200}""")
_HEX = re.compile(r"(?:1220)?([0-9a-f]{64})")
_DIGEST = re.compile(r"sha-256=:?([A-Za-z0-9+/=]+?):?", re.IGNORECASE)
_DIGEST_HEADERS = ("content-digest", "repr-digest", "digest")
_BUFFER_BYTES = 1 << 20
_MB = 1_000_000


def uploads_router(workspace: Workspace) -> APIRouter:
    """Return the route `POST /files`."""
    router = APIRouter(tags=["files"])
    body = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}

    @router.post("/files", status_code=201, openapi_extra={"requestBody": {"required": True, **body}})
    async def upload(
        request: Request,
        name: Annotated[str, Query(description="File name that users see, without a folder.", max_length=200)],
        caller: Annotated[Principal, Depends(Writes)],
    ) -> Response:
        """Store the body as a file and return its reference, `asset://<multihash>/<name>`."""
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise InvalidInput(f"name: {name!r} is no plain file name; leave out folders, spaces, quotes and signs")
        _refuse_wrapped(request.headers)
        wanted = wanted_digest(request.headers)
        with workspace.store.scratch() as folder:
            try:
                await _receive(request, folder / "upload", workspace.settings.store.max_upload_mb * _MB, wanted)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            stored = await run_in_threadpool(_store, workspace, folder / "upload", name, caller)
        address = f"{request.url.path}/{stored.checksum}/{quote(name)}"
        answer = {"href": stored.href, "size": stored.size, "checksum": stored.checksum}
        return JSONResponse(answer, 201, {"Location": address})

    return router


def wanted_digest(headers: Mapping[str, str]) -> str | None:
    """Return the SHA-256 (hex) that the client says the body has; None where it says nothing.

    Raises:
        InvalidInput: it says it in a way that cannot be understood, or two different ones.
    """
    said = set()
    for header in _DIGEST_HEADERS:
        if header in headers:
            said.add(_of_digest(header, headers[header]))
    if "x-checksum" in headers:
        match = _HEX.fullmatch(headers["x-checksum"].strip().lower())
        if match is None:
            raise InvalidInput("X-Checksum: give the SHA-256 as 64 hex digits, or as a multihash (1220…)")
        said.add(match[1])
    if len(said) > 1:
        raise InvalidInput("the headers name two different checksums of the body; send one")
    return next(iter(said), None)


def _of_digest(header: str, value: str) -> str:
    for part in value.split(","):
        match = _DIGEST.fullmatch(part.strip())
        if match is not None:
            try:
                digest = base64.b64decode(match[1], validate=True)
            except binascii.Error:
                break
            if len(digest) == hashlib.sha256().digest_size:
                return digest.hex()
    raise InvalidInput(f"{header}: give `sha-256=:<base64>:` of the body")


def _refuse_wrapped(headers: Mapping[str, str]) -> None:
    if headers.get("content-type", "").strip().lower().startswith("multipart/"):
        raise UnsupportedMedia("send the file itself as the body (`curl -T FILE`), not a form")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMedia("send the file itself as the body, without a Content-Encoding")


async def _receive(request: Request, path: Path, limit: int, wanted: str | None) -> None:
    """Write the body to a file, and compare it with its checksum.

    Raises:
        TooLarge: it is over the limit.
        ChecksumMismatch: it is not what the client says it is.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    state, received, buffer = hashlib.sha256(), 0, bytearray()
    with path.open("wb") as file:

        def write() -> None:
            state.update(buffer)
            file.write(buffer)

        async for piece in request.stream():
            received += len(piece)
            if received > limit:
                raise _too_large(limit)
            buffer += piece
            if len(buffer) >= _BUFFER_BYTES:
                await run_in_threadpool(write)
                buffer.clear()
        await run_in_threadpool(write)
    found = state.hexdigest()
    if wanted is not None and wanted != found:
        raise ChecksumMismatch(
            f"the body's SHA-256 is {found}, the header says {wanted}; it was changed on its way, send it again"
        )


def _store(workspace: Workspace, path: Path, name: str, caller: Principal) -> StoredFile:
    stored = workspace.store.put(path, name)
    if caller.name is not None:
        with workspace.catalog.connection() as connection:
            note_upload(connection, stored.checksum, caller.name)
    return stored


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the file is over {limit // _MB} MB; raise TERRALAB_STORE_MAX_UPLOAD_MB, or onboard it as a file")
