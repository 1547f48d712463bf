"""Scenes of the catalog that chips may be cut from, and which of them show a place at the wanted dates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from terralab.catalog.errors import InvalidInput
from terralab.catalog.store import Store
from terralab.datasets.chipping.plan import Acquisition, ItemKey, ScenePart
from terralab.datasets.chipping.sources import RasterSource
from terralab.datasets.raster_file import read_facts
from terralab.extensions.bands import canonical_band_name
from terralab.extensions.imagery import SceneRecord
from terralab.extensions.item import Footprint, format_time
from terralab.extensions.raster import BandRecord

_ONE_PASS = timedelta(minutes=10)
_UNKNOWN_CLOUD = 101.0


class Choice(StrEnum):
    """Which acquisition is taken where several are near a wanted date."""

    CLOUD = "cloud"
    NEAREST = "nearest"


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        item: in the catalog.
        footprint: ground and time.
        cloud: percent; more than 100 where it is unknown.
        part: its rasters.
        bands: names, as its rasters give them one after the other.
        data_type: of all its bands.
        nodata: of its bands, if any.
        checksums: of its files.
    """

    item: ItemKey
    footprint: Footprint
    cloud: float
    part: ScenePart
    bands: tuple[str, ...]
    data_type: str
    nodata: float | None
    checksums: tuple[str, ...]


@dataclass(frozen=True)
class SceneFiles:
    """Which files of an item are read.

    Attributes:
        asset: key; None for every asset that has the role `data` and names its bands.
        bands: names of the bands to take, in order; None for all.
        quality: key of the asset that says what is clouded; None for none.
    """

    asset: str | None = None
    bands: tuple[str, ...] | None = None
    quality: str | None = None

    def scene(self, store: Store, item: Mapping[str, Any]) -> Scene:
        """Read an imagery item.

        Raises:
            InvalidInput: it lacks an asset or a band, or its files differ in pixel type.
            InvalidRaster: a file is no GeoTIFF that the lab can use.
        """
        record = SceneRecord.of_item(item)
        name = f"{record.collection}/{record.id}"
        assets = {self.asset: record.bands.get(self.asset, ())} if self.asset else dict(record.bands)
        wanted = [(key, band) for key, bands in assets.items() for band in bands if key != self.quality]
        if self.bands is not None:
            wanted = self._named(name, wanted)
        if not wanted:
            raise InvalidInput(f"{name}: has no asset {self.asset or 'with the role data'} whose bands are named")
        types = sorted({band.data_type for _, band in wanted})
        nodata = {str(band.nodata) for _, band in wanted}
        if len(types) != 1 or len(nodata) != 1:
            raise InvalidInput(f"{name}: bands of {', '.join(types)} with nodata {', '.join(nodata)}; take one kind")
        rasters = tuple(
            _raster(store, record, key, numbers, wanted[0][1].nodata) for key, numbers in _runs(wanted, assets)
        )
        quality = None if self.quality is None else _raster(store, record, self.quality, (1,), None)
        if quality is not None:  # its nodata is a value like the others: class 0 of SCL may be masked by name
            quality = replace(quality, nodata=None)
        used = [key for key in dict.fromkeys([*(key for key, _ in wanted), self.quality]) if key is not None]
        item_key = ItemKey(record.collection, record.id)
        return Scene(
            item_key,
            record.footprint,
            _UNKNOWN_CLOUD if record.cloud_cover is None else record.cloud_cover,
            ScenePart(item_key, rasters, quality),
            tuple(band.name for _, band in wanted),
            types[0],
            wanted[0][1].nodata,
            tuple(record.files[key].checksum for key in used),
        )

    def _named(self, name: str, found: Sequence[tuple[str, BandRecord]]) -> list[tuple[str, BandRecord]]:
        by_name = {canonical_band_name(band.name): (key, band) for key, band in found}
        missing = [band for band in self.bands or () if canonical_band_name(band) not in by_name]
        if missing:
            raise InvalidInput(f"{name}: has no band {', '.join(missing)}; its bands are {', '.join(by_name)}")
        return [by_name[canonical_band_name(band)] for band in self.bands or ()]


def _raster(store: Store, record: SceneRecord, key: str, bands: tuple[int, ...], nodata: float | None) -> RasterSource:
    file = record.files.get(key)
    if file is None or not file.href.startswith("asset://"):
        raise InvalidInput(f"{record.collection}/{record.id}: asset {key!r} is not in the asset store; fetch it first")
    path = store.open_path(file.href)
    facts = read_facts(path)
    return RasterSource(
        path,
        f"{record.collection}/{record.id}/{key}",
        facts.grid,
        bands,
        nodata if nodata is not None else facts.nodata,
    )


