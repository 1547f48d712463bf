"""The lab's reader of STAC APIs as a connector of TerraKit: `DataConnector("stac")` after `register()`.

TerraKit has no plug-ins: the names of its connectors are a `Literal`, and a factory knows their classes. `register`
extends both. To be imported in a process of TerraKit's own only, as importing TerraKit changes logging and GDAL.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, cast

import numpy as np
import xarray as xr
from terrakit.download.connector import Connector
from terrakit.general_utils.exceptions import TerrakitNoDataFoundError, TerrakitValidationError, TerrakitValueError
from terrakit.terrakit import DataConnectorFactory
from terrakit.validate.data_connector import ConnectorType

from terralab.catalog.errors import LabError
from terralab.catalog.settings import Settings
from terralab.datasets.imagery.area import Place, area_of_box, places_of
from terralab.datasets.imagery.found import FoundScene, WantedScene
from terralab.datasets.imagery.modalities import STAC, ProviderCollection, imagery_table
from terralab.datasets.imagery.pixel_window import nearest
from terralab.datasets.imagery.request import ImageryRequest
from terralab.extensions.raster import Grid
from terralab.flows.imagery.fetching import ScenePixels, SceneReader
from terralab.flows.imagery.finding import StacSource
from terralab.flows.imagery.http_reads import HttpReads
from terralab.flows.imagery.providers import provider_of
from terralab.flows.imagery.stac_search import StacSearch
from terralab.flows.imagery.window_cache import WindowCache


def register() -> None:
    """Make `stac` one of TerraKit's connectors; doing it again changes nothing."""
    field = ConnectorType.model_fields["connector_type"]
    known = cast(Any, field.annotation).__args__
    if STAC in known:
        return
    field.annotation = Literal[(*known, STAC)]
    ConnectorType.model_rebuild(force=True)
    theirs = DataConnectorFactory.get_connector

    def get_connector(connector_type: ConnectorType) -> Connector:
        return StacConnector() if connector_type.connector_type == STAC else theirs(connector_type)

    DataConnectorFactory.get_connector = staticmethod(get_connector)


