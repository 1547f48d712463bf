"""Small GeoTIFFs for the dataset tests, by pixel type, nodata and coordinate system."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

PLACES = {
    "utm north": ("EPSG:32630", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0)),
    "utm south": ("EPSG:32733", (10.0, 0.0, 300_000.0, 0.0, -10.0, 8_000_000.0)),
    "degrees": (
        "EPSG:4326",
        (8.983152841195215e-05, 0, -0.7818936232976315, 0, -8.983152841195215e-05, 38.12881257139627),
    ),
}


def _write_raster(
    path: Path,
    pixels: np.ndarray,
    place: str = "utm north",
    names: list[str] | None = None,
    tags: dict[str, str] | None = None,
    **profile: Any,
) -> Path:
    """Write (bands, rows, columns) as a GeoTIFF at a place of `PLACES`; `profile` overrides everything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    crs, transform = PLACES[place]
    count, height, width = pixels.shape
    known = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, "crs": crs}
    known["transform"] = rasterio.Affine(*transform)
    with rasterio.open(path, "w", driver="GTiff", **{**known, **profile}) as dataset:
        if names:
            dataset.descriptions = tuple(names)
        if tags:
            dataset.update_tags(**tags)
        dataset.write(pixels)
    return path


@pytest.fixture(scope="session")
def write_raster() -> Callable[..., Path]:
    """Return the function that writes small GeoTIFFs."""
    return _write_raster
