"""The chip grid: windows of one size on a scene's own pixels, without resampling.

Windows start at the scene's upper left corner and lie edge to edge; those at the right and lower edge reach beyond the
scene, and the remainder is padding. So every pixel of the scene lies in exactly one window.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from terralab.extensions.raster import Grid


@dataclass(frozen=True)
class ChipWindow:
    """One chip's place in its scene, in pixels.

    Attributes:
        row: scene row of the upper left pixel.
        column: scene column of the upper left pixel.
        size: rows and columns of the chip.
        height: rows that lie in the scene; the rest is padding.
        width: columns that lie in the scene; the rest is padding.
    """

    row: int
    column: int
    size: int
    height: int
    width: int

    def grid(self, scene: Grid) -> Grid:
        """Return the chip's own grid, padding included."""
        a, b, c, d, e, f = scene.transform
        moved = (a, b, c + a * self.column, d, e, f + e * self.row)
        return Grid(scene.crs, moved, (self.size, self.size))

    def chip_id(self, scene_id: str) -> str:
        """Return the chip's item id."""
        return f"{scene_id}-r{self.row:05d}-c{self.column:05d}"


def chip_windows(shape: tuple[int, int], size: int) -> Iterator[ChipWindow]:
    """Yield the windows of a scene, row by row from the upper left.

    Args:
        shape: rows and columns of the scene.
        size: rows and columns of a chip, pixels.
    """
    rows, columns = shape
    for row in range(0, rows, size):
        for column in range(0, columns, size):
            yield ChipWindow(row, column, size, min(size, rows - row), min(size, columns - column))
