"""STAC documents in files: JSON, one document a line, lists and FeatureCollections, and folders of static catalogs."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from terralab.catalog.errors import InvalidInput, UnsupportedMedia

STDIN = "-"
_SUFFIXES = (".json", ".geojson", ".ndjson", ".jsonl")
_STAC_TYPES = ("Feature", "Collection", "Catalog")
_SHOWN_ERRORS = 120


@dataclass(frozen=True)
class FileDocument:
    """One document of a file, and where it is: `items.ndjson:12`, or `search.json features[3]`."""

    name: str
    content: Any


def read_documents(source: str) -> Iterator[FileDocument]:
    """Yield the STAC documents in a file, in a folder with all its subfolders, or on standard input (`-`).

    A file is one document, an array of them, a FeatureCollection, an answer of `/collections`, or one document a line.
    In a folder, JSON files that are not STAC (they have another `type` or none) are passed over.

    Raises:
        InvalidInput: something cannot be read as JSON.
        UnsupportedMedia: the file is of another format.
    """
    if source == STDIN:
        yield from documents_of_text("stdin", sys.stdin.buffer.read())
        return
    path = Path(source)
    if not path.is_dir():
        yield from _of_file(path, path.name)
        return
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in _SUFFIXES and file.is_file():
            for document in _of_file(file, str(file.relative_to(path))):
                if isinstance(document.content, dict) and document.content.get("type") in _STAC_TYPES:
                    yield document


def _of_file(path: Path, name: str) -> Iterator[FileDocument]:
    if path.suffix.lower() not in _SUFFIXES:
        raise UnsupportedMedia(f"{path} is not one of {', '.join(_SUFFIXES)}")
    try:
        if path.suffix.lower() in (".ndjson", ".jsonl"):
            with path.open("rb") as stream:
                yield from _of_lines(name, stream)
        else:
            yield from documents_of_text(name, path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


def documents_of_text(name: str, text: bytes) -> Iterator[FileDocument]:
    """Yield the documents in the text of a file: one, an array, a FeatureCollection, or one a line.

    Raises:
        InvalidInput: it is not JSON.
    """
    try:
        content = parse_json(text)
    except ValueError as error:
        lines = text.splitlines()
        if len(lines) > 1 and lines[0].lstrip().startswith(b"{") and lines[0].rstrip().endswith(b"}"):
            yield from _of_lines(name, lines)
            return
        raise InvalidInput(f"{name} is not JSON: {str(error)[:_SHOWN_ERRORS]}") from error
    member = next((key for key in ("features", "collections") if isinstance(content, dict) and key in content), None)
    inner = content if isinstance(content, list) else content[member] if member else None
    if isinstance(inner, list):
        for number, entry in enumerate(inner):
            yield FileDocument(f"{name} {member or ''}[{number}]", entry)
    else:
        yield FileDocument(name, content)


def _of_lines(name: str, lines: Iterable[bytes]) -> Iterator[FileDocument]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield FileDocument(f"{name}:{number}", parse_json(line))
            except ValueError as error:
                raise InvalidInput(f"{name}, line {number} is not JSON: {str(error)[:_SHOWN_ERRORS]}") from error


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Python also reads NaN and lone surrogates, which the checks can then name.
        return json.loads(text)
