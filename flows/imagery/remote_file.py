"""A file at a provider, read by ranges: only the parts that are needed, each once.

GDAL gets the file through `RemoteFile.view`, a Python file: it opens no connection of its own, so that hosts, waiting,
and what was read already are decided in one place.
"""

import io
import re

import httpx

from terralab.catalog.errors import LabError, ServiceUnavailable
from terralab.flows.imagery.http_reads import HttpReads

CHUNK = 32 << 10
_MOST_AT_ONCE = 8 << 20
_LARGEST_WHOLE = 512 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RemoteFile:
    """One file.

    Args:
        reads: of its provider.
        href: its address.
        whole_below: files of a server without ranges are taken whole up to so many bytes.
    """

    def __init__(self, reads: HttpReads, href: str, whole_below: int = _LARGEST_WHOLE) -> None:
        self._reads, self.href, self._whole_below = reads, href, whole_below
        self._chunks: dict[int, bytes] = {}
        self._tag: str | None = None
        self.size = -1
        self.failure: LabError | None = None

    def open(self) -> None:
        """Read the begin of the file, which tells its size.

        Raises:
            LabError: it cannot be read.
        """
        if self.size < 0:
            self._fetch(0, 1)

    def prefetch(self, ranges: list[tuple[int, int]]) -> None:
        """Fetch ranges (start, end without it), near ones in one request.

        Raises:
            LabError: they cannot be read.
        """
        self.open()
        needed = {
            chunk
            for start, end in ranges
            for chunk in range(start // CHUNK, -(-min(end, self.size) // CHUNK))
            if chunk not in self._chunks
        }
        for first, last in _runs(sorted(needed)):
            self._fetch(first, last + 1)

    def read(self, start: int, count: int) -> bytes:
        """Return bytes, fewer at the end of the file.

        Raises:
            LabError: they cannot be read.
        """
        self.prefetch([(start, start + count)])
        end = min(start + count, self.size)
        parts = []
        for chunk in range(start // CHUNK, -(-end // CHUNK)):
            offset = chunk * CHUNK
            parts.append(self._chunks[chunk][max(0, start - offset) : max(0, end - offset)])
        return b"".join(parts)

    def view(self) -> "FileView":
        """Return the file as a Python file object."""
        return FileView(self)

    def _fetch(self, first: int, end: int) -> None:
        """Fetch the chunks from `first` up to (without) `end`."""
        start, stop = first * CHUNK, end * CHUNK - 1
        headers = {"Range": f"bytes={start}-{stop}", "Accept-Encoding": "identity"}
        answer = self._reads.send("GET", self.href, headers=headers, largest=self._whole_below)
        self._refuse_changed(answer)
        if answer.status_code == httpx.codes.OK:  # a server without ranges sends all
            self.size, start = len(answer.content), 0
        else:
            self._check_range(answer, start)
        content = answer.content
        for place in range(0, len(content), CHUNK):
            self._chunks[(start + place) // CHUNK] = content[place : place + CHUNK]

    def _check_range(self, answer: httpx.Response, start: int) -> None:
        found = _RANGE.match(answer.headers.get("content-range", ""))
        if found is None or int(found[1]) != start or len(answer.content) != int(found[2]) - int(found[1]) + 1:
            raise ServiceUnavailable(f"{self._shown} answers with another range than was asked for; run it again")
        if self.size not in (-1, int(found[3])):
            raise ServiceUnavailable(f"{self._shown} changed while it was read; run it again")
        self.size = int(found[3])

    def _refuse_changed(self, answer: httpx.Response) -> None:
        tag = answer.headers.get("etag")
        if self._tag is not None and tag is not None and tag != self._tag:
            raise ServiceUnavailable(f"{self._shown} changed while it was read; run it again")
        self._tag = tag or self._tag

    @property
    def _shown(self) -> str:
        return self.href.split("?")[0]


class FileView(io.RawIOBase):
    """A remote file as Python and GDAL read one.

    An error would be lost inside GDAL: it is kept in `RemoteFile.failure`, and the read gives nothing.
    """

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file, self._place = file, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return bytes from the place on."""
        count = max(0, self._file.size - self._place) if size is None or size < 0 else size
        try:
            found = self._file.read(self._place, count)
        except LabError as error:
            self._file.failure = error
            return b""
        self._place += len(found)
        return found

    def readinto(self, buffer: object) -> int:
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        found = self.read(len(view))
        view[: len(found)] = found
        return len(found)


def _runs(chunks: list[int]) -> list[tuple[int, int]]:
    """Return (first, last) of consecutive chunks, cut where a request would become too large."""
    found: list[tuple[int, int]] = []
    for chunk in chunks:
        if found and chunk == found[-1][1] + 1 and (chunk + 1 - found[-1][0]) * CHUNK <= _MOST_AT_ONCE:
            found[-1] = (found[-1][0], chunk)
        else:
            found.append((chunk, chunk))
    return found
