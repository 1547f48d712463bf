"""A class map as files: a COG with the classes' colours and names, an optional probability map, and a thumbnail.

All are written while the rows come; only a reduced copy for the thumbnail is kept in memory.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.windows import Window

from terralab.catalog.store import Store
from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import RASTER_OPTIONS
from terralab.extensions.item import StoredFile
from terralab.extensions.raster import MASK_NODATA, ClassDefinition, Grid
from terralab.flows.inference.engine import PredictedRows
from terralab.flows.inference.resolution import pixel_areas

_THUMBNAIL_SIZE = 512


@dataclass(frozen=True)
class StoredPrediction:
    """A class map in the store.

    Attributes:
        raster: uint8 COG of class values, 255 without data.
        confidence: uint8 COG of percent, 255 without data; None where it was not asked for.
        thumbnail: PNG in class colours.
        pixels: pixels by class name.
        square_metres: area by class name.
    """

    raster: StoredFile
    confidence: StoredFile | None
    thumbnail: StoredFile
    pixels: dict[str, int]
    square_metres: dict[str, float]


def store_prediction(
    store: Store,
    name: str,
    grid: Grid,
    classes: Sequence[ClassDefinition],
    parts: Iterator[PredictedRows],
    *,
    confidence: bool,
    on_rows: Callable[[int], None],
) -> StoredPrediction:
    """Write the rows of a class map as they come, and store the finished files.

    Args:
        store: the asset store.
        name: stem of the file names.
        grid: where the pixels lie.
        classes: the classes.
        parts: rows from the top, with a confidence where `confidence` is set.
        confidence: whether to write the probability map too.
        on_rows: told the number of finished rows.

    Raises:
        OutOfSpace: the disk is full.
    """
    tally = _Tally(grid, classes)
    with store.scratch() as folder:
        targets = [folder / f"{name}.tif", *([folder / f"{name}_confidence.tif"] if confidence else [])]
        with ExitStack() as stack:
            maps = [stack.enter_context(_writer(target, grid)) for target in targets]
            _describe(maps[0], classes)
            for part in parts:
                window = Window(0, part.row, part.classes.shape[1], part.classes.shape[0])
                for dataset, pixels in zip(maps, (part.classes, part.confidence), strict=False):
                    dataset.write(pixels, 1, window=window)
                tally.add(part)
                on_rows(part.row + len(part.classes))
        stored = [store.put(target) for target in targets]
    return StoredPrediction(
        stored[0],
        stored[1] if confidence else None,
        store.put_bytes(_thumbnail(tally.reduced(), classes), f"{name}.png"),
        tally.pixels(),
        tally.square_metres(),
    )


@dataclass
class _Tally:
    """What is counted while the rows pass by."""

    grid: Grid
    classes: Sequence[ClassDefinition]
    counts: NDArray[np.int64] = field(init=False)
    areas: NDArray[np.float64] = field(init=False)
    kept: list[NDArray[np.uint8]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts, self.areas = np.zeros(MASK_NODATA + 1, np.int64), np.zeros(MASK_NODATA + 1)
        self.step = -(-max(self.grid.shape) // _THUMBNAIL_SIZE)

    def add(self, part: PredictedRows) -> None:
        rows = len(part.classes)
        area = pixel_areas(self.grid, part.row, rows)
        for row in range(rows):
            counts = np.bincount(part.classes[row], minlength=MASK_NODATA + 1)
            self.counts += counts
            self.areas += counts * area[row]
        first = -part.row % self.step
        self.kept.append(part.classes[first :: self.step, :: self.step].copy())

    def reduced(self) -> NDArray[np.uint8]:
        return np.concatenate(self.kept)

    def pixels(self) -> dict[str, int]:
        return {entry.name: int(self.counts[entry.value]) for entry in self.classes}

    def square_metres(self) -> dict[str, float]:
        return {entry.name: float(self.areas[entry.value]) for entry in self.classes}


def _writer(target: Path, grid: Grid) -> Any:
    return cog_writer(
        target, count=1, data_type="uint8", grid=grid, nodata=MASK_NODATA, names=[target.stem], labels=True
    )


def _describe(dataset: Any, classes: Sequence[ClassDefinition]) -> None:
    """Write colours and names of the classes into the file, before its first pixel."""
    dataset.descriptions = ("class",)
    dataset.write_colormap(1, _colours(classes))
    dataset.update_tags(1, **{f"class_{entry.value}": entry.title or entry.name for entry in classes})


def _colours(classes: Sequence[ClassDefinition]) -> dict[int, tuple[int, ...]]:
    shown: dict[int, tuple[int, ...]] = {entry.value: (*bytes.fromhex(entry.color), 255) for entry in classes}
    return {MASK_NODATA: (0, 0, 0, 0), **shown}


def _thumbnail(pixels: NDArray[np.uint8], classes: Sequence[ClassDefinition]) -> bytes:
    """Return a PNG in class colours, transparent where there is no data."""
    table = np.zeros((MASK_NODATA + 1, 4), np.uint8)
    for value, colour in _colours(classes).items():
        table[value] = colour
    with rasterio.Env(**RASTER_OPTIONS), MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a thumbnail lies nowhere on the ground
        with memory.open(driver="PNG", count=4, dtype="uint8", height=pixels.shape[0], width=pixels.shape[1]) as png:
            png.write(np.moveaxis(table[pixels], 2, 0))
        return bytes(memory.getbuffer())
