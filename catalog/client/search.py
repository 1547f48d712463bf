"""The result of a search: items as they come, how many there are, and all of them as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pystac
from pystac_client import ItemSearch

from terralab.catalog.client.loading import FileSource, Loading
from terralab.catalog.client.transport import Transport
from terralab.catalog.settings import Settings

if TYPE_CHECKING:
    import geopandas

_TIMES = ("datetime", "start_datetime", "end_datetime", "created", "updated", "lab:started", "lab:finished")


class Search(Loading):
    """Items that match; nothing is asked before somebody wants to know, and pages are asked for as they are needed.

    Where they are chips, they can be loaded as those of a dataset version can; values are then scaled by the train
    chips among them, or by all where none has a split.

    Args:
        found: pystac-client's search.
        transport: to the lab.
        settings: of this machine.
    """

    def __init__(self, found: ItemSearch, transport: Transport, settings: Settings) -> None:
        self._found, self._transport, self._settings = found, transport, settings

    def __iter__(self) -> Iterator[pystac.Item]:
        return self.items()

    def items(self) -> Iterator[pystac.Item]:
        """Yield the items."""
        return self._found.items()

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield the items as JSON values, which is quicker."""
        return self._found.items_as_dicts()

    def first(self) -> pystac.Item | None:
        """Return the first item, None where nothing matches."""
        return next(self.items(), None)

    def matched(self) -> int:
        """Return how many items match, whether or not all are asked for."""
        return int(self._found.matched() or 0)

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return the items as a table: `id`, `collection`, each property a column, `assets`, and the footprint.

        Times are timestamps in UTC. Geometries are longitude and latitude (EPSG:4326).
        """
        return geodataframe(self.documents())

    def _chips(self, options: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        return list(self.documents())

    def _source(self) -> tuple[FileSource, Settings]:
        return FileSource(self._transport, "the search"), self._settings


def geodataframe(items: Iterator[dict[str, Any]]) -> "geopandas.GeoDataFrame":
    """Return items (JSON values) as a table; see `Search.to_geodataframe`."""
    import geopandas
    import pandas
    from shapely.geometry import shape

    rows, places = [], []
    for item in items:
        rows.append(
            {"id": item["id"], "collection": item.get("collection"), **item["properties"], "assets": item["assets"]}
        )
        places.append(shape(item["geometry"]) if item.get("geometry") else None)
    columns = None if rows else ["id", "collection", "datetime", "assets"]
    table = pandas.DataFrame(rows, columns=columns)
    for name in _TIMES:
        if name in table:
            table[name] = pandas.to_datetime(table[name], utc=True, format="ISO8601")
    return geopandas.GeoDataFrame(table, geometry=places, crs="EPSG:4326")
