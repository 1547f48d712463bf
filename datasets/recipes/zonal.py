"""Zonal statistics: what the pixels of each zone are like, as a table, and painted back onto the zones.

Zones are the values of a raster on the same grid, such as a mask of classes or a map: the second scene, one band of
whole numbers. Sums go by blocks, so a scene of any size needs one row of numbers for each zone.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terralab.catalog.errors import InvalidInput
from terralab.datasets.recipes.recipe import Block, Parameters, Plan, Recipe, Source, Values, same_grid

Measure = Literal["mean", "std", "minimum", "maximum", "count"]
MOST_ZONES = 1_000_000


class ZonalParameters(Parameters):
    """What of each zone is painted back; the table has everything."""

    measures: tuple[Measure, ...] = Field(
        default=("mean",), min_length=1, description="mean, std, minimum, maximum, count."
    )
    bands: tuple[str, ...] | None = Field(default=None, min_length=1, description="Bands; by default all.")


def plan_zonal(sources: Sequence[Source], parameters: ZonalParameters) -> Plan:
    """Plan the statistics of the first scene by the zones of the second.

    Raises:
        InvalidInput: there are not two scenes, or the zones have several bands.
        GridMismatch: they lie on different grids.
        UnknownName: there is no such band.
    """
    if len(sources) != 2:
        raise InvalidInput("zonal statistics need two items: the scene, then the raster of zones")
    same_grid(sources)
    scene, zones = sources
    if len(zones.bands) != 1:
        raise InvalidInput(f"{zones.name} has {len(zones.bands)} bands; zones are one band of whole numbers")
    names = parameters.bands or tuple(band.name for band in scene.bands)
    places = [scene.band(name) for name in names]
    sums = ZoneSums(len(names), zones.name)

    def survey(block: Block) -> None:
        sums.add(block.values[0][places], block.values[1][0])

    def compute(block: Block) -> Values:
        return sums.painted(block.values[1][0], parameters.measures)

    def table() -> dict[str, Any]:
        return {"zones_of": zones.name, "scene": scene.name, "zones": sums.rows(names)}

    bands = tuple(f"{name}_{measure}" for measure in parameters.measures for name in names)
    formula = {"measures": list(parameters.measures), "bands": list(names), "zones": zones.name}
    return Plan(bands, formula, compute, survey=survey, table=table)


class ZoneSums:
    """Count, mean, spread and extremes of each zone and band, added block by block.

    Args:
        bands: how many.
        name: of the zones, for messages.
    """

    def __init__(self, bands: int, name: str) -> None:
        self._name = name
        self._zones: NDArray[np.int64] = np.empty(0, np.int64)
        self._count, self._mean, self._spread = (np.zeros((bands, 0)) for _ in range(3))
        self._least, self._most = np.zeros((bands, 0)), np.zeros((bands, 0))

    def add(self, values: Values, zones: Values) -> None:
        """Add a block: values (bands, rows, columns) and the number of each pixel's zone, NaN for none.

        Raises:
            InvalidInput: zones are no whole numbers, or there are too many.
        """
        known = np.isfinite(zones)
        numbers = zones[known]
        if (numbers != np.round(numbers)).any():
            raise InvalidInput(f"{self._name} has values that are no whole numbers; zones are")
        found, place = np.unique(numbers.astype(np.int64), return_inverse=True)
        self._extend(found)
        own = np.searchsorted(self._zones, found)[place]
        for band, pixels in enumerate(values[:, known].astype(np.float64)):
            seen = np.isfinite(pixels)
            self._add(band, own[seen], pixels[seen])

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return a row of numbers for each zone, by band."""
        return [
            {"zone": int(zone), **{name: self._numbers(band, place) for band, name in enumerate(names)}}
            for place, zone in enumerate(self._zones)
        ]

    def painted(self, zones: Values, measures: Sequence[Measure]) -> Values:
        """Return each pixel's zone's measures, (measures * bands, rows, columns); NaN outside the zones."""
        known = np.isfinite(zones)
        place = np.searchsorted(self._zones, zones[known].astype(np.int64))
        found = np.full((len(measures) * len(self._count), *zones.shape), np.nan, np.float32)
        layers = np.concatenate([self._measure(name) for name in measures])
        found[:, known] = layers[:, place]
        return found

    def _extend(self, found: NDArray[np.int64]) -> None:
        fresh = np.setdiff1d(found, self._zones)
        if not len(fresh):
            return
        zones = np.union1d(self._zones, fresh)
        if len(zones) > MOST_ZONES:
            raise InvalidInput(f"{self._name} has more than {MOST_ZONES} zones; give a raster of fewer")
        old = np.searchsorted(zones, self._zones)
        for name, empty in (("_count", 0.0), ("_mean", 0.0), ("_spread", 0.0), ("_least", np.inf), ("_most", -np.inf)):
            grown = np.full((len(self._count), len(zones)), empty)
            grown[:, old] = getattr(self, name)
            setattr(self, name, grown)
        self._zones = zones

    def _add(self, band: int, place: NDArray[np.integer], values: NDArray[np.float64]) -> None:
        """Add pixels of a band, by the formula of Chan, Golub and LeVeque for pooled spreads."""
        size = len(self._zones)
        count = np.bincount(place, minlength=size).astype(float)
        with np.errstate(all="ignore"):
            mean = np.where(count > 0, np.bincount(place, values, size) / count, 0.0)
            spread = np.bincount(place, (values - mean[place]) ** 2, size)
            total = self._count[band] + count
            shift = mean - self._mean[band]
            share = np.where(total > 0, count / total, 0.0)
        self._spread[band] += spread + shift**2 * self._count[band] * share
        self._mean[band] += shift * share
        self._count[band] = total
        np.minimum.at(self._least[band], place, values)
        np.maximum.at(self._most[band], place, values)

    def _measure(self, name: Measure) -> NDArray[np.float64]:
        empty = self._count == 0
        with np.errstate(all="ignore"):
            found = {
                "mean": self._mean,
                "std": np.sqrt(self._spread / self._count),
                "minimum": self._least,
                "maximum": self._most,
                "count": self._count,
            }[name]
        return np.where(empty & (name != "count"), np.nan, found)

    def _numbers(self, band: int, place: int) -> dict[str, float | int | None]:
        count = int(self._count[band, place])
        if not count:
            return {"count": 0, "mean": None, "std": None, "minimum": None, "maximum": None}
        return {
            "count": count,
            "mean": float(self._mean[band, place]),
            "std": float(np.sqrt(self._spread[band, place] / count)),
            "minimum": float(self._least[band, place]),
            "maximum": float(self._most[band, place]),
        }


RECIPE = Recipe("zonal", "Statistics of zones", ZonalParameters, plan_zonal, several=True)
