"""Opening users' GeoTIFFs safely, and reading them strip by strip.

A file that a user gives is not trusted: its first bytes must be those of a TIFF, its metadata must not send GDAL to
other files, and GDAL may use its GeoTIFF driver alone. Reading goes by strips of whole rows that follow the file's own
blocks, so each block is decoded once and memory does not grow with the file's height.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.enums import WktVersion
from rasterio.errors import RasterioError
from rasterio.windows import Window

from terralab.catalog.errors import InvalidRaster
from terralab.extensions.raster import Grid

RASTER_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
}
"""GDAL reads the file that it is given, and no other."""

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GDAL_METADATA_TAG = 42112
_STRIP_ROWS = 256
_NUMBER_KINDS = "iuf"


@dataclass(frozen=True)
class RasterFacts:
    """What a raster file says of itself.

    Attributes:
        path: where it is.
        name: file name, as messages show it.
        grid: coordinate system, transform and shape.
        data_type: numpy's name of the pixel type.
        descriptions: text of each band, None where it has none; its length is the number of bands.
        nodata: the value of pixels without data, None where the file names none (or one that no pixel can have).
        written: TIFFTAG_DATETIME, or the tag `datetime`; None where the file has neither.
    """

    path: Path
    name: str
    grid: Grid
    data_type: str
    descriptions: tuple[str | None, ...]
    nodata: float | None
    written: str | None

    @property
    def count(self) -> int:
        """Return the number of bands."""
        return len(self.descriptions)


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Yield the open rasterio dataset of a GeoTIFF that has passed the checks.

    Raises:
        InvalidRaster: the file is not a GeoTIFF, or its metadata refers to other files.
    """
    check_file(path)
    with rasterio.Env(**RASTER_OPTIONS):
        try:
            # Not OVERVIEW_LEVEL=NONE: GDAL 3.10 then hides the band names. Overviews are refused below and never read.
            dataset = rasterio.open(path.absolute(), driver="GTiff", sharing=False)
        except RasterioError as error:
            raise InvalidRaster(f"{path.name}: not a readable GeoTIFF ({_one_line(error)}); export it again") from error
        with dataset:
            if dataset.tags(ns="OVERVIEWS"):
                raise _refers_elsewhere(path.name)
            yield dataset


def read_facts(path: Path) -> RasterFacts:
    """Read a raster's header and check that the lab can use it.

    Raises:
        InvalidRaster: no GeoTIFF, no coordinate system, no north-up georeference, or pixels that are not real numbers.
    """
    with open_raster(path) as dataset:
        types = sorted(set(dataset.dtypes))
        if len(types) != 1 or np.dtype(_numpy_name(types[0])).kind not in _NUMBER_KINDS:
            raise InvalidRaster(f"{path.name}: pixel type {', '.join(types)}; give one real number type for all bands")
        return RasterFacts(
            path,
            path.name,
            raster_grid(dataset, path.name),
            types[0],
            tuple(dataset.descriptions),
            _usable_nodata(dataset.nodata, types[0]),
            dataset.tags().get("TIFFTAG_DATETIME") or dataset.tags().get("datetime"),
        )


