"""Which pixel of a source lies under the centre of each pixel of a chip, exactly.

Between two coordinate systems the positions are computed at every sixteenth pixel and interpolated. How far that is off
is measured; every pixel whose position is so near to the edge of a source pixel that the error could matter is computed
on its own. The result is the same as a computation for each pixel, in a fiftieth of the time, and is used for all dates
and bands on the source's grid.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralab.extensions.raster import Grid

_STEP = 16
_SAFETY = 4.0  # twice: the errors of both directions add up; and twice again
_LEAST_ERROR = 1e-6
_COARSE_ERROR = 0.02  # pixels; beyond it the interpolation is given up
_ON_GRID = 1e-6  # pixels; how exactly two grids must agree to count as one
_FARTHEST = float(2**30)


@dataclass(frozen=True)
class PixelMap:
    """Source pixels of a chip.

    Attributes:
        rows: source row of each pixel (int32, the chip's shape); far negative where the place has no position.
        columns: source column of each pixel.
        inside: where they lie in the source.
        shift: row and column of the source under the chip's upper left pixel, where both lie on one grid; else None.
        x: column in the source of each pixel's centre, from the left edge (pixels).
        y: row in the source of each pixel's centre, from the upper edge.
        scale: source pixels along one pixel of the chip, about.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    inside: NDArray[np.bool_]
    shift: tuple[int, int] | None
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    scale: float

    def window(self) -> tuple[int, int, int, int] | None:
        """Return first row, first column, end row and end column of the source pixels, None where there are none."""
        if not self.inside.any():
            return None
        rows, columns = self.rows[self.inside], self.columns[self.inside]
        return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


@lru_cache(maxsize=64)
def pixel_map(chip: Grid, source: Grid) -> PixelMap:
    """Return which source pixel lies under the centre of each pixel of the chip.

    Args:
        chip: north-up.
        source: north-up.
    """
    shift = aligned_shift(chip, source)
    if shift is not None:
        rows, columns = _mesh(_whole(chip.shape[0], shift[0]), _whole(chip.shape[1], shift[1]))
        return PixelMap(rows, columns, _inside(rows, columns, source), shift, *_centres(rows, columns), 1.0)
    x, y = _positions(chip, source)
    rows, columns = _floored(y), _floored(x)
    return PixelMap(rows, columns, _inside(rows, columns, source), None, x, y, _scale(x, y))


def aligned_shift(chip: Grid, source: Grid) -> tuple[int, int] | None:
    """Return the source's row and column at the chip's upper left pixel, where both share one grid."""
    if not same_crs(chip.crs, source.crs):
        return None
    a, _, c, _, e, f = source.transform
    chip_a, _, chip_c, _, chip_e, chip_f = chip.transform
    across = max(*chip.shape, *source.shape)
    if abs(chip_a / a - 1) * across > _ON_GRID or abs(chip_e / e - 1) * across > _ON_GRID:
        return None
    row, column = (chip_f - f) / e, (chip_c - c) / a
    nearest = round(row), round(column)
    return nearest if max(abs(row - nearest[0]), abs(column - nearest[1])) <= _ON_GRID else None


@lru_cache(maxsize=256)
def same_crs(one: str, other: str) -> bool:
    """Say whether two coordinate systems are the same, however they are written."""
    return one == other or CRS.from_user_input(one) == CRS.from_user_input(other)


@lru_cache(maxsize=64)
def transformer(source: str, target: str) -> Transformer:
    """Return the transformation of coordinates between two systems, east before north."""
    return Transformer.from_crs(source, target, always_xy=True)


def source_positions(
    chip: Grid, source: Grid, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return column and row in the source of positions in a chip, both in pixels from the upper left corner.

    What lies beyond the reach of a coordinate system is infinite.
    """
    a, _, c, _, e, f = chip.transform
    x, y = c + a * columns, f + e * rows
    if not same_crs(chip.crs, source.crs):
        x, y = transformer(chip.crs, source.crs).transform(x, y)
    a, _, c, _, e, f = source.transform
    if _is_geographic(source.crs):
        middle = c + a * source.shape[1] / 2
        x = np.where(x - middle > 180, x - 360, np.where(x - middle < -180, x + 360, x))
    return (np.asarray(x) - c) / a, (np.asarray(y) - f) / e


@lru_cache(maxsize=64)
def _is_geographic(crs: str) -> bool:
    return bool(CRS.from_user_input(crs).is_geographic)


def _positions(chip: Grid, source: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return column and row in the source of all pixel centres, so exact that their floor is right."""
    height, width = chip.shape
    rows, columns = np.arange(0.5, height), np.arange(0.5, width)
    if same_crs(chip.crs, source.crs):
        x, _ = source_positions(chip, source, np.full(width, 0.5), columns)
        _, y = source_positions(chip, source, rows, np.full(height, 0.5))
        return np.broadcast_to(x, chip.shape), np.broadcast_to(y[:, np.newaxis], chip.shape)
    nodes = _nodes(height), _nodes(width)
    node_x, node_y = source_positions(chip, source, *_float_mesh(*nodes))
    error = _interpolation_error(chip, source, nodes, node_x, node_y)
    if error > _COARSE_ERROR:
        return source_positions(chip, source, *_float_mesh(rows, columns))
    x, y = (_interpolated(values, nodes, rows, columns) for values in (node_x, node_y))
    doubtful = np.logical_or(np.abs(x - np.rint(x)) <= error, np.abs(y - np.rint(y)) <= error)
    which = np.nonzero(doubtful)
    x[which], y[which] = source_positions(chip, source, rows[which[0]], columns[which[1]])
    return x, y


def _nodes(length: int) -> NDArray[np.float64]:
    return np.linspace(0.0, float(length), max(1, -(-length // _STEP)) + 1)


def _middles(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (nodes[:-1] + nodes[1:]) * np.float64(0.5)
    return result


def _interpolation_error(
    chip: Grid,
    source: Grid,
    nodes: tuple[NDArray[np.float64], NDArray[np.float64]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> float:
    """Return a bound of how far interpolated positions are off, pixels; infinite where some have no position.

    It is measured in the middle of the meshes' sides: in the middle of a mesh the curvatures of the two directions have
    opposite signs between conformal systems, such as two zones, and cancel.
    """
    rows, columns = _middles(nodes[0]), _middles(nodes[1])
    upright = source_positions(chip, source, *_float_mesh(rows, nodes[1]))
    level = source_positions(chip, source, *_float_mesh(nodes[0], columns))
    if not all(np.isfinite(values).all() for values in (x, y, *upright, *level)):
        return float("inf")
    off = [
        max(
            np.abs((values[:-1] + values[1:]) / 2 - down).max(),
            np.abs((values[:, :-1] + values[:, 1:]) / 2 - across).max(),
        )
        for values, down, across in zip((x, y), upright, level, strict=True)
    ]
    return float(max(_LEAST_ERROR, _SAFETY * max(off)))


def _interpolated(
    values: NDArray[np.float64],
    nodes: tuple[NDArray[np.float64], NDArray[np.float64]],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Interpolate between the nodes, first down, then across."""
    down, share = _between(nodes[0], rows)
    lines = values[down] + share[:, np.newaxis] * (values[down + 1] - values[down])
    across, share = _between(nodes[1], columns)
    west = lines[:, across]
    result: NDArray[np.float64] = west + share * (lines[:, across + 1] - west)
    return result


def _between(nodes: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the node before each position, and the share of the way to the next."""
    before = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    return before, (at - nodes[before]) / (nodes[before + 1] - nodes[before])


def _whole(length: int, start: int) -> NDArray[np.int32]:
    return np.arange(start, start + length, dtype=np.int32)


def _mesh(rows: NDArray[np.int32], columns: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    shape = (len(rows), len(columns))
    return np.broadcast_to(rows[:, np.newaxis], shape), np.broadcast_to(columns, shape)


def _float_mesh(
    rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, across = np.meshgrid(rows, columns, indexing="ij")
    return down, across


def _floored(positions: NDArray[np.float64]) -> NDArray[np.int32]:
    finite = np.isfinite(positions)
    if finite.all():
        return np.floor(np.clip(positions, -_FARTHEST, _FARTHEST)).astype(np.int32)
    near = np.clip(np.where(finite, positions, -_FARTHEST), -_FARTHEST, _FARTHEST)
    floored: NDArray[np.int32] = np.floor(near).astype(np.int32)
    return floored


def _centres(rows: NDArray[np.int32], columns: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = columns[0].astype(np.float64) + 0.5, rows[:, 0].astype(np.float64) + 0.5
    return np.broadcast_to(x, rows.shape), np.broadcast_to(y[:, np.newaxis], rows.shape)


def _inside(rows: NDArray[np.int32], columns: NDArray[np.int32], source: Grid) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (rows >= 0) & (rows < source.shape[0]) & (columns >= 0) & (columns < source.shape[1])
    return inside


def _scale(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the side of a chip's pixel in source pixels: the root of the mapped area."""
    rows, columns = x.shape[0] // 2, x.shape[1] // 2
    if min(x.shape) < 2:
        return 1.0
    across = x[rows, columns] - x[rows, columns - 1], y[rows, columns] - y[rows, columns - 1]
    down = x[rows, columns] - x[rows - 1, columns], y[rows, columns] - y[rows - 1, columns]
    area = abs(across[0] * down[1] - across[1] * down[0])
    return float(np.sqrt(area)) if np.isfinite(area) else 1.0
