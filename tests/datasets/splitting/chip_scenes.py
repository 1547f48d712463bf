"""Scenes of chips on a grid, for the tests of splits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from terralab.datasets.splitting.chip_place import ChipPlace
from terralab.extensions.raster import Grid

SIZE = 64
DEGREE_PIXEL = 8.983152841195215e-05


def place(id: str, left: float, top: float, crs: str = "EPSG:32630", pixel: float = 10.0, **fields: Any) -> ChipPlace:
    """Return a chip of 64 × 64 pixels by its upper left corner."""
    grid = Grid(crs, (pixel, 0.0, left, 0.0, -pixel, top), (SIZE, SIZE))
    return ChipPlace(id, **{"scenes": (id,), "grid": grid, "extent": (SIZE, SIZE), **fields})


def scene(
    name: str,
    rows: int,
    columns: int,
    origin: tuple[float, float] = (500_000, 4_200_000),
    crs: str = "EPSG:32630",
    seed: int = 0,
    **fields: Any,
) -> list[ChipPlace]:
    """Return a scene of chips edge to edge, the upper left third of them with water."""
    random = np.random.default_rng(seed)
    pixel = DEGREE_PIXEL if crs == "EPSG:4326" else 10.0
    places = []
    for row in range(rows):
        for column in range(columns):
            water = int(random.integers(1, 900)) if row + column < (rows + columns) / 3 else 0
            counts: Mapping[str, int] = {"land": SIZE * SIZE - water, "water": water}
            left, top = origin[0] + column * SIZE * pixel, origin[1] - row * SIZE * pixel
            facts = {"scenes": (name,), "group": name, "window": (row * SIZE, column * SIZE), "class_counts": counts}
            places.append(place(f"{name}-{row:03d}-{column:03d}", left, top, crs, pixel, **{**facts, **fields}))
    return places
