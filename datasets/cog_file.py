"""Turning an uncompressed tiled GeoTIFF into a cloud-optimized one, tile by tile in threads.

The tiles are taken as they lie in the file, through a memory map, and compressed by all cores; GDAL's own driver
decodes, copies and encodes them on one. The order in the file is that of the specification: directories, then the
tiles of the smallest overview up to those of the full image, each with its length before and its last bytes behind.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from terralab.datasets import tiff_tags as tags
from terralab.datasets.overviews import Level, overview_levels
from terralab.datasets.tiff_tags import Tag, chosen
from terralab.datasets.tile_codec import compressed_tile

_CLASSIC_LIMIT = (1 << 32) - (64 << 20)
_THREADS = min(8, os.cpu_count() or 1)
_AHEAD = 4 * _THREADS
_LEADER, _TRAILER = 4, 4
_LAYOUT = (
    "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    "BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
_GHOST = f"GDAL_STRUCTURAL_METADATA_SIZE={len(_LAYOUT):06d} bytes\n{_LAYOUT}".encode("ascii")
_OF_OVERVIEWS = (
    *(tags.BITS, tags.PHOTOMETRIC, tags.SAMPLES, tags.PLANAR, tags.COLORMAP),
    *(tags.EXTRA_SAMPLES, tags.SAMPLE_FORMAT, tags.GDAL_NODATA),
)
_REPLACED = (
    *(tags.SUBFILE, tags.WIDTH, tags.HEIGHT, tags.COMPRESSION, tags.PREDICTOR),
    *(tags.TILE_WIDTH, tags.TILE_HEIGHT, tags.TILE_OFFSETS, tags.TILE_BYTES),
)


class DamagedFile(ValueError):
    """The uncompressed file lacks pixels, as where the disk was full."""


@dataclass(frozen=True)
class Encoding:
    """How tiles are compressed: TIFF's predictor, and the level of Zstandard."""

    predictor: int
    level: int


def write_cog(plain: Path, target: Path, *, data_type: np.dtype[Any], encoding: Encoding, average: bool) -> None:
    """Write the COG of a plain file.

    Args:
        plain: uncompressed GeoTIFF, pixel-interleaved, in square tiles.
        target: file to write.
        data_type: of the pixels.
        encoding: how tiles are compressed.
        average: overviews average the pixels with data; else they take every second pixel.

    Raises:
        DamagedFile: tiles are missing in the plain file.
        OSError: the disk is full.
    """
    if not plain.stat().st_size:
        raise DamagedFile("the file is empty")
    content = np.memmap(plain, np.uint8, "r")
    known = _known_tags(content)
    image = _image(content, known, data_type)
    levels = [image, *overview_levels(image, _nodata(known), average, plain.parent)]
    with target.open("wb") as output, ThreadPoolExecutor(_THREADS) as pool:
        _write(output, pool, known, levels, encoding)


def _known_tags(content: NDArray[np.uint8]) -> dict[int, Tag]:
    try:
        return tags.read_tags(content.data)
    except ValueError as error:
        raise DamagedFile(str(error)) from error


def _image(content: NDArray[np.uint8], known: Mapping[int, Tag], data_type: np.dtype[Any]) -> Level:
    """Return the full image, whose tiles are looked up in the file."""
    height, width, samples, block = (
        known[code].values()[0] for code in (tags.HEIGHT, tags.WIDTH, tags.SAMPLES, tags.TILE_WIDTH)
    )
    offsets, sizes = known[tags.TILE_OFFSETS].values(), known[tags.TILE_BYTES].values()
    whole = block * block * samples * data_type.itemsize
    if any(size != whole or not 0 < offset <= len(content) - size for offset, size in zip(offsets, sizes, strict=True)):
        raise DamagedFile("tiles are missing")
    across = -(-width // block)

    def tile(row: int, column: int) -> NDArray[Any]:
        start = offsets[row * across + column]
        pixels = content[start : start + whole].view(data_type.newbyteorder("<"))
        return pixels.reshape(block, block, samples)

    return Level(height, width, samples, block, data_type, tile)


def _nodata(known: Mapping[int, Tag]) -> float | None:
    found = known.get(tags.GDAL_NODATA)
    return None if found is None else float(found.payload.rstrip(b"\0 ").decode("ascii"))


def _write(
    output: BinaryIO, pool: ThreadPoolExecutor, known: Mapping[int, Tag], levels: Sequence[Level], encoding: Encoding
) -> None:
    big = sum(level.bytes for level in levels) > _CLASSIC_LIMIT
    empty = [([0] * level.tiles, [0] * level.tiles) for level in levels]
    start = _head(known, levels, encoding, empty, big)
    output.write(start)
    placed: list[tuple[list[int], list[int]]] = []
    at = len(start)
    for level in reversed(levels):
        offsets, sizes = [], []
        for content in _compressed(pool, level, encoding):
            output.write(len(content).to_bytes(_LEADER, "little") + content + content[-_TRAILER:])
            offsets.append(at + _LEADER)
            sizes.append(len(content))
            at += _LEADER + len(content) + _TRAILER
        placed.insert(0, (offsets, sizes))
    output.seek(0)
    output.write(_head(known, levels, encoding, placed, big))


def _compressed(pool: ThreadPoolExecutor, level: Level, encoding: Encoding) -> Iterator[bytes]:
    """Yield the level's compressed tiles, row by row, with a few under way."""

    def work(place: int) -> bytes:
        return compressed_tile(level.padded_tile(*divmod(place, level.across)), encoding.predictor, encoding.level)

    for first in range(0, level.tiles, _AHEAD):
        yield from pool.map(work, range(first, min(first + _AHEAD, level.tiles)))


def _head(
    known: Mapping[int, Tag],
    levels: Sequence[Level],
    encoding: Encoding,
    placed: Sequence[tuple[list[int], list[int]]],
    big: bool,
) -> bytes:
    """Return everything before the tiles: its length does not depend on where they lie."""
    result = bytearray(tags.file_start(0, big) + _GHOST)
    result += b"\0" * (-len(result) % 8)
    first = len(result)
    for number, (level, places) in enumerate(zip(levels, placed, strict=True)):
        entries = _entries(known, level, encoding, places, number > 0, big)
        length = tags.directory_size(entries, big)
        length += -length % 8
        following = len(result) + length if number + 1 < len(levels) else 0
        result += tags.directory(entries, len(result), big, following).ljust(length, b"\0")
    result[: len(tags.file_start(0, big))] = tags.file_start(first, big)
    return bytes(result)


def _entries(
    known: Mapping[int, Tag],
    level: Level,
    encoding: Encoding,
    places: tuple[list[int], list[int]],
    overview: bool,
    big: bool,
) -> list[Tag]:
    kept = chosen(known, _OF_OVERVIEWS) if overview else [tag for tag in known.values() if tag.code not in _REPLACED]
    own = [
        Tag.long(tags.WIDTH, [level.width]),
        Tag.long(tags.HEIGHT, [level.height]),
        Tag.short(tags.COMPRESSION, tags.ZSTD),
        Tag.short(tags.PREDICTOR, encoding.predictor),
        Tag.short(tags.TILE_WIDTH, level.block),
        Tag.short(tags.TILE_HEIGHT, level.block),
        Tag.long(tags.TILE_OFFSETS, places[0], big),
        Tag.long(tags.TILE_BYTES, places[1]),
    ]
    return [*kept, *own, *([Tag.long(tags.SUBFILE, [1])] if overview else [])]
