"""Rasters that chips are read from, and how their pixels are brought to a chip's grid."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from terralab.extensions.raster import Grid


class Resampling(StrEnum):
    """How pixels of another grid become pixels of a chip."""

    AUTO = "auto"
    NEAREST = "nearest"
    BILINEAR = "bilinear"
    CUBIC = "cubic"
    AVERAGE = "average"


@dataclass(frozen=True)
class RasterSource:
    """A raster file that chips are read from.

    Attributes:
        path: GeoTIFF on this machine.
        name: as messages show it.
        grid: where its pixels lie.
        bands: numbers of the bands to read, from 1.
        nodata: value of pixels without data, if there is one.
    """

    path: Path
    name: str
    grid: Grid
    bands: tuple[int, ...]
    nodata: float | None
