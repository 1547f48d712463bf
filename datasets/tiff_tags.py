"""TIFF directories as bytes: the tags that GDAL wrote, read back, and directories of our own made of them.

GDAL knows how a coordinate system, nodata or band names are written; it writes them once into a small or uncompressed
file. The pixels are compressed beside it, several times as fast. Only little-endian files of this process are read.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8, 18: 8}
_SHORT, _LONG, _DOUBLE, _LONG8 = 3, 4, 12, 16
_LETTERS = {_SHORT: "H", _LONG: "I", _DOUBLE: "d", _LONG8: "Q"}

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
SAMPLES, PLANAR, PREDICTOR, COLORMAP = 277, 284, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
PIXEL_SCALE, TIE_POINT, GDAL_METADATA, GDAL_NODATA = 33550, 33922, 42112, 42113
ZSTD = 50_000


@dataclass(frozen=True)
class Tag:
    """One entry of a directory: TIFF's code and type, number of values, and the values' bytes."""

    code: int
    type: int
    count: int
    payload: bytes

    @classmethod
    def of(cls, code: int, type: int, values: Iterable[float]) -> "Tag":
        """Return a tag of numbers."""
        listed = list(values)
        return cls(code, type, len(listed), struct.pack(f"<{len(listed)}{_LETTERS[type]}", *listed))

    @classmethod
    def short(cls, code: int, *values: int) -> "Tag":
        """Return a tag of 16-bit numbers."""
        return cls.of(code, _SHORT, values)

    @classmethod
    def long(cls, code: int, values: Iterable[int], big: bool = False) -> "Tag":
        """Return a tag of 32-bit numbers; of 64-bit ones in a `big` file."""
        return cls.of(code, _LONG8 if big else _LONG, values)

    @classmethod
    def doubles(cls, code: int, *values: float) -> "Tag":
        """Return a tag of 64-bit floating point numbers."""
        return cls.of(code, _DOUBLE, values)

    def values(self) -> tuple[int, ...]:
        """Return the values of a tag of whole numbers."""
        return struct.unpack(f"<{self.count}{_LETTERS[self.type]}", self.payload)


def read_tags(content: bytes | memoryview) -> dict[int, Tag]:
    """Return the tags of a file's first directory by their code.

    Raises:
        ValueError: it is no little-endian TIFF, or cut off.
    """
    start = bytes(content[:16])
    if start[:4] not in (b"II*\0", b"II+\0"):
        raise ValueError("no little-endian TIFF")
    big = start[2:3] == b"+"
    entry, number, size = (_BIG if big else _CLASSIC).layout()
    try:
        (at,) = struct.unpack_from(f"<{number}", start, 8 if big else 4)
        (count,) = struct.unpack_from("<Q" if big else "<H", content, at)
        found = (_tag(content, at + (8 if big else 2) + n * entry.size, entry, number, size) for n in range(count))
        return {tag.code: tag for tag in found}
    except struct.error as error:
        raise ValueError("the TIFF is cut off") from error


def directory_size(tags: Iterable[Tag], big: bool) -> int:
    """Return how many bytes `directory` makes of the tags."""
    return len(directory(tags, 0, big, 0))


def directory(tags: Iterable[Tag], at: int, big: bool, next_directory: int) -> bytes:
    """Return the bytes of a directory that begins at the byte `at` of its file, long values behind it."""
    ordered = sorted(tags, key=lambda tag: tag.code)
    entry, number, size = (_BIG if big else _CLASSIC).layout()
    head = struct.pack("<Q" if big else "<H", len(ordered))
    behind = at + len(head) + entry.size * len(ordered) + size
    entries, values = bytearray(), bytearray()
    for tag in ordered:
        if len(tag.payload) <= size:
            field = tag.payload.ljust(size, b"\0")
        else:
            values += b"\0" * (-(behind + len(values)) % 8)
            field = struct.pack(f"<{number}", behind + len(values))
            values += tag.payload
        entries += entry.pack(tag.code, tag.type, tag.count, field)
    return head + bytes(entries) + struct.pack(f"<{number}", next_directory) + bytes(values)


def file_start(first_directory: int, big: bool) -> bytes:
    """Return the first bytes of a file."""
    if big:
        return struct.pack("<2sHHHQ", b"II", 43, 8, 0, first_directory)
    return struct.pack("<2sHI", b"II", 42, first_directory)


@dataclass(frozen=True)
class _Kind:
    entry: struct.Struct
    number: str
    size: int

    def layout(self) -> tuple[struct.Struct, str, int]:
        return self.entry, self.number, self.size


_CLASSIC = _Kind(struct.Struct("<HHI4s"), "I", 4)
_BIG = _Kind(struct.Struct("<HHQ8s"), "Q", 8)


def _tag(content: bytes | memoryview, at: int, entry: struct.Struct, number: str, size: int) -> Tag:
    code, type, count, field = entry.unpack_from(content, at)
    length = count * _WIDTHS[type]
    if length <= size:
        return Tag(code, type, count, field[:length])
    (place,) = struct.unpack(f"<{number}", field)
    payload = bytes(content[place : place + length])
    if len(payload) < length:
        raise ValueError("the TIFF is cut off")
    return Tag(code, type, count, payload)


def chosen(tags: Mapping[int, Tag], codes: Iterable[int]) -> list[Tag]:
    """Return those of the tags that are there, in the order of the codes."""
    return [tags[code] for code in codes if code in tags]
