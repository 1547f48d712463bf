"""Which chips cover an area: those of the zones that the area lies in, edge remainders included."""

from collections.abc import Iterator
from dataclasses import dataclass

import shapely
from shapely import Point, box, prepare
from shapely.geometry.base import BaseGeometry

from terralab.catalog.errors import InvalidInput
from terralab.datasets.chipping.global_grid import Cell, GlobalGrid
from terralab.datasets.chipping.pixel_map import transformer
from terralab.datasets.chipping.zones import native_crs, wrapped_longitude, zone_areas

_DEGREES_STEP = 0.02  # straight lines in degrees are bent elsewhere: at most a decimetre between such points


@dataclass(frozen=True)
class GridRecipe:
    """The global grids that a dataset is cut on.

    Attributes:
        resolution: side of a pixel, in the unit of the coordinate systems.
        size: rows and columns of a chip.
        crs: `EPSG:<code>` for all places; None for the UTM or polar zone of each place.
    """

    resolution: float
    size: int
    crs: str | None = None

    def of(self, crs: str) -> GlobalGrid:
        """Return the grid of a coordinate system."""
        return GlobalGrid(crs, self.resolution, self.size)


def cell_at(recipe: GridRecipe, longitude: float, latitude: float) -> tuple[GlobalGrid, Cell]:
    """Return the chip that holds a place."""
    grid = recipe.of(recipe.crs or native_crs(longitude, latitude))
    x, y = transformer("EPSG:4326", grid.crs).transform(wrapped_longitude(longitude), latitude)
    if not (abs(x) < float("inf") and abs(y) < float("inf")):
        raise InvalidInput(f"{longitude}, {latitude} has no place in {grid.crs}; choose another coordinate system")
    return grid, grid.cell_of(x, y)


def cells_over(recipe: GridRecipe, area: BaseGeometry) -> Iterator[tuple[GlobalGrid, Cell]]:
    """Yield the chips that share ground with an area in longitude and latitude, zone by zone.

    An area of several zones is cut in each of them: at their border chips overlap, and none of the area is lost.

    Args:
        recipe: the grids.
        area: points, lines or polygons from -180 to 180 degrees.
    """
    if recipe.crs is not None:
        parts = [(recipe.crs, area)]
    else:
        parts = [(crs, area.intersection(zone)) for crs, zone in zone_areas() if zone.intersects(area)]
    seen: set[tuple[str, Cell]] = set()
    for crs, part in parts:
        grid = recipe.of(crs)
        for piece in shapely.get_parts(part):
            for cell in _cells_of_piece(grid, piece, area):
                if (crs, cell) not in seen:
                    seen.add((crs, cell))
                    yield grid, cell


def box_of(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """Return a box in degrees; one whose west is greater than its east crosses 180 degrees.

    Raises:
        InvalidInput: the numbers make no box.
    """
    if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180 and west != east):
        raise InvalidInput(f"bbox {west},{south},{east},{north}: give west,south,east,north in degrees")
    if west < east:
        return box(west, south, east, north)
    return shapely.union_all([box(west, south, 180, north), box(-180, south, east, north)])


def to_crs(geometry: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """Return a geometry in another coordinate system; its lines are divided first, because they bend."""
    if source == target:
        return geometry
    change = transformer(source, target)
    fine = geometry
    if geometry.geom_type != "Point":
        west, south, east, north = geometry.bounds
        step = _DEGREES_STEP if source == "EPSG:4326" else max(east - west, north - south, 1e-9) / 64
        fine = shapely.segmentize(geometry, step)
    return shapely.transform(fine, lambda x, y: change.transform(x, y), interleaved=False)


def _cells_of_piece(grid: GlobalGrid, piece: BaseGeometry, area: BaseGeometry) -> Iterator[Cell]:
    if piece.geom_type == "Point" or (piece.area == 0 and area.area > 0):
        if isinstance(piece, Point) and area.area == 0:
            native = to_crs(piece, "EPSG:4326", grid.crs)
            yield grid.cell_of(native.x, native.y)
        return  # what an area and a zone only touch in has no pixel
    native = to_crs(piece, "EPSG:4326", grid.crs)
    if not native.is_valid:
        native = shapely.make_valid(native)
    prepare(native)
    left, bottom, right, top = native.bounds
    for cell in grid.cells(left, bottom, right, top):
        square = box(*grid.bounds(cell))
        if native.intersects(square) and not native.touches(square):
            yield cell
