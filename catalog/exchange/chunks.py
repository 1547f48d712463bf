"""Pieces of a source that are loaded each in one transaction, small enough for memory and known by their content.

The same source is always divided in the same way, so that a load that was broken off finds again what it has done.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from terralab.catalog.errors import InvalidInput
from terralab.catalog.stac_files import FileDocument, documents_of_text, parse_json

CHUNK_BYTES = 16 << 20
CHUNK_ITEMS = 5_000
_SHOWN = 120


@dataclass(frozen=True)
class NotJson:
    """In the place of a document that cannot be read; says why."""

    reason: str


class Chunk(Protocol):
    """A piece of a source; it travels to another process.

    Attributes:
        name: of the source, for messages.
        weight: how much of the source's `total` it is.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  # described above

    @property
    def weight(self) -> int: ...  # noqa: D102  # described above

    def read(self) -> "ChunkContent":
        """Return what the piece holds."""
        ...


@dataclass(frozen=True)
class ChunkContent:
    """What a piece of a source holds.

    Attributes:
        checksum: SHA-256 that says whether it is the same content as that of another time.
        documents: STAC documents; read only where they are wanted.
    """

    checksum: bytes
    documents: Iterator[FileDocument]


@dataclass(frozen=True)
class LineChunk:
    """Some lines of a file with one document a line.

    Attributes:
        name: of the file.
        weight: bytes.
        first_line: number of its first line.
        path: the file, where it can be read again; else the lines are in `content`.
        start: where in the file.
        content: the lines.
        word: what stands between name and number in messages.
    """

    name: str
    weight: int
    first_line: int
    path: Path | None = None
    start: int = 0
    content: bytes = field(default=b"", repr=False)
    word: str = ":"

    def read(self) -> ChunkContent:
        """Return the lines' documents."""
        text = self.content
        if self.path is not None:
            with self.path.open("rb") as file:
                file.seek(self.start)
                text = file.read(self.weight)
        return ChunkContent(hashlib.sha256(text).digest(), self._documents(text))

    def _documents(self, text: bytes) -> Iterator[FileDocument]:
        for number, line in enumerate(text.splitlines(), start=self.first_line):
            if line.strip():
                try:
                    content = parse_json(line)
                except ValueError as error:
                    content = NotJson(str(error)[:_SHOWN])
                yield FileDocument(f"{self.name}{self.word}{number}", content)


@dataclass(frozen=True)
class FilesChunk:
    """Some files of a folder.

    Attributes:
        name: of the folder.
        weight: number of files.
        root: the folder.
        paths: of the files, relative to it.
    """

    name: str
    weight: int
    root: Path
    paths: tuple[str, ...]

    def read(self) -> ChunkContent:
        """Return the documents of the files."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(f"{path}\0".encode() + hashlib.sha256(_bytes(self.root / path)).digest())
        return ChunkContent(digest.digest(), self._documents())

    def _documents(self) -> Iterator[FileDocument]:
        for path in self.paths:
            yield from documents_of_text(path, _bytes(self.root / path))


@dataclass(frozen=True)
class RowsChunk:
    """Some rows of one row group of a stac-geoparquet file.

    Attributes:
        name: of the file.
        weight: number of rows.
        path: the file.
        checksum: SHA-256 of the file.
        row_group: number of the row group.
        first_row: number of the first of the rows in it.
        first: number of the first of the rows in the file.
    """

    name: str
    weight: int
    path: Path
    checksum: bytes
    row_group: int
    first_row: int
    first: int

    def read(self) -> ChunkContent:
        """Return the items of the rows."""
        place = f"{self.row_group}/{self.first_row}/{self.weight}".encode()
        return ChunkContent(hashlib.sha256(self.checksum + place).digest(), self._documents())

    def _documents(self) -> Iterator[FileDocument]:
        from terralab.catalog.geoparquet.reader import read_rows

        items = read_rows(self.path, self.row_group, self.first_row, self.weight)
        for number, item in enumerate(items, start=self.first + 1):
            yield FileDocument(f"{self.name} row {number}", item)


def line_chunks(name: str, path: Path, size: int = CHUNK_BYTES) -> Iterator[LineChunk]:
    """Divide a file of lines."""
    line, position = 1, 0
    with path.open("rb") as file:
        for text in _blocks(file, size):
            yield LineChunk(name, len(text), line, path, position)
            line, position = line + text.count(b"\n"), position + len(text)


def streamed_chunks(name: str, stream: BinaryIO, begin: bytes = b"", size: int = CHUNK_BYTES) -> Iterator[LineChunk]:
    """Divide lines that can be read only once; `begin` is what was read of them already."""
    line = 1
    for text in _blocks(stream, size, begin):
        yield LineChunk(name, len(text), line, content=text)
        line += text.count(b"\n")


def read_gzip(path: Path) -> BinaryIO:
    """Open a gzip file for reading."""
    return gzip.open(path, "rb")  # type: ignore[return-value]  # it has all of a BinaryIO that is used here


def _blocks(stream: BinaryIO, size: int, begin: bytes = b"") -> Iterator[bytes]:
    """Yield whole lines, about `size` bytes at a time."""
    rest = begin
    while True:
        try:
            block = stream.read(size)
        except (OSError, EOFError) as error:
            raise InvalidInput(f"the source cannot be read to its end: {error}") from error
        if not block:
            break
        text = rest + block
        cut = text.rfind(b"\n") + 1
        if cut:
            yield text[:cut]
        rest = text[cut:]
    if rest:
        yield rest


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
