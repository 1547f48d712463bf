"""Where chips lie on the ground, and which of them are neighbours.

Everything is measured in the Mercator projection, where distances are true in every direction up to a factor that
depends on the latitude alone; so the nearest neighbour there is the nearest on the ground, and its distance is then
computed on the ellipsoid. A chip's padding beyond its scene is not part of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from terralab.extensions.lab import CLASS_COUNTS_PROP, PARAMS_PROP
from terralab.extensions.raster import Grid

_MERCATOR = "EPSG:3857"
_TOUCH_PIXELS = 0.25
_OVERLAP_SHARE = 1e-3
_CANDIDATES = 32
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class ChipPlace:
    """One chip.

    Attributes:
        id: item id.
        scene: id of its scene.
        row: scene row of its upper left pixel.
        column: scene column of it.
        size: rows and columns, pixels.
        grid: its grid.
        extent: rows and columns of it that lie in the scene.
        class_counts: labelled pixels by class name.
    """

    id: str
    scene: str
    row: int
    column: int
    size: int
    grid: Grid
    extent: tuple[int, int]
    class_counts: dict[str, int]

    @classmethod
    def of_item(cls, item: Mapping[str, Any], scene_shapes: Mapping[str, tuple[int, int]]) -> "ChipPlace":
        """Read a chip item; `scene_shapes` are rows and columns of the scenes by id."""
        properties = item["properties"]
        grid = Grid.of_properties(properties)
        scene, size = scene_of(item), grid.shape[0]
        row, column = int(properties[PARAMS_PROP]["row"]), int(properties[PARAMS_PROP]["column"])
        rows, columns = scene_shapes.get(scene, (row + size, column + size))
        extent = (min(size, rows - row), min(size, columns - column))
        return cls(item["id"], scene, row, column, size, grid, extent, properties[CLASS_COUNTS_PROP])

    def corners(self) -> list[tuple[float, float]]:
        """Return the four corners in the chip's own coordinates."""
        a, _, left, _, e, top = self.grid.transform
        right, bottom = left + a * self.extent[1], top + e * self.extent[0]
        return [(left, top), (right, top), (right, bottom), (left, bottom)]


def scene_of(item: Mapping[str, Any]) -> str:
    """Return the id of the scene that a chip item was cut from."""
    links = [link for link in item["links"] if link["rel"] == "derived_from" and link.get("ml-aoi:role") == "feature"]
    return str(links[0]["href"]).rsplit("/", 1)[-1]


class GroundPlan:
    """All chips of a dataset on the ground.

    Args:
        places: at least one chip.
    """

    def __init__(self, places: Sequence[ChipPlace]) -> None:
        self.places = list(places)

    @cached_property
    def outlines(self) -> NDArray[np.object_]:
        """Return a polygon per chip, in Mercator metres."""
        rings = np.empty((len(self.places), 4, 2))
        for crs in {place.grid.crs for place in self.places}:
            chosen = [number for number, place in enumerate(self.places) if place.grid.crs == crs]
            points = np.array([self.places[number].corners() for number in chosen]).reshape(-1, 2)
            x, y = Transformer.from_crs(crs, _MERCATOR, always_xy=True).transform(points[:, 0], points[:, 1])
            rings[chosen] = np.stack([x, y], axis=1).reshape(-1, 4, 2)
        polygons: NDArray[np.object_] = shapely.polygons(rings)
        return polygons

    @cached_property
    def scale(self) -> NDArray[np.float64]:
        """Return metres on the ground per Mercator metre at each chip."""
        x, y = shapely.get_x(shapely.centroid(self.outlines)), shapely.get_y(shapely.centroid(self.outlines))
        _, latitude = Transformer.from_crs(_MERCATOR, "EPSG:4326", always_xy=True).transform(x, y)
        factors: NDArray[np.float64] = np.cos(np.radians(latitude))
        return factors

    @cached_property
    def centers(self) -> NDArray[np.float64]:
        """Return the chips' middles (n, 2), in Mercator metres."""
        points: NDArray[np.float64] = shapely.get_coordinates(shapely.centroid(self.outlines))
        return points

    @cached_property
    def neighbours(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return pairs (n, 2) of chips that touch or overlap, and which of them overlap."""
        bounds = shapely.bounds(self.outlines)
        pixel = (bounds[:, 2] - bounds[:, 0]) / np.array([place.extent[1] for place in self.places])
        tree = shapely.STRtree(self.outlines)
        found = tree.query(self.outlines, predicate="dwithin", distance=_TOUCH_PIXELS * pixel)
        pairs = np.unique(np.sort(found[:, found[0] != found[1]], axis=0).T, axis=0)
        one, other = self.outlines[pairs[:, 0]], self.outlines[pairs[:, 1]]
        least = np.minimum(shapely.area(one), shapely.area(other))
        return pairs, shapely.area(shapely.intersection(one, other)) > _OVERLAP_SHARE * least

    def distance(self, some: NDArray[np.int64], others: NDArray[np.int64]) -> float | None:
        """Return the least ground distance in metres between two sets of chips; None where one is empty."""
        if not len(some) or not len(others):
            return None
        tree = shapely.STRtree(self.outlines[others])
        (one, nearest), far = tree.query_nearest(self.outlines[some], return_distance=True, all_matches=False)
        best = np.argsort(far * self.scale[some][one], kind="stable")[:_CANDIDATES]
        lines = shapely.shortest_line(self.outlines[some][one[best]], self.outlines[others][nearest[best]])
        ends = shapely.get_coordinates(lines).reshape(-1, 2, 2)
        to_lonlat = Transformer.from_crs(_MERCATOR, "EPSG:4326", always_xy=True)
        lon, lat = to_lonlat.transform(ends[..., 0], ends[..., 1])
        metres = _GEOD.inv(lon[:, 0], lat[:, 0], lon[:, 1], lat[:, 1])[2]
        return float(np.min(metres))

    def within(self, some: NDArray[np.int64], others: NDArray[np.int64], metres: float) -> NDArray[np.int64]:
        """Return those of `some` that lie nearer than `metres` to any of `others`."""
        if not len(some) or not len(others):
            return np.empty(0, np.int64)
        # One percent more: Mercator of the ellipsoid stretches north and east by up to 0.7 % differently.
        reach = 1.01 * metres / self.scale[some]
        tree = shapely.STRtree(self.outlines[others])
        near = tree.query(self.outlines[some], predicate="dwithin", distance=reach)[0]
        chosen: NDArray[np.int64] = some[np.unique(near)]
        return chosen
