"""Stored files over HTTP, with range requests, so that an asset opens from any machine.

A file is named by the hash of its bytes, so it may be cached for ever. Users made the bytes: nothing is ever served in
a way that a browser would run (HTML as a download, everything in a sandbox, no sniffing). A file may be read by who may
read an item or a collection that refers to it, and for a while by who has a signed address.
"""

from functools import partial
from pathlib import PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from terralab.catalog.access.file_access import FileAccess
from terralab.catalog.access.requests import Reader
from terralab.catalog.access.signatures import Signer
from terralab.catalog.byte_ranges import ranged_response
from terralab.catalog.errors import UnknownName
from terralab.catalog.store import Store
from terralab.extensions.checksum import split_multihash
from terralab.extensions.item import COG_TYPE, GEOJSON_TYPE

DOWNLOAD_TYPE = "application/octet-stream"
SHOWN_TYPES = {
    ".tif": COG_TYPE,
    ".tiff": COG_TYPE,
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".json": "application/json",
    ".geojson": GEOJSON_TYPE,
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".yaml": "text/yaml; charset=utf-8",
    ".yml": "text/yaml; charset=utf-8",
    ".dvc": "text/yaml; charset=utf-8",
}
_DOWNLOADED_TYPES = {".svg": "image/svg+xml", ".parquet": "application/vnd.apache.parquet"}
_FOR_EVER = "max-age=31536000, immutable"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def files_router(store: Store, access: FileAccess, signer: Signer) -> APIRouter:
    """Return the route `/files/{checksum}/{name}` over a store.

    Args:
        store: where the bytes are.
        access: says who may read them.
        signer: checks signed addresses.
    """
    router = APIRouter(tags=["files"])

    @router.api_route("/files/{checksum}/{name}", methods=["GET", "HEAD"], response_class=FileResponse)
    def stored_file(checksum: str, name: str, request: Request, caller: Reader) -> Response:
        """Answer with the bytes of that multihash, or with the ranges of them that the request asks for."""
        signed = signer.verify(checksum, request.query_params)
        size = _known_size(store, checksum)
        if not signed and not access.may_read(caller, checksum):
            raise _unknown(checksum)
        tag = f'"{checksum}"'
        # What anybody may read may lie in caches of many; an answer to a token is made private by `Authenticate`.
        base = {**_HEADERS, "ETag": tag, "Cache-Control": f"{'private' if signed else 'public'}, {_FOR_EVER}"}
        if tag in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=base)
        media_type, disposition = media_type_of(name)
        headers = {**base, "Content-Disposition": f"{disposition}; filename*=utf-8''{quote(name)}"}
        path = store.local(checksum)
        if path is not None:
            return FileResponse(path, media_type=media_type, headers=headers)
        return ranged_response(request, size, partial(store.pieces, checksum), media_type, headers)

    return router


def media_type_of(name: str) -> tuple[str, str]:
    """Return the media type of a file name, and whether a browser may show it (`inline`) or must save it."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SHOWN_TYPES:
        return SHOWN_TYPES[suffix], "inline"
    return _DOWNLOADED_TYPES.get(suffix, DOWNLOAD_TYPE), "attachment"


def _known_size(store: Store, checksum: str) -> int:
    try:
        split_multihash(checksum)
        size = store.size(checksum)
    except ValueError as error:
        raise UnknownName(str(error)) from error
    if size is None:
        raise _unknown(checksum)
    return size


def _unknown(checksum: str) -> UnknownName:
    return UnknownName(f"the store has no file with checksum {checksum}")


def _tags(header: str) -> list[str]:
    return [part.strip().removeprefix("W/") for part in header.split(",")]
