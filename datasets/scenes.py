"""Turning users' images and labels into stored COGs, ready to be catalogued as scene and label items."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from shapely.geometry import shape
from stactools.core.utils.raster_footprint import RasterFootprint

from terralab.catalog.store import Store
from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import RASTER_OPTIONS, RasterFacts, open_raster, strips, valid_pixels
from terralab.datasets.scan import Scan, ScenePair
from terralab.extensions.imagery import TRUE_COLOR
from terralab.extensions.item import COORDINATE_DIGITS, Footprint, StoredFile
from terralab.extensions.raster import MASK_NODATA, Grid

_THUMBNAIL_SIZE = 256
_FOOTPRINT_SIZE = 512
_STRETCH = (2, 98)


@dataclass(frozen=True)
class StoredScene:
    """A scene's bytes in the store.

    Attributes:
        pair: what it was made from.
        image: COG with all bands.
        mask: COG of the label, uint8 with 255 where there is no label.
        thumbnail: PNG of at most 256 pixels.
        footprint: ground outline of the pixels with data.
    """

    pair: ScenePair
    image: StoredFile
    mask: StoredFile
    thumbnail: StoredFile
    footprint: Footprint


def store_scene(store: Store, scan: Scan, pair: ScenePair) -> StoredScene:
    """Re-encode one image and its label as COGs and store them with a thumbnail.

    Raises:
        InvalidRaster: a file became unreadable.
        OutOfSpace: the disk is full.
    """
    with store.scratch() as folder:
        image = store.put(image_cog(folder / f"{pair.id}.tif", pair.image, scan.bands))
        mask = store.put(_label_cog(folder / f"{pair.id}_label.tif", pair))
    with rasterio.Env(**RASTER_OPTIONS), rasterio.open(store.open_path(image.href), driver="GTiff") as dataset:
        thumbnail = store.put_bytes(thumbnail_png(dataset, scan.bands, scan.nodata), f"{pair.id}.png")
        footprint = data_footprint(dataset, scan.nodata, pair.image.grid.footprint(pair.start, pair.end))
    return StoredScene(pair, image, mask, thumbnail, footprint)


def to_mask(labels: NDArray[Any], nodata: float | None) -> NDArray[np.uint8]:
    """Return class values as uint8 with 255 where there is no label; any shape."""
    usable = np.where(valid_pixels(labels, nodata), labels, MASK_NODATA)
    return usable.astype(np.uint8)


def image_cog(
    target: Path,
    image: RasterFacts,
    bands: Sequence[str],
    select: Sequence[int] | None = None,
    grid: Grid | None = None,
) -> Path:
    """Write an image as a COG, and return its path.

    Args:
        target: file to write, in a scratch folder.
        image: what to read.
        bands: names of the bands that are taken.
        select: which they are, from 1; None for all.
        grid: where the pixels lie; None for the image's own grid.
    """
    writer = cog_writer(
        target,
        count=len(bands),
        data_type=image.data_type,
        grid=grid or image.grid,
        nodata=image.nodata,
        names=bands,
        labels=False,
    )
    places = None if select is None else [number - 1 for number in select]
    with open_raster(image.path) as source, writer as cog:
        for row, pixels in strips(source, image.name):
            cog.write(pixels if places is None else pixels[places], window=rows_window(row, pixels))
    return target


def _label_cog(target: Path, pair: ScenePair) -> Path:
    # The image's grid, not the label's own: they agree within a thousandth of a pixel, and now to the last digit.
    writer = cog_writer(
        target,
        count=1,
        data_type="uint8",
        grid=pair.image.grid,
        nodata=MASK_NODATA,
        names=["label"],
        labels=True,
    )
    with open_raster(pair.label.path) as source, writer as cog:
        for row, pixels in strips(source, pair.label.name):
            cog.write(to_mask(pixels, pair.label_nodata), window=rows_window(row, pixels))
    return target


def rows_window(row: int, pixels: NDArray[Any]) -> rasterio.windows.Window:
    """Return the window of whole rows that a strip fills."""
    return rasterio.windows.Window(0, row, pixels.shape[2], pixels.shape[1])


def thumbnail_png(dataset: Any, bands: Sequence[str], nodata: float | None) -> bytes:
    """Return a PNG: true colour where the bands allow it, else the first band in grey; transparent where no data."""
    names = list(bands)
    chosen = [names.index(name) + 1 for name in TRUE_COLOR] if set(TRUE_COLOR) <= set(names) else [1, 1, 1]
    pixels = dataset.read(chosen, out_shape=(3, *_small(dataset.shape, _THUMBNAIL_SIZE)))
    valid = valid_pixels(pixels, nodata)
    image = np.zeros((4, *pixels.shape[1:]), np.uint8)
    image[3] = 255 * valid.all(axis=0)
    for band in range(3):
        image[band] = _stretched(pixels[band], valid[band])
    with rasterio.Env(**RASTER_OPTIONS), MemoryFile() as memory, catch_warnings():
        simplefilter("ignore", NotGeoreferencedWarning)  # a picture has no place on the ground
        size = {"height": image.shape[1], "width": image.shape[2]}
        with memory.open(driver="PNG", count=4, dtype="uint8", **size) as png:
            png.write(image)
        return bytes(memory.getbuffer())


def _stretched(band: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    if not valid.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(band[valid].astype(np.float64), _STRETCH)
    share = (np.where(valid, band, low).astype(np.float64) - low) / max(high - low, 1e-9)
    stretched: NDArray[np.uint8] = (255 * np.clip(share, 0, 1)).round().astype(np.uint8)
    return stretched


def data_footprint(dataset: Any, nodata: float | None, whole: Footprint) -> Footprint:
    """Return the outline of the pixels with data, found on a reduced copy; `whole` is that of all pixels."""
    rows, columns = _small(dataset.shape, _FOOTPRINT_SIZE)
    usable = valid_pixels(dataset.read(out_shape=(dataset.count, rows, columns)), nodata).any(axis=0)
    if usable.all():
        return whole
    reduced = dataset.transform @ Affine.scale(dataset.width / columns, dataset.height / rows)
    pixel = max(whole.geometry.bounds[2] - whole.geometry.bounds[0], 1e-9) / columns
    found = RasterFootprint(
        usable.astype(np.uint8),
        CRS.from_user_input(dataset.crs),
        reduced,
        precision=COORDINATE_DIGITS,
        densification_factor=2,
        simplify_tolerance=pixel,
        no_data=0,
    ).footprint()
    outline = shape(found) if found else whole.geometry
    if outline.is_empty or not outline.is_valid:
        return whole
    return Footprint(outline, whole.start, whole.end)


def _small(full: tuple[int, int], largest: int) -> tuple[int, int]:
    scale = min(1.0, largest / max(full))
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))
