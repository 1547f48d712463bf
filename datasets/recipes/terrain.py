"""Terrain: slope, aspect and hillshade of an elevation model, by the differences of Horn (1981).

The gradient at a pixel is that of the plane through its eight neighbours, those beside it weighing twice. Where one of
them has no data, and at the edges of the scene, there is no result.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pyproj import CRS, Geod

from terralab.catalog.errors import InvalidInput
from terralab.datasets.recipes.recipe import Block, Parameters, Plan, Recipe, Source, Values
from terralab.extensions.raster import Grid

Measure = Literal["slope", "aspect", "hillshade"]
Numbers = NDArray[np.float64]


class TerrainParameters(Parameters):
    """What of the terrain."""

    band: str | None = Field(default=None, description="Band of the heights; by default the only one.")
    measures: tuple[Measure, ...] = Field(
        default=("slope", "aspect", "hillshade"), min_length=1, description="slope, aspect, hillshade."
    )
    height_unit: float = Field(default=1.0, gt=0, description="Metres of one unit of height.")
    azimuth: float = Field(default=315.0, ge=0, lt=360, description="Where the light comes from, degrees from north.")
    altitude: float = Field(default=45.0, gt=0, le=90, description="How high the light stands, degrees.")


def plan_terrain(sources: Sequence[Source], parameters: TerrainParameters) -> Plan:
    """Plan the terrain of one elevation model.

    Raises:
        InvalidInput: nobody says which band has the heights, or the grid is turned.
        UnknownName: there is no such band.
    """
    source = sources[0]
    if parameters.band is None and len(source.bands) != 1:
        raise InvalidInput(f"{source.name} has {len(source.bands)} bands; say which one has the heights")
    place = 0 if parameters.band is None else source.band(parameters.band)
    if source.grid.transform[1] or source.grid.transform[3]:
        raise InvalidInput(f"{source.name} lies on a turned grid; bring it to one whose rows run east")

    def compute(block: Block) -> Values:
        heights = block.values[0][place].astype(np.float64) * parameters.height_unit
        rows = np.arange(heights.shape[0]) + block.first - block.above
        east, south = pixel_metres(block.grid, rows)
        to_east, to_south = gradient(heights, east, south)
        found = [_measured(name, to_east, to_south, parameters) for name in parameters.measures]
        return np.stack(found)[:, block.inner].astype(np.float32)

    formula = {**parameters.model_dump(mode="json"), "gradient": "Horn 1981"}
    return Plan(tuple(parameters.measures), formula, compute, halo=1)


def gradient(heights: Numbers, east: Numbers, south: Numbers) -> tuple[Numbers, Numbers]:
    """Return how much heights rise by metre to the east and to the south; NaN at the edges and beside gaps.

    Args:
        heights: metres.
        east: width of a pixel in metres, for each row.
        south: height of a pixel in metres, for each row.
    """
    padded = np.pad(heights, 1, constant_values=np.nan)
    rows, columns = heights.shape

    def at(row: int, column: int) -> Numbers:
        return padded[1 + row : 1 + row + rows, 1 + column : 1 + column + columns]

    right, left = (at(-1, side) + 2 * at(0, side) + at(1, side) for side in (1, -1))
    lower, upper = (at(side, -1) + 2 * at(side, 0) + at(side, 1) for side in (1, -1))
    gap = ~np.isfinite(right + left + lower + upper + heights)
    to_east, to_south = (right - left) / (8 * east[:, None]), (lower - upper) / (8 * south[:, None])
    to_east[gap] = np.nan
    to_south[gap] = np.nan
    return to_east, to_south


def pixel_metres(grid: Grid, rows: NDArray[np.integer]) -> tuple[Numbers, Numbers]:
    """Return width and height of the pixels of some rows, metres; on the ellipsoid where the grid is in degrees."""
    a, _, c, _, e, f = grid.transform
    crs = CRS.from_user_input(grid.crs)
    if not crs.is_geographic:
        unit = crs.axis_info[0].unit_conversion_factor
        return np.full(len(rows), abs(a) * unit), np.full(len(rows), abs(e) * unit)
    geod: Geod = crs.get_geod() or Geod(ellps="WGS84")
    middle = np.clip(f + e * (rows + 0.5), -90 + abs(e), 90 - abs(e))
    west = np.full(len(rows), c)
    _, _, east = geod.inv(west, middle, west + a, middle)
    _, _, south = geod.inv(west, middle + e / 2, west, middle - e / 2)
    return np.abs(east), np.abs(south)


def _measured(name: Measure, to_east: Numbers, to_south: Numbers, parameters: TerrainParameters) -> Numbers:
    steepness = np.hypot(to_east, to_south)
    if name == "slope":
        return np.asarray(np.degrees(np.arctan(steepness)))
    # Downhill, clockwise from north; a level place looks nowhere.
    aspect = np.degrees(np.arctan2(-to_east, to_south)) % 360
    if name == "aspect":
        return np.where(steepness > 0, aspect, np.nan)
    light, height = np.radians(parameters.azimuth), np.radians(parameters.altitude)
    slope = np.arctan(steepness)
    shade = np.sin(height) * np.cos(slope) + np.cos(height) * np.sin(slope) * np.cos(light - np.radians(aspect))
    return np.asarray(255 * np.maximum(shade, 0.0))


RECIPE = Recipe("terrain", "Slope, aspect and hillshade", TerrainParameters, plan_terrain)