def strips(dataset: Any, name: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, pixels) of strips of whole rows, from the top; each block of the file is read once.

    The pixels are (bands, rows, columns) in the file's own type.

    Raises:
        InvalidRaster: a block cannot be read, as in a truncated file.
    """
    block = dataset.block_shapes[0][0]
    step = block * max(1, _STRIP_ROWS // block)
    for row in range(0, dataset.height, step):
        rows = min(step, dataset.height - row)
        try:
            yield row, dataset.read(window=Window(0, row, dataset.width, rows))
        except RasterioError as error:
            raise InvalidRaster(
                f"{name}: rows {row} to {row + rows - 1} cannot be read; it is truncated or damaged, copy it again"
            ) from error


def check_file(path: Path) -> None:
    """Check a file's first bytes and metadata before GDAL sees it.

    Raises:
        InvalidRaster: it is not a TIFF, or its metadata refers to other files.
    """
    with path.open("rb") as stream:
        check_stream(stream, path.name)


def check_stream(stream: Any, name: str) -> None:
    """Check the first bytes and metadata of an open binary file; see `check_file`.

    Args:
        stream: that can seek.
        name: for messages.

    Raises:
        InvalidRaster: it is not a TIFF, or its metadata refers to other files.
    """
    start = stream.read(4)
    if start not in _MAGIC:
        raise InvalidRaster(f"{name}: not a GeoTIFF, whatever its name says (it begins with {start!r})")
    stream.seek(0)
    try:
        with tifffile.TiffFile(stream) as tiff:
            texts = [
                str(page.tags[_GDAL_METADATA_TAG].value) for page in _pages(tiff) if _GDAL_METADATA_TAG in page.tags
            ]
    except Exception as error:  # tifffile raises whatever its parser meets: struct, index, value and memory errors
        raise InvalidRaster(f"{name}: a damaged TIFF ({_one_line(error)}); copy or export it again") from error
    if any(_names_other_files(text) for text in texts):
        raise _refers_elsewhere(name)


def valid_pixels(pixels: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return where `pixels` hold data: they differ from `nodata` and are numbers (same shape, bool)."""
    named = nodata is not None and not np.isnan(nodata)
    differs: NDArray[np.bool_] = pixels != pixels.dtype.type(nodata) if named else np.ones(pixels.shape, bool)
    if pixels.dtype.kind == "f":
        differs &= np.isfinite(pixels)
    return differs


def _pages(tiff: tifffile.TiffFile) -> Iterator[Any]:
    return (tiff.pages[index] for index in range(len(tiff.pages)))


def _names_other_files(text: str) -> bool:
    """Say whether GDAL's own metadata has an OVERVIEWS domain; what is no XML cannot be judged and counts as yes."""
    if not text.strip("\0 \r\n\t"):
        return False
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        return True
    try:
        root = ElementTree.fromstring(text.strip("\0 \r\n\t"))  # noqa: S314  # entities are refused above
    except ElementTree.ParseError:
        return True
    return any(item.get("domain", "").upper() == "OVERVIEWS" for item in root.iter("Item"))


def _refers_elsewhere(name: str) -> InvalidRaster:
    return InvalidRaster(f"{name}: its metadata sends GDAL to other files; write it anew with `gdal_translate`")


def raster_grid(dataset: Any, name: str) -> Grid:
    """Return where an open raster's pixels lie.

    Raises:
        InvalidRaster: it has no coordinate system, or no north-up georeference.
    """
    if dataset.crs is None:
        raise InvalidRaster(f"{name}: no coordinate system; assign it with `gdal_edit.py -a_srs EPSG:<code>`")
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    if (a, b, c, d, abs(e), f) == (1, 0, 0, 0, 1, 0):
        raise InvalidRaster(f"{name}: no georeference (its transform is the identity); georeference it first")
    if b or d or a <= 0 or e >= 0:
        raise InvalidRaster(f"{name}: a rotated or flipped grid; make it north-up with `gdalwarp`")
    code = dataset.crs.to_epsg()
    crs = f"EPSG:{code}" if code else dataset.crs.to_wkt(version=WktVersion.WKT2_2019)
    return Grid(crs, (a, b, c, d, e, f), (dataset.height, dataset.width))


def _usable_nodata(nodata: float | None, data_type: str) -> float | None:
    """Return the tag's value where a pixel of that type can have it."""
    if nodata is None or np.dtype(data_type).kind == "f":
        return None if nodata is None else float(nodata)
    limits = np.iinfo(data_type)
    if np.isnan(nodata) or nodata != int(nodata) or not limits.min <= nodata <= limits.max:
        return None
    return int(nodata)


def _numpy_name(rasterio_name: str) -> str:
    return "complex64" if rasterio_name.startswith("complex") else rasterio_name


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
