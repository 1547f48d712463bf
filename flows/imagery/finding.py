"""Finding imagery: all modalities over all places, a few searches at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.catalog.settings import ImagerySettings, Settings
from terralab.datasets.imagery.area import Place, places_of
from terralab.datasets.imagery.found import BandSource, FoundScene, WantedScene
from terralab.datasets.imagery.modalities import Engine, ProviderCollection, imagery_table
from terralab.datasets.imagery.request import ImageryRequest
from terralab.datasets.imagery.selection import Selection, select
from terralab.flows.imagery.http_reads import HttpReads
from terralab.flows.imagery.providers import Provider, provider_of
from terralab.flows.imagery.remote_raster import BandWindow, read_windows
from terralab.flows.imagery.stac_search import StacSearch, Times
from terralab.flows.imagery.terrakit_reads import TerrakitReads


class Source(Protocol):
    """What finds scenes and reads their pixels."""

    def find(
        self, modality: str, collection: ProviderCollection, bands: tuple[str, ...], place: Place, times: Times | None
    ) -> list[FoundScene]:
        """Return the scenes of a collection over a place in a time range."""
        ...

    def read(self, wanted: WantedScene, bands: list[BandSource]) -> list[BandWindow] | None:
        """Return bands of one file over a place; None where the scene has no pixel there."""
        ...


class StacSource:
    """Scenes of a STAC API, read from its GeoTIFFs.

    Args:
        reads: of the provider.
        settings: limits.
    """

    def __init__(self, reads: HttpReads, settings: ImagerySettings) -> None:
        self._reads, self._settings = reads, settings
        self._search = StacSearch(reads, settings.max_scenes)

    def find(
        self, modality: str, collection: ProviderCollection, bands: tuple[str, ...], place: Place, times: Times | None
    ) -> list[FoundScene]:
        """Return the scenes of a collection over a place in a time range."""
        return self._search.find(modality, collection, bands, place, times)

    def read(self, wanted: WantedScene, bands: list[BandSource]) -> list[BandWindow] | None:
        """Return bands of one file over a place; None where the scene has no pixel there."""
        indexes = [band.index for band in bands]
        return read_windows(self._reads, bands[0].href, indexes, wanted.place.box, self._settings.max_pixels)


@contextmanager
def open_source(settings: Settings, provider: Provider, engine: str) -> Iterator[Source]:
    """Yield what finds and reads at a provider.

    Args:
        settings: the lab's.
        provider: from `provider_of`.
        engine: `auto`, `stac` or `terrakit`.

    Raises:
        InvalidInput: the provider cannot be read by that engine.
    """
    chosen: Engine = provider.connector.engine if engine == "auto" else engine  # type: ignore[assignment]
    if chosen == "terrakit":
        yield TerrakitReads(settings, provider)
        return
    reads = HttpReads(provider, settings.imagery)
    try:
        yield StacSource(reads, settings.imagery)
    finally:
        reads.close()


def find_imagery(settings: Settings, request: ImageryRequest) -> Selection:
    """Search for what a request wants and choose among it.

    Raises:
        SetupProblem: credentials are missing.
        TooLarge: there is more than the settings allow.
        LabError: the provider fails.
    """
    with open_source(settings, provider_of(settings.imagery, request.connector), request.engine) as source:
        return find_with(source, settings.imagery, request)


def find_with(source: Source, settings: ImagerySettings, request: ImageryRequest) -> Selection:
    """Search by a source; see `find_imagery`."""
    places = places_of(request.area, request.buffer, settings.max_places)
    kind = provider_of(settings, request.connector).kind
    tasks = [(name, place) for name in request.modalities for place in places]

    def search(task: tuple[str, Place]) -> list[FoundScene]:
        name, place = task
        collection = imagery_table().collection(kind, name, request.collections.get(name))
        times = None if imagery_table().modality(name).static else request.period()
        return source.find(name, collection, request.chosen_bands(name), place, times)

    with ThreadPoolExecutor(settings.parallel) as pool:
        found = dict(zip(tasks, pool.map(search, tasks), strict=True))
    selection = select(request, found)
    _refuse_much(settings, request, selection)
    return selection


def _refuse_much(settings: ImagerySettings, request: ImageryRequest, selection: Selection) -> None:
    if len(selection.wanted) > settings.max_scenes:
        raise TooLarge(
            f"{len(selection.wanted)} scenes, {settings.max_scenes} are allowed (TERRALAB_IMAGERY_MAX_SCENES); narrow"
            " the dates or the area, or give a limit"
        )
    size = sum(row["estimated_bytes"] for row in selection.summary(request.modalities))
    if size > settings.max_gb * 1e9:
        raise TooLarge(
            f"about {size / 1e9:.1f} GB, {settings.max_gb:g} are allowed (TERRALAB_IMAGERY_MAX_GB); narrow the"
            " dates or the area, or give a limit"
        )


def nothing_found(request: ImageryRequest, selection: Selection) -> InvalidInput:
    """Return the error that says why there is nothing to fetch."""
    left = ", ".join(f"{count} {reason}" for reason, count in selection.left_out.items())
    return InvalidInput(
        f"{request.connector} has nothing for {', '.join(request.modalities)} over this area in"
        f" {request.dates or 'its data'}"
        + (f" but what was left out: {left}" if left else "; look at the dates, the area and the collections")
    )
