"""Fetching: the files of all wanted scenes, a few at a time, each once; then the bands of a scene on one grid."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidRaster, LabError
from terralab.catalog.settings import ImagerySettings
from terralab.datasets.imagery.found import BandSource, WantedScene
from terralab.datasets.imagery.modalities import imagery_table
from terralab.datasets.imagery.pixel_window import nearest
from terralab.extensions.raster import Grid
from terralab.flows.imagery.finding import Source
from terralab.flows.imagery.remote_raster import BandWindow
from terralab.flows.imagery.window_cache import WindowCache

_NOTHING_THERE = BandWindow(
    np.zeros((0, 0), np.uint8), Grid("EPSG:4326", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (0, 0)), None
)


@dataclass(frozen=True)
class ScenePixels:
    """The bands of a scene over a place, all on the grid of the finest.

    Attributes:
        wanted: the scene and the place.
        grid: of the pixels.
        data_type: numpy's name; one for all bands.
        nodata: value of pixels without data; one for all bands.
        cache: where the windows are.
    """

    wanted: WantedScene
    grid: Grid
    data_type: str
    nodata: float | None
    cache: WindowCache

    def bands(self) -> Iterator[NDArray[Any]]:
        """Yield the pixels of each band, (rows, columns), one at a time."""
        for band in self.wanted.scene.bands:
            window = self.cache.find(self.wanted, band)
            if window is None:
                raise InvalidRaster(f"{self.wanted.scene.id}, {band.name}: no longer in the cache; run it again")
            yield self._common(window, nodata_of(self.wanted, band, window))

    def _common(self, window: BandWindow, nodata: float | None) -> NDArray[Any]:
        pixels = window.pixels.astype(self.data_type)
        if nodata is not None and self.nodata is not None and not _same(nodata, self.nodata):
            empty = np.isnan(pixels) if np.isnan(nodata) else pixels == np.asarray(nodata).astype(pixels.dtype)
            pixels[empty] = self.nodata
        found: NDArray[Any] = nearest(pixels, window.grid, self.grid, 0 if self.nodata is None else self.nodata)
        return found


class SceneReader:
    """Reads scenes by a source, and remembers what it read.

    Args:
        source: of the provider.
        cache: of windows.
        settings: how much at once.
    """

    def __init__(self, source: Source, cache: WindowCache, settings: ImagerySettings) -> None:
        self._source, self._cache, self._settings = source, cache, settings

    def fetch(
        self, wanted: Sequence[WantedScene], advance: Callable[[int, int], None], keep_going: bool
    ) -> dict[WantedScene, LabError]:
        """Fetch the files of scenes into the cache.

        Args:
            wanted: the scenes.
            advance: told how many of how many files are there.
            keep_going: whether to go on where a file cannot be had.

        Returns:
            The scenes that could not be had, each with its error.

        Raises:
            LabError: a file cannot be had, unless `keep_going`.
        """
        failures: dict[WantedScene, LabError] = {}
        pool = ThreadPoolExecutor(self._settings.parallel)
        try:
            futures = {
                pool.submit(self._fetch_file, scene, bands): scene for scene in wanted for bands in by_file(scene)
            }
            for done, future in enumerate(as_completed(futures), start=1):
                error = future.exception()
                if isinstance(error, LabError) and keep_going:
                    failures[futures[future]] = error
                elif error is not None:
                    raise error
                advance(done, len(futures))
        finally:
            # What is under way is finished and kept; nothing else is begun.
            pool.shutdown(cancel_futures=True)
        return failures

    def read(self, wanted: WantedScene) -> ScenePixels | None:
        """Return a scene's pixels, fetched where they are not in the cache; None where it has none over the place.

        Raises:
            InvalidRaster: its bands lie in different coordinate systems.
            LabError: the provider fails.
        """
        for bands in by_file(wanted):
            self._fetch_file(wanted, bands)
        windows = [self._cache.find(wanted, band) for band in wanted.scene.bands]
        found = [window for window in windows if window is not None and window.pixels.size]
        if len(found) < len(windows):
            return None
        if len({window.grid.crs for window in found}) > 1:
            raise InvalidRaster(f"{wanted.scene.id}: its bands lie in different coordinate systems")
        grid = min((window.grid for window in found), key=lambda grid: grid.transform[0])
        data_type = np.result_type(*(window.pixels.dtype for window in found))
        pairs = zip(wanted.scene.bands, found, strict=True)
        known = [nodata_of(wanted, band, window) for band, window in pairs]
        nodata = next((_fitting(value, data_type) for value in known if value is not None), None)
        return ScenePixels(wanted, grid, data_type.name, nodata, self._cache)

    def _fetch_file(self, wanted: WantedScene, bands: list[BandSource]) -> None:
        missing = [band for band in bands if not self._cache.has(wanted, band)]
        if missing:
            windows = self._source.read(wanted, missing)
            self._cache.keep(wanted, missing, windows or [_NOTHING_THERE] * len(missing))


def by_file(wanted: WantedScene) -> list[list[BandSource]]:
    """Return the bands of a scene by the file that has them."""
    files: dict[str, list[BandSource]] = {}
    for band in wanted.scene.bands:
        files.setdefault(band.href, []).append(band)
    return list(files.values())


def nodata_of(wanted: WantedScene, band: BandSource, window: BandWindow) -> float | None:
    """Return the value of pixels without data: as the file says, else the catalog, else the table."""
    usual = imagery_table().modality(wanted.scene.modality).nodata
    known = next((value for value in (window.nodata, band.nodata, usual) if value is not None), None)
    return _fitting(known, window.pixels.dtype)


def _fitting(value: float | None, data_type: np.dtype[Any]) -> float | None:
    """Return the value where a pixel of that type can have it."""
    if value is None or data_type.kind == "f":
        return value
    limits = np.iinfo(data_type)
    whole = not np.isnan(value) and value == int(value) and limits.min <= value <= limits.max
    return int(value) if whole else None


def _same(one: float, other: float) -> bool:
    return one == other or (np.isnan(one) and np.isnan(other))
