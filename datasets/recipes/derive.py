"""Doing a recipe: blocks of rows in, a cloud-optimized GeoTIFF of float32 out, NaN where there is no result."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window

from terralab.catalog.errors import InvalidInput, InvalidRaster
from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import open_raster, valid_pixels
from terralab.datasets.recipes.recipe import Block, Plan, Source, Values
from terralab.datasets.statistics import BandSums
from terralab.extensions.raster import BandRecord

BLOCK_ROWS = 512  # a row of the result's tiles: each block of an ordinary scene is read once
_LEAST_ROWS = 32
_BLOCK_BYTES = 256 << 20
OnRows = Callable[[int, int], None]
"""Told how many rows of how many are done."""


def derive(
    sources: Sequence[Source], plan: Plan, target: Path, on_rows: OnRows, block_rows: int | None = None
) -> list[BandRecord]:
    """Compute a recipe's result.

    Args:
        sources: all on one grid.
        plan: of the recipe, for these sources.
        target: COG to write, in a scratch folder.
        on_rows: told of every block.
        block_rows: rows at a time; by default 512, or fewer where wide scenes or many of them take much memory.

    Returns:
        The bands with their statistics.

    Raises:
        InvalidRaster: a source cannot be read.
        InvalidInput: no pixel has a result.
        OutOfSpace: the disk is full.
    """
    grid = sources[0].grid
    rows = block_rows or _rows_at_a_time(sources)
    passes = 1 if plan.survey is None else 2
    total, done = grid.shape[0] * passes, 0
    if plan.survey is not None:
        for block in _blocks(sources, 0, rows):
            plan.survey(block)
            done += _rows(block)
            on_rows(done, total)
    sums: list[list[BandSums]] = []
    names = list(plan.names)
    writer = cog_writer(
        target, count=len(names), data_type="float32", grid=grid, nodata=np.nan, names=names, labels=False
    )
    with writer as cog:
        for block in _blocks(sources, plan.halo, rows):
            found = plan.compute(block)
            cog.write(found, window=Window(0, block.first, grid.shape[1], found.shape[1]))
            sums.append([BandSums.of_pixels(band, np.isfinite(band)) for band in found])
            done += _rows(block)
            on_rows(done, total)
    pooled = [BandSums.pooled(band) for band in zip(*sums, strict=True)]
    if not any(band.count for band in pooled):
        raise InvalidInput(f"no pixel of {sources[0].name} has a result; look at its data and at the parameters")
    return [BandRecord(name, "float32", np.nan, band.statistics()) for name, band in zip(names, pooled, strict=True)]


def _rows_at_a_time(sources: Sequence[Source]) -> int:
    row_bytes = 4 * sources[0].grid.shape[1] * sum(len(source.bands) for source in sources)
    rows = BLOCK_ROWS
    while rows > _LEAST_ROWS and rows * row_bytes > _BLOCK_BYTES:
        rows //= 2
    return rows


def _blocks(sources: Sequence[Source], halo: int, rows: int) -> Iterator[Block]:
    height, width = sources[0].grid.shape
    with ExitStack() as stack:
        opened = [stack.enter_context(open_raster(source.path)) for source in sources]
        for first in range(0, height, rows):
            last = min(first + rows, height)
            above, below = min(halo, first), min(halo, height - last)
            window = Window(0, first - above, width, last - first + above + below)
            values = [_read(dataset, source, window) for dataset, source in zip(opened, sources, strict=True)]
            yield Block(values, first, above, below, sources[0].grid)


def _read(dataset: Any, source: Source, window: Window) -> Values:
    try:
        pixels = dataset.read(window=window)
    except RasterioError as error:
        raise InvalidRaster(f"{source.name}: rows from {window.row_off} on cannot be read") from error
    values: Values = pixels.astype(np.float32)
    for band, (own, record) in enumerate(zip(pixels, source.bands, strict=True)):
        values[band][~valid_pixels(own, record.nodata)] = np.nan
    return values


def _rows(block: Block) -> int:
    inner = block.inner
    return int(inner.stop - inner.start)
