"""What can be loaded: which kind of source a path is, how much it holds, and the pieces that it is loaded in."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import orjson

from terralab.catalog.errors import InvalidInput, UnsupportedMedia
from terralab.catalog.exchange.chunks import (
    CHUNK_BYTES,
    CHUNK_ITEMS,
    Chunk,
    FilesChunk,
    LineChunk,
    RowsChunk,
    line_chunks,
    read_gzip,
    streamed_chunks,
)
from terralab.catalog.stac_files import STDIN, documents_of_text, parse_json

LINE_SUFFIXES = (".ndjson", ".jsonl")
JSON_SUFFIXES = (".json", ".geojson")
PARQUET_SUFFIXES = (".parquet", ".geoparquet")
_GZIP = ".gz"
_FILES_AT_ONCE = 500


@dataclass(frozen=True)
class Source:
    """Something to load.

    Attributes:
        name: in messages.
        total: how much it is, in `unit`; None where that is not known before it is read.
        unit: what `total` and the weights of pieces count.
        chunks: yields its pieces, the same ones each time (of a stream: once).
        collections: STAC collections that describe its items; they are stored where the catalog has none of that id.
        folder: of a static catalog: what its documents may refer to; None for anything else.
    """

    name: str
    total: int | None
    unit: Literal["bytes", "files", "items"]
    chunks: Callable[[], Iterator[Chunk]]
    collections: tuple[dict[str, Any], ...] = ()
    folder: Path | None = None


def open_source(place: str) -> Source:
    """Return the source that a path, or `-` for standard input, stands for.

    Raises:
        InvalidInput: it does not exist or cannot be read.
        UnsupportedMedia: it is of a format that cannot be loaded.
    """
    if place == STDIN:
        return _standard_input()
    path = Path(place)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InvalidInput(f"there is no file or folder {place}")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [_GZIP]
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    if kind and kind[0] in LINE_SUFFIXES:
        return _packed_lines(path) if packed else _lines(path)
    if kind and kind[0] in JSON_SUFFIXES:
        return _json(path.name, read_gzip(path).read() if packed else path.read_bytes())
    if kind and kind[0] in PARQUET_SUFFIXES and not packed:
        return _parquet(path)
    known = ", ".join((*LINE_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES))
    raise UnsupportedMedia(f"{place} is none of {known} (the JSON ones also with .gz), nor a folder")


def _lines(path: Path) -> Source:
    return Source(path.name, path.stat().st_size, "bytes", lambda: line_chunks(path.name, path))


def _packed_lines(path: Path) -> Source:
    return Source(path.name, None, "bytes", lambda: streamed_chunks(path.name, read_gzip(path)))


def _standard_input() -> Source:
    """Return standard input: read as it comes where its first line is a document, else all at once."""
    stream = sys.stdin.buffer
    begin = stream.read(CHUNK_BYTES)
    first, _, rest = begin.partition(b"\n")
    if rest.strip() and _is_document(first):
        return Source("stdin", None, "bytes", lambda: streamed_chunks("stdin", stream, begin))
    return _json("stdin", begin + stream.read())


def _is_document(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def _json(name: str, text: bytes) -> Source:
    """Return the documents of a JSON text, which is in memory as a whole."""
    documents = list(documents_of_text(name, text))
    groups = [documents[start : start + CHUNK_ITEMS] for start in range(0, len(documents), CHUNK_ITEMS)]

    def chunks() -> Iterator[Chunk]:
        for number, group in enumerate(groups):
            lines = b"\n".join(_one_line(document.content) for document in group)
            yield LineChunk(name, len(group), number * CHUNK_ITEMS + 1, content=lines, word=" document ")

    return Source(name, len(documents), "items", chunks)


def _one_line(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:
        import json

        return json.dumps(document).encode()  # what orjson refuses, the checks name


def _folder(path: Path) -> Source:
    """Return a folder of JSON files; those of collections come first, as their items need them."""
    suffixes = (*JSON_SUFFIXES, *LINE_SUFFIXES)
    found = [str(file.relative_to(path)) for file in path.rglob("*") if file.suffix.lower() in suffixes]
    paths = sorted(found, key=lambda name: (Path(name).name != "collection.json", name))
    if not paths:
        raise InvalidInput(f"the folder {path} holds no JSON files")
    groups = [tuple(paths[start : start + _FILES_AT_ONCE]) for start in range(0, len(paths), _FILES_AT_ONCE)]
    chunks = [FilesChunk(path.name, len(group), path, group) for group in groups]
    return Source(path.name, len(paths), "files", lambda: iter(chunks), folder=path)


def _parquet(path: Path) -> Source:
    from terralab.catalog.geoparquet.reader import open_file

    file = open_file(path)
    with path.open("rb") as stream:
        checksum = _checksum_of_stream(stream)

    def chunks() -> Iterator[Chunk]:
        before = 0
        for group, rows in enumerate(file.row_groups):
            for start in range(0, rows, CHUNK_ITEMS):
                count = min(CHUNK_ITEMS, rows - start)
                yield RowsChunk(path.name, count, path, checksum, group, start, before + start)
            before += rows

    return Source(path.name, sum(file.row_groups), "items", chunks, tuple(file.collections.values()))


def _checksum_of_stream(stream: Any) -> bytes:
    digest = sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.digest()