class StacConnector(Connector):
    """Any STAC API that the lab's settings name.

    Args:
        provider: its name in TERRALAB_IMAGERY_PROVIDERS; where there is one alone, `stac` means it.
        modality: whose bands and names are meant.
    """

    def __init__(self, provider: str = STAC, modality: str = "S2L2A") -> None:
        self.connector_type, self.modality = STAC, modality
        self._settings = Settings()
        try:
            self._provider = provider_of(self._settings.imagery, provider)
        except LabError as error:
            raise TerrakitValidationError(str(error)) from error
        self._reads = HttpReads(self._provider, self._settings.imagery)
        self._source = StacSource(self._reads, self._settings.imagery)

    def list_collections(self) -> list[Any]:
        """Return the ids of the API's collections."""
        return StacSearch(self._reads, self._settings.imagery.max_scenes).collections()

    def find_data(
        self,
        data_collection_name: str,
        date_start: str,
        date_end: str,
        area_polygon: Any = None,
        bbox: Sequence[float] | None = None,
        bands: Sequence[str] = (),
        maxcc: float = 100,
        data_connector_spec: Any = None,
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        """Return the days with scenes, and the scenes; see TerraKit's `Connector`."""
        found = self._find(data_collection_name, date_start, date_end, area_polygon, bbox, bands, maxcc)
        days = sorted({scene.start.date().isoformat() for _, scene in found})
        items = [
            {"id": scene.id, "properties": {"datetime": scene.start.isoformat(), "eo:cloud_cover": scene.cloud_cover}}
            for _, scene in found
        ]
        return days, items

    def get_data(
        self,
        data_collection_name: str,
        date_start: str,
        date_end: str,
        area_polygon: Any = None,
        bbox: Sequence[float] | None = None,
        bands: Sequence[str] = (),
        maxcc: float = 100,
        data_connector_spec: Any = None,
        save_file: str | None = None,
        working_dir: str = ".",
    ) -> xr.DataArray:
        """Return pixels (time, band, y, x) on the scenes' own grid, one time for each day."""
        found = self._find(data_collection_name, date_start, date_end, area_polygon, bbox, bands, maxcc)
        reader = SceneReader(self._source, WindowCache(self._settings), self._settings.imagery)
        days: dict[date, list[ScenePixels]] = {}
        for place, scene in found:
            read = reader.read(WantedScene(scene, place))
            if read is not None:
                days.setdefault(scene.start.date(), []).append(read)
        if not days:
            raise TerrakitNoDataFoundError(f"No usable data retrieved for collection '{data_collection_name}'.")
        array = _stacked(days, self._bands(bands))
        if save_file:
            from terrakit.download.geodata_utils import save_data_array_to_file

            save_data_array_to_file(array, save_file)
        return array

    def _find(
        self,
        collection: str,
        start: str,
        end: str,
        polygon: Any,
        bbox: Sequence[float] | None,
        bands: Sequence[str],
        clouds: float,
    ) -> list[tuple[Place, FoundScene]]:
        area = polygon if isinstance(polygon, dict) else None
        try:
            request = ImageryRequest(
                modalities=[self.modality],
                area=area or area_of_box(list(bbox or ())),
                dates=f"{start}/{end}",
                bands={self.modality: list(bands)} if bands else {},
            )
            known = imagery_table().connectors[STAC].collections.get(self.modality)
            named = ProviderCollection(name=collection, bands=known.bands if known else {})
            found = [
                (place, scene)
                for place in places_of(request.area, 0.0, self._settings.imagery.max_places)
                for scene in self._source.find(self.modality, named, self._bands(bands), place, request.period())
                if scene.cloud_cover is None or scene.cloud_cover <= clouds
            ]
        except (LabError, ValueError) as error:
            raise TerrakitValueError(str(error)) from error
        if not found:
            raise TerrakitNoDataFoundError(f"No data found for collection '{collection}' between {start} and {end}.")
        return found

    def _bands(self, bands: Sequence[str]) -> tuple[str, ...]:
        return imagery_table().modality(self.modality).chosen(list(bands))


def _stacked(days: dict[date, list[ScenePixels]], bands: Sequence[str]) -> xr.DataArray:
    """Return the days on the grid of the first scene; where scenes of a day overlap, the first with data counts."""
    import rioxarray  # noqa: F401  # gives arrays `.rio`

    grid = next(iter(days.values()))[0].grid
    stack = np.stack([_day(scenes, grid) for scenes in days.values()])
    a, _, c, _, e, f = grid.transform
    array = xr.DataArray(
        stack,
        dims=("time", "band", "y", "x"),
        coords={
            "time": [np.datetime64(day, "ns") for day in days],
            "band": list(bands),
            "y": f + e * (np.arange(grid.shape[0]) + 0.5),
            "x": c + a * (np.arange(grid.shape[1]) + 0.5),
        },
    )
    nodata = next(iter(days.values()))[0].nodata
    placed: xr.DataArray = array.rio.write_crs(grid.crs)
    if nodata is not None:
        placed = placed.rio.write_nodata(nodata)
    return placed


def _day(scenes: list[ScenePixels], grid: Grid) -> Any:
    layers = []
    for scene in scenes:
        if scene.grid.crs != grid.crs:
            raise TerrakitValueError(f"scenes in {grid.crs} and {scene.grid.crs}; ask for a smaller area")
        fill = 0 if scene.nodata is None else scene.nodata
        layers.append((np.stack([nearest(band, scene.grid, grid, fill) for band in scene.bands()]), scene.nodata))
    whole = layers[0][0]
    for layer, nodata in layers[1:]:
        if nodata is not None:
            whole = np.where(np.isnan(whole) if np.isnan(nodata) else whole == nodata, layer, whole)
    return whole
