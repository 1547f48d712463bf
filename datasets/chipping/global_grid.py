"""The global chip grid: pixel edges are multiples of the resolution, chip edges multiples of chip size · resolution.

The grid hangs on the coordinate system alone, not on a scene. So chips of two dates, sensors or scenes coincide, and
every point of a coordinate system lies in exactly one pixel of exactly one chip. Edges are `whole number * resolution`,
computed from the number and never added up: an edge has the same value in both chips that share it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from terralab.extensions.raster import Grid


@dataclass(frozen=True, order=True)
class Cell:
    """A place of one chip in a global grid; `up` grows to the north, `right` to the east, both from the origin."""

    up: int
    right: int


@dataclass(frozen=True)
class GlobalGrid:
    """All chips of one coordinate system, resolution and size.

    Attributes:
        crs: `EPSG:<code>`, or WKT2.
        resolution: side of a pixel, in the system's unit.
        size: rows and columns of a chip.
    """

    crs: str
    resolution: float
    size: int

    def column_of(self, x: float) -> int:
        """Return the pixel column that holds `x`: its west edge belongs to it, its east edge to the next."""
        return _step_of(x, self.resolution)

    def row_of(self, y: float) -> int:
        """Return the pixel row that holds `y`, counted from 0 southwards: its north edge belongs to it."""
        return _step_of(-y, self.resolution)

    def cell_of(self, x: float, y: float) -> Cell:
        """Return the chip that holds a point."""
        return Cell(-(self.row_of(y) // self.size) - 1, self.column_of(x) // self.size)

    def cells(self, left: float, bottom: float, right: float, top: float) -> Iterator[Cell]:
        """Yield the chips that share area with a box, from the upper left, row by row."""
        first, last = self.cell_of(left, top), self.cell_of(_below(right, left), _above(bottom, top))
        for up in range(first.up, last.up - 1, -1):
            for across in range(first.right, last.right + 1):
                yield Cell(up, across)

    def top_row(self, cell: Cell) -> int:
        """Return the pixel row of a chip's first row."""
        return -(cell.up + 1) * self.size

    def left_column(self, cell: Cell) -> int:
        """Return the pixel column of a chip's first column."""
        return cell.right * self.size

    def grid(self, cell: Cell) -> Grid:
        """Return where a chip's pixels lie."""
        left = self.left_column(cell) * self.resolution
        top = -self.top_row(cell) * self.resolution
        transform = (self.resolution, 0.0, left, 0.0, -self.resolution, top)
        return Grid(self.crs, transform, (self.size, self.size))

    def bounds(self, cell: Cell) -> tuple[float, float, float, float]:
        """Return left, bottom, right and top of a chip."""
        left, top = self.left_column(cell), self.top_row(cell)
        step = self.resolution
        return left * step, -(top + self.size) * step, (left + self.size) * step, -top * step

    def pixel_of(self, cell: Cell, x: float, y: float) -> tuple[int, int]:
        """Return row and column, within a chip, of the pixel that holds a point; they may lie outside of it."""
        return self.row_of(y) - self.top_row(cell), self.column_of(x) - self.left_column(cell)

    def name(self, cell: Cell) -> str:
        """Return a part of an id that tells the chip from all others of its grid: `x00195-y01640`."""
        return f"x{_number(cell.right)}-y{_number(cell.up)}"


def _step_of(value: float, step: float) -> int:
    """Return the whole number k with k·step ≤ value < (k + 1)·step, as floating point computes the products."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no coordinate")
    found = math.floor(value / step)
    while (found + 1) * step <= value:
        found += 1
    while found * step > value:
        found -= 1
    return found


def _below(edge: float, start: float) -> float:
    """Return the number just below an open edge, but never less than the box's other side."""
    return max(math.nextafter(edge, -math.inf), start)


def _above(edge: float, start: float) -> float:
    return min(math.nextafter(edge, math.inf), start)


def _number(value: int) -> str:
    """Return five digits, with `m` before a negative number."""
    return f"m{-value:05d}" if value < 0 else f"{value:05d}"