def _runs(
    wanted: Sequence[tuple[str, BandRecord]], assets: Mapping[str, Sequence[BandRecord]]
) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Yield asset keys with the numbers of the bands that are read from them together."""
    runs: list[tuple[str, list[int]]] = []
    for key, band in wanted:
        number = list(assets[key]).index(band) + 1
        if runs and runs[-1][0] == key:
            runs[-1][1].append(number)
        else:
            runs.append((key, [number]))
    return [(key, tuple(numbers)) for key, numbers in runs]


@dataclass(frozen=True)
class DateRecipe:
    """Which dates a chip shows.

    Attributes:
        count: number of dates.
        step: time from one to the next earlier one.
        tolerance: how far an acquisition may be from a wanted date.
        choice: by which acquisitions are compared.
    """

    count: int = 1
    step: timedelta = timedelta(days=30)
    tolerance: timedelta = timedelta(days=5)
    choice: Choice = Choice.CLOUD


class SceneFinder:
    """Finds the scenes of one modality that show a place.

    Args:
        scenes: all that may be used.
        static: they hold for all times, such as a terrain model.
        composite: all acquisitions within the tolerance are wanted, the best first.
    """

    def __init__(self, scenes: Sequence[Scene], *, static: bool = False, composite: bool = False) -> None:
        self.scenes = sorted(scenes, key=lambda scene: (scene.item.collection, scene.item.id))
        self._static = static
        self._composite = composite
        self._tree = STRtree([scene.footprint.geometry for scene in self.scenes])

    def dates(
        self, place: BaseGeometry, wanted: Sequence[datetime | None], recipe: DateRecipe, only: ItemKey | None = None
    ) -> list[tuple[Acquisition, ...]] | None:
        """Return the acquisitions of each date, None where a date has none.

        Args:
            place: the chip's outline in degrees.
            wanted: the dates; None for the best of all times.
            recipe: how they are chosen.
            only: the one scene to take.
        """
        near = [self.scenes[int(number)] for number in self._tree.query(place, predicate="intersects")]
        if only is not None:
            near = [scene for scene in near if scene.item == only]
        passes = _passes([scene for scene in near if not scene.footprint.geometry.touches(place)])
        found: list[tuple[Acquisition, ...]] = []
        taken: set[tuple[ItemKey, ...]] = set()
        for moment in wanted:
            fitting = sorted(
                (each for each in passes if self._fits(each, moment, recipe) and each.key not in taken),
                key=lambda each: each.rank(place, moment, recipe.choice),
            )
            if not fitting:
                return None
            chosen = fitting if self._composite else fitting[:1]
            if not self._static:
                taken.update(each.key for each in chosen)
            found.append(tuple(each.acquisition() for each in chosen))
        return found

    def _fits(self, found: "_Pass", moment: datetime | None, recipe: DateRecipe) -> bool:
        return self._static or moment is None or abs(found.time - moment) <= recipe.tolerance


@dataclass(frozen=True)
class _Pass:
    """Scenes that one pass of a satellite made."""

    scenes: tuple[Scene, ...]

    @property
    def key(self) -> tuple[ItemKey, ...]:
        return tuple(scene.item for scene in self.scenes)

    @property
    def time(self) -> datetime:
        return self.scenes[0].footprint.start

    def rank(self, place: BaseGeometry, moment: datetime | None, choice: Choice) -> tuple[Any, ...]:
        """Return what is smallest for the best: it covers the whole place, then few clouds or nearness in time."""
        gap = not any(scene.footprint.geometry.covers(place) for scene in self.scenes) and not _cover(
            self.scenes, place
        )
        cloud = float(np.mean([scene.cloud for scene in self.scenes]))
        away = 0.0 if moment is None else abs((self.time - moment).total_seconds())
        order = (cloud, away) if choice is Choice.CLOUD else (away, cloud)
        return (gap, *order, -self.time.timestamp(), self.key[0].id)

    def acquisition(self) -> Acquisition:
        """Return the scenes in the order in which they fill a chip: few clouds first."""
        ordered = sorted(self.scenes, key=lambda scene: (scene.cloud, scene.item.id))
        return Acquisition(format_time(self.time), tuple(scene.part for scene in ordered))


def _cover(scenes: Sequence[Scene], place: BaseGeometry) -> bool:
    left = place
    for scene in scenes:
        left = left.difference(scene.footprint.geometry)
    return bool(left.area <= 1e-6 * place.area)


def _passes(scenes: Sequence[Scene]) -> list[_Pass]:
    """Group scenes whose begins lie within ten minutes."""
    groups: list[list[Scene]] = []
    for scene in sorted(scenes, key=lambda scene: (scene.footprint.start, scene.item.id)):
        if groups and scene.footprint.start - groups[-1][0].footprint.start <= _ONE_PASS:
            groups[-1].append(scene)
        else:
            groups.append([scene])
    return [_Pass(tuple(group)) for group in groups]
