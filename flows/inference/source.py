"""What a model looks at: the right bands of an item's raster, by name, in a window, scaled as the model expects.

A pixel has no data where any of the model's bands has none (the band's nodata value, or NaN): the class map says nodata
there. In that band the network sees the training mean, as it did in training.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window

from terralab.catalog.errors import AssetCorrupt, InvalidInput
from terralab.catalog.store import Store
from terralab.datasets.raster_file import RasterFacts, open_raster, read_facts, valid_pixels
from terralab.extensions.bands import canonical_band_name
from terralab.extensions.imagery import IMAGE_ASSET
from terralab.extensions.model import ModelInput
from terralab.extensions.raster import Grid
from terralab.flows.inference.engine import Reader

_PIXEL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Source:
    """One raster to predict on.

    Attributes:
        item: the scene.
        asset: key of its raster asset.
        indexes: 1-based place in the file of each of the model's bands.
        nodata: value without data of each of those bands, None where it has none.
        origin: row and column of the window's upper left pixel in the file.
        grid: the window's grid.
    """

    item: Mapping[str, Any]
    asset: str
    indexes: tuple[int, ...]
    nodata: tuple[float | None, ...]
    origin: tuple[int, int]
    grid: Grid

    @property
    def name(self) -> str:
        """Return `<collection>/<item>`."""
        return f"{self.item['collection']}/{self.item['id']}"

    @property
    def href(self) -> str:
        """Return the raster's reference in the store."""
        return str(self.item["assets"][self.asset]["href"])

    @property
    def checksum(self) -> str:
        """Return the multihash of the raster's bytes."""
        return str(self.item["assets"][self.asset]["file:checksum"])

    @property
    def window(self) -> list[int]:
        """Return row, column, rows and columns of the window in the file."""
        return [*self.origin, *self.grid.shape]


def source_of_item(store: Store, item: Mapping[str, Any], bands: Sequence[str], bbox: Sequence[float] | None) -> Source:
    """Return what a model with those bands reads of an item.

    Args:
        store: the asset store.
        item: a scene with the asset `image`, or another raster asset that has the bands.
        bands: the model's bands, in channel order.
        bbox: west, south, east, north in degrees to clip to, None for all of it.

    Raises:
        InvalidInput: no asset has all bands, or the box lies outside.
        AssetCorrupt: the raster is missing.
    """
    key = _asset_with(item, bands)
    entries = item["assets"][key]["bands"]
    indexes = band_indexes(f"{item['collection']}/{item['id']}", _names(entries), bands)
    facts = read_facts(store.open_path(item["assets"][key]["href"]))
    nodata = tuple(_nodata(entries[index - 1], facts) for index in indexes)
    if bbox is None:
        return Source(item, key, indexes, nodata, (0, 0), facts.grid)
    origin, grid = clip(facts.grid, bbox)
    return Source(item, key, indexes, nodata, origin, grid)


def band_indexes(where: str, found: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...]:
    """Return the 1-based place among `found` of each wanted band; both may be written as people write them.

    Raises:
        InvalidInput: a band is missing; the message lists what is expected and what is there.
    """
    names = [canonical_band_name(name) for name in found]
    missing = [name for name in wanted if canonical_band_name(name) not in names]
    if missing:
        raise InvalidInput(
            f"{where} lacks the bands {', '.join(missing)}: the model reads {', '.join(wanted)};"
            f" there are {', '.join(found) or 'no named bands'}; name the bands of a file with --bands"
        )
    return tuple(names.index(canonical_band_name(name)) + 1 for name in wanted)


def has_bands(item: Mapping[str, Any], bands: Sequence[str]) -> bool:
    """Say whether an asset of the item has all of the bands."""
    wanted = {canonical_band_name(name) for name in bands}
    return any(wanted <= set(_names(asset.get("bands", []))) for asset in _rasters(item).values())


def clip(grid: Grid, bbox: Sequence[float]) -> tuple[tuple[int, int], Grid]:
    """Return the part of a grid that a box in degrees touches, in whole pixels: its row and column, and its own grid.

    Raises:
        InvalidInput: the box lies outside.
    """
    to_grid = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    west, south, east, north = bbox
    left, bottom, right, top = to_grid.transform_bounds(west, south, east, north)
    a, b, c, d, e, f = grid.transform
    first_column, end_column = _touched((left - c) / a, (right - c) / a, grid.shape[1])
    first_row, end_row = _touched((top - f) / e, (bottom - f) / e, grid.shape[0])
    if first_column >= end_column or first_row >= end_row:
        raise InvalidInput(f"the box {list(bbox)} lies outside the raster")
    moved = (a, b, c + a * first_column, d, e, f + e * first_row)
    return (first_row, first_column), Grid(grid.crs, moved, (end_row - first_row, end_column - first_column))


@contextmanager
def open_source(store: Store, source: Source, model_input: ModelInput) -> Iterator[Reader]:
    """Yield a reader of the source's window, after comparing the raster with its checksum.

    Raises:
        AssetCorrupt: the raster is missing or damaged.
    """
    mean = np.asarray(model_input.mean, np.float32)[:, None, None]
    stddev = np.asarray(model_input.stddev, np.float32)[:, None, None]
    with open_raster(store.verify(source.href)) as dataset:

        def read(row: int, rows: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            window = Window(source.origin[1], source.origin[0] + row, source.grid.shape[1], rows)
            try:
                pixels = dataset.read(list(source.indexes), window=window)
            except RasterioError as error:
                raise AssetCorrupt(f"{source.name}: rows {row} to {row + rows - 1} cannot be read") from error
            valid = np.stack([valid_pixels(*pair) for pair in zip(pixels, source.nodata, strict=True)])
            scaled = (pixels.astype(np.float32) - mean) / stddev
            scaled[~valid] = 0
            complete: NDArray[np.bool_] = np.logical_and.reduce(valid)
            return scaled, complete

        yield read


def _touched(first: float, last: float, length: int) -> tuple[int, int]:
    """Return first and end of the pixels that an interval touches."""
    start, end = math.floor(first + _PIXEL_TOLERANCE), math.ceil(last - _PIXEL_TOLERANCE)
    return max(0, start), min(length, end)


def _asset_with(item: Mapping[str, Any], bands: Sequence[str]) -> str:
    """Return the key of the asset that has the bands: `image` first, then the others by name."""
    wanted = {canonical_band_name(name) for name in bands}
    rasters = _rasters(item)
    keys = sorted(rasters, key=lambda key: (key != IMAGE_ASSET, key))
    if not keys:
        raise InvalidInput(f"{item['collection']}/{item['id']} has no raster asset with named bands to predict on")
    return next((key for key in keys if wanted <= set(_names(rasters[key]["bands"]))), keys[0])


def _rasters(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: asset
        for key, asset in item["assets"].items()
        if asset.get("bands") and str(asset.get("type", "")).startswith("image/tiff")
    }


def _names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return [canonical_band_name(str(entry.get("name", ""))) for entry in entries]


def _nodata(entry: Mapping[str, Any], facts: RasterFacts) -> float | None:
    """Return a band's nodata: the file's own, else what the catalog says (NaN as `nan`) where a pixel can have it."""
    if facts.nodata is not None or entry.get("nodata") is None:
        return facts.nodata
    value, kind = float(entry["nodata"]), np.dtype(facts.data_type)
    if kind.kind == "f":
        return value
    limits = np.iinfo(kind)
    return value if value.is_integer() and limits.min <= value <= limits.max else None
