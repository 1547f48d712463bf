"""Answers with ranges of bytes that are not in a file on this machine (RFC 9110, section 14)."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from secrets import token_hex

from fastapi import Request
from starlette.responses import Response, StreamingResponse

MOST_RANGES = 100
_RANGE = re.compile(r"[ \t]*(\d{0,18})-(\d{0,18})[ \t]*")

Pieces = Callable[[int, int], Iterator[bytes]]
"""Gives the bytes from a place up to (without) another."""


def ranged_response(
    request: Request, size: int, pieces: Pieces, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Return the whole, a range, several ranges, or 416.

    The first bytes are read at once, so that what goes wrong with them is still an answer with its own status.

    Args:
        request: what is answered.
        size: bytes of the whole.
        pieces: reads them.
        media_type: of the whole.
        headers: of the answer, with an `ETag`.
    """
    known = {**headers, "Accept-Ranges": "bytes"}
    ranges = None
    if request.headers.get("if-range") in (None, headers["ETag"]):
        ranges = parse_ranges(request.headers.get("range", ""), size)
    if ranges is None:
        return _answer(request, 200, lambda: pieces(0, size), size, {**known, "Content-Type": media_type})
    if not ranges:
        return Response(status_code=416, headers={**known, "Content-Range": f"bytes */{size}"})
    if len(ranges) == 1:
        start, end = ranges[0]
        known |= {"Content-Type": media_type, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        return _answer(request, 206, lambda: pieces(start, end), end - start, known)
    boundary = token_hex(13)
    heads = [_head(boundary, media_type, start, end, size) for start, end in ranges]
    tail = f"\r\n--{boundary}--".encode()
    length = sum(len(head) + end - start for head, (start, end) in zip(heads, ranges, strict=True)) + len(tail)

    def parts() -> Iterator[bytes]:
        for head, (start, end) in zip(heads, ranges, strict=True):
            yield head
            yield from pieces(start, end)
        yield tail

    return _answer(request, 206, parts, length, {**known, "Content-Type": f"multipart/byteranges; boundary={boundary}"})


def parse_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """Return (start, end) of each range that lies in the file, in order and without overlaps.

    Returns:
        None where the header asks for nothing that can be understood, or for too many ranges: the whole is the answer
        then. An empty list where no range lies in the file.
    """
    unit, equals, text = header.partition("=")
    parts = [_RANGE.fullmatch(part) for part in text.split(",") if part.strip()]
    if unit.strip().lower() != "bytes" or not equals or not parts or len(parts) > MOST_RANGES:
        return None
    found: list[tuple[int, int]] = []
    for match in parts:
        if match is None or match.groups() == ("", ""):
            return None
        first, last = match.groups()
        if first and last and int(last) < int(first):
            return None
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start < end:
            found.append((start, end))
    return _merged(sorted(found))


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _answer(
    request: Request, status: int, body: Callable[[], Iterator[bytes]], length: int, headers: Mapping[str, str]
) -> Response:
    known = {**headers, "Content-Length": str(length)}
    if request.method == "HEAD":
        return Response(status_code=status, headers=known)
    stream = body()
    first = next(stream, b"")
    return StreamingResponse(chain([first], stream), status, headers=known)


def _head(boundary: str, media_type: str, start: int, end: int, size: int) -> bytes:
    place = f"bytes {start}-{end - 1}/{size}"
    return f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {place}\r\n\r\n".encode()
