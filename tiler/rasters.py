"""Opening stored rasters safely, and keeping them open.

Safe: only GeoTIFF by its first bytes and by GDAL's driver, no sidecar files, and none of the metadata by which a
GeoTIFF makes GDAL open other files (an `OVERVIEWS` or `GEOLOCATION` domain reads what it names, and by one driver even
writes it). Fast: files of the asset store never change, so an open dataset, with GDAL's decoded blocks, serves the next
tile.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from threading import Lock

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from terralab.catalog.errors import InvalidRaster

GDAL_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_CACHEMAX": 256 * 2**20,  # rasterio takes bytes, not megabytes
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
}
"""GDAL configuration under which every raster is opened and read."""

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORBIDDEN_DOMAINS = frozenset({"OVERVIEWS", "GEOLOCATION", "RPC", "SUBDATASETS"})
_MAX_BLOCK_BYTES = 256 * 2**20  # one block is read whole, whatever part of it a tile shows
_KEPT_OPEN = 32


class OpenRasters:
    """A pool of open datasets; each is lent to one thread at a time.

    Args:
        kept: how many idle ones are kept open, the least recently used are closed.
    """

    def __init__(self, kept: int = _KEPT_OPEN) -> None:
        self._kept = kept
        self._idle: OrderedDict[int, tuple[Path, DatasetReader]] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def borrow(self, path: Path) -> Iterator[DatasetReader]:
        """Yield an open dataset of a stored file.

        Raises:
            InvalidRaster: it is not a GeoTIFF that is safe to read.
        """
        dataset = self._take(path) or open_raster(path)
        try:
            yield dataset
        except RasterioError:
            dataset.close()  # its block cache may hold half of what could not be read
            raise
        except BaseException:
            self._give_back(path, dataset)
            raise
        self._give_back(path, dataset)

    def close(self) -> None:
        """Close all idle datasets."""
        with self._lock:
            while self._idle:
                self._idle.popitem()[1][1].close()

    def _take(self, path: Path) -> DatasetReader | None:
        with self._lock:
            for key in reversed(self._idle):
                if self._idle[key][0] == path:
                    return self._idle.pop(key)[1]
        return None

    def _give_back(self, path: Path, dataset: DatasetReader) -> None:
        with self._lock:
            self._idle[id(dataset)] = (path, dataset)
            old = [self._idle.popitem(last=False)[1][1] for _ in range(len(self._idle) - self._kept)]
        for other in old:
            other.close()


def open_raster(path: Path) -> DatasetReader:
    """Open a stored file; call it in a `rasterio.Env(**GDAL_OPTIONS)`.

    Raises:
        InvalidRaster: it is not a GeoTIFF that is safe to read.
    """
    with path.open("rb") as stream:
        if stream.read(4) not in _MAGIC:
            raise InvalidRaster("the asset is not a TIFF file, whatever its name says")
    try:
        dataset = rasterio.open(path, driver="GTiff", sharing=False)
    except RasterioError as error:
        raise InvalidRaster("the asset is not a complete GeoTIFF file") from error
    problem = _problem(dataset)
    if problem:
        dataset.close()
        raise InvalidRaster(problem)
    return dataset


def _problem(dataset: DatasetReader) -> str | None:
    domains = set(dataset.tag_namespaces()) & _FORBIDDEN_DOMAINS
    if domains or dataset.tags(ns="OVERVIEWS") or dataset.tags(ns="GEOLOCATION"):
        return "the GeoTIFF refers to other files in its metadata; store a plain copy of it"
    if dataset.crs is None or dataset.gcps[0] or dataset.transform.is_identity:
        return "the GeoTIFF has no coordinate system and affine position, so it has no place on a map"
    kinds = {np.dtype(name).kind if name in np.sctypeDict else "V" for name in dataset.dtypes}
    if not kinds <= set("uif"):
        return f"the GeoTIFF has {dataset.dtypes[0]} pixels, which no image can show"
    for block, name in zip(dataset.block_shapes, dataset.dtypes, strict=True):
        if prod(block) * np.dtype(name).itemsize > _MAX_BLOCK_BYTES:
            return f"the GeoTIFF has blocks of {block[1]} × {block[0]} pixels; store it with blocks of 512 × 512"
    return None
