"""The one reader of the tile server: a rio-tiler reader that opens stored GeoTIFFs only, safely, within limits."""

from pathlib import Path
from typing import Any

import attr
import numpy as np
from morecantile import Tile
from rasterio.crs import CRS
from rasterio.warp import transform_bounds
from rio_tiler.constants import WGS84_CRS
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader
from rio_tiler.models import ImageData, PointData
from rio_tiler.utils import get_vrt_transform, non_alpha_indexes, output_size

from terralab.catalog.errors import InvalidInput
from terralab.tiler.rasters import OpenRasters
from terralab.tiler.resample import Target, read_target

DEEPEST_ZOOM = 24
Sides = tuple[int | None, int | None, int | None]
"""Wanted height, width and longest side of an image, in pixels."""


@attr.s
class SafeReader(Reader):
    """Reads tiles, parts, previews and points of one stored GeoTIFF.

    Attributes:
        input: path of a verified file in the asset store.
        rasters: where open datasets are borrowed from.
        largest: most pixels along one side of an image.
    """

    rasters: OpenRasters = attr.ib(kw_only=True, factory=OpenRasters)
    largest: int = attr.ib(kw_only=True, default=2048)

    def __attrs_post_init__(self) -> None:
        """Open the file, by the pool."""
        self.dataset = self._ctx_stack.enter_context(self.rasters.borrow(Path(self.input)))
        super().__attrs_post_init__()
        if self.dataset.count > 1:
            self.colormap: dict[int, Any] = {}  # a colour table means its own band only

    def __exit__(self, *raised: Any) -> None:
        """Give the dataset back, and say whether reading failed."""
        self._ctx_stack.__exit__(*raised)

    def tile(self, tile_x: int, tile_y: int, tile_z: int, *args: Any, **options: Any) -> ImageData:
        """Read one tile; what the tile matrix set does not have is as absent as a tile beside the raster."""
        matrix = self.tms.matrix(tile_z) if 0 <= tile_z <= DEEPEST_ZOOM else None
        if matrix is None or not (0 <= tile_x < matrix.matrixWidth and 0 <= tile_y < matrix.matrixHeight):
            raise TileOutsideBounds(f"there is no tile {tile_z}/{tile_x}/{tile_y} in {self.tms.id}")
        return super().tile(tile_x, tile_y, tile_z, *args, **options)

    def tile_exists(self, tile_x: int, tile_y: int, tile_z: int) -> bool:
        """Return whether the tile touches the raster."""
        left, bottom, right, top = self.tms.bounds(Tile(x=tile_x, y=tile_y, z=tile_z))
        west, south, east, north = self.get_geographic_bounds(self.tms.rasterio_geographic_crs)
        across = west <= right and left <= east if west <= east else right >= west or left <= east
        return bool(across and south <= top and bottom <= north)

    def part(
        self,
        bbox: tuple[float, float, float, float],
        dst_crs: CRS | None = None,
        bounds_crs: CRS = WGS84_CRS,
        indexes: Any = None,
        max_size: int | None = None,
        height: int | None = None,
        width: int | None = None,
        buffer: float | None = None,
        **options: Any,
    ) -> ImageData:
        """Read a box in any coordinate system."""
        bands, nodata = self._checked(indexes, options)
        target = self._target(bbox, dst_crs or bounds_crs, bounds_crs, (height, width, max_size), buffer)
        return ImageData(
            read_target(self.dataset, target, bands, nodata, options.get("resampling_method", "nearest")),
            bounds=target.bounds,
            crs=target.crs,
            band_names=[f"b{index}" for index in bands],
            band_descriptions=[self.dataset.descriptions[index - 1] or f"b{index}" for index in bands],
            nodata=nodata,
        )

    def read(self, indexes: Any = None, **options: Any) -> ImageData:
        """Read the whole raster, made smaller."""
        bands, nodata = self._checked(indexes, options)
        sides = options.get("height"), options.get("width"), options.get("max_size")
        height, width = _size(self.height, self.width, sides)
        self._check_size(height, width)
        return super().read(bands, **{**options, "nodata": nodata, "height": height, "width": width, "max_size": None})

    def point(self, lon: float, lat: float, indexes: Any = None, **options: Any) -> PointData:
        """Read the pixel at a place."""
        bands, nodata = self._checked(indexes, options)
        # rio-tiler would warp for a nodata value that the file has anyway
        given = {} if nodata == self.dataset.nodata else {"nodata": nodata}
        return super().point(lon, lat, indexes=bands, **{**options, **given})

    def _target(
        self,
        bbox: tuple[float, float, float, float],
        crs: CRS,
        bounds_crs: CRS,
        sides: Sides,
        buffer: float | None,
    ) -> Target:
        height, width, _ = sides
        if crs == bounds_crs and height and width:
            target = Target(bbox, crs, width, height)
        else:
            target = self._native_target(bbox, crs, bounds_crs, sides)
        self._check_size(target.height, target.width)
        return _grown(target, buffer) if buffer else target

    def _native_target(
        self,
        bbox: tuple[float, float, float, float],
        crs: CRS,
        bounds_crs: CRS,
        sides: Sides,
    ) -> Target:
        """Return the target at the raster's own resolution, unless sides are given."""
        bounds = bbox if crs == bounds_crs else transform_bounds(bounds_crs, crs, *bbox, densify_pts=21)
        if not np.isfinite(bounds).all():
            raise InvalidInput(f"bbox: {bbox} has no place in the coordinate system of the image")
        _, full_width, full_height = get_vrt_transform(self.dataset, bounds, sides[0], sides[1], dst_crs=crs)
        height, width = _size(full_height, full_width, sides)
        return Target(tuple(bounds), crs, width, height)

    def _checked(self, indexes: Any, options: dict[str, Any]) -> tuple[tuple[int, ...], float | None]:
        """Return the bands to read and the nodata value that holds for them."""
        bands = (indexes,) if isinstance(indexes, int) else tuple(indexes or non_alpha_indexes(self.dataset))
        for band in bands:
            if band not in self.dataset.indexes:
                raise InvalidInput(f"bidx: there is no band {band}; the raster has the bands 1 … {self.dataset.count}")
        nodata = options.pop("nodata", None)
        nodata = self.dataset.nodata if nodata is None else float(nodata)
        if nodata is not None and not _can_hold(self.dataset.dtypes[bands[0] - 1], nodata):
            raise InvalidInput(f"nodata: {nodata} cannot be a value of {self.dataset.dtypes[bands[0] - 1]} pixels")
        return bands, nodata

    def _check_size(self, height: int, width: int) -> None:
        if max(height, width) > self.largest:
            raise InvalidInput(
                f"the image would have {width} × {height} pixels; at most {self.largest} a side are made"
            )


def _size(height: int, width: int, sides: Sides) -> tuple[int, int]:
    """Return height and width of the image of a raster part with those of the part."""
    found: tuple[int, int] = output_size(
        dataset_height=height, dataset_width=width, output_height=sides[0], output_width=sides[1], max_size=sides[2]
    )
    return found


def _grown(target: Target, buffer: float) -> Target:
    left, bottom, right, top = target.bounds
    extra_x, extra_y = (right - left) / target.width * buffer, (top - bottom) / target.height * buffer
    bounds = (left - extra_x, bottom - extra_y, right + extra_x, top + extra_y)
    return Target(bounds, target.crs, target.width + int(2 * buffer), target.height + int(2 * buffer))


def _can_hold(dtype: str, value: float) -> bool:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return True
    limits = np.iinfo(kind)
    return bool(np.isfinite(value)) and value.is_integer() and limits.min <= value <= limits.max
