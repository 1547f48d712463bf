"""What a provider has: scenes with their bands, before any pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from shapely.geometry.base import BaseGeometry

from terralab.datasets.imagery.area import Place
from terralab.datasets.imagery.modalities import Modality
from terralab.datasets.imagery.pixel_window import PixelWindow, window_of
from terralab.extensions.item import format_time
from terralab.extensions.raster import Grid

_METRES_OF_A_DEGREE = 111_320.0


@dataclass(frozen=True)
class BandSource:
    """Where one band is.

    Attributes:
        name: the lab's.
        key: asset key, or the provider's own name of the band.
        href: address of its file; empty where the provider has no files.
        index: number of the band in the file, from 1.
        data_type: numpy's name of the pixel type, None where the catalog does not say.
        nodata: value of pixels without data, None where the catalog does not say.
        size: bytes of the file, None where unknown.
        values: further fields of the band's values, such as `raster:scale`.
    """

    name: str
    key: str
    href: str
    index: int = 1
    data_type: str | None = None
    nodata: float | None = None
    size: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FoundScene:
    """One scene of a provider.

    Attributes:
        connector: by which it was found.
        modality: name in the table.
        collection: the provider's.
        id: the provider's.
        start: begin of the acquisition.
        end: end of it.
        geometry: outline in longitude and latitude.
        bands: those that were asked for, in order.
        cloud_cover: percent, None where unknown.
        grid: of the finest band, None where the catalog does not say.
        address: of the provider's item, None where it has none.
        state: what changes when the provider makes the scene anew.
        properties: common properties to keep, such as `platform`.
        parts: ids of the provider's items, where the scene was made of several.
    """

    connector: str
    modality: str
    collection: str
    id: str
    start: datetime
    end: datetime
    geometry: BaseGeometry
    bands: tuple[BandSource, ...]
    cloud_cover: float | None = None
    grid: Grid | None = None
    address: str | None = None
    state: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what makes it one scene."""
        return self.connector, self.collection, self.id


@dataclass(frozen=True, eq=False)
class WantedScene:
    """A scene that is wanted over one place."""

    scene: FoundScene
    place: Place

    def window(self) -> PixelWindow | None:
        """Return the pixels to read, None where the catalog does not say where the scene's pixels lie."""
        return window_of(self.scene.grid, self.place.box) if self.scene.grid else None

    def estimated_bytes(self, modality: Modality) -> int:
        """Return about how many bytes the pixels have, not compressed."""
        window = self.window()
        rows, columns = (window.height, window.width) if window else estimated_shape(self.place, modality.gsd)
        types = [np.dtype(band.data_type or modality.data_type).itemsize for band in self.scene.bands]
        return int(rows * columns * sum(types))

    def row(self) -> dict[str, Any]:
        """Return the scene as JSON values, for lists."""
        scene = self.scene
        return {
            "modality": scene.modality,
            "datetime": format_time(scene.start),
            "cloud_cover": scene.cloud_cover,
            "collection": scene.collection,
            "id": scene.id,
            "place": self.place.name,
        }


def estimated_shape(place: Place, gsd: float) -> tuple[float, float]:
    """Return about how many rows and columns of `gsd` metres a place has."""
    west, south, east, north = place.box
    wide = (east - west) * _METRES_OF_A_DEGREE * float(np.cos(np.radians((south + north) / 2)))
    return max(1.0, (north - south) * _METRES_OF_A_DEGREE / gsd), max(1.0, wide / gsd)
