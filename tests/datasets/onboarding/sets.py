"""Small datasets in every form, and what the lab says of them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from terralab.datasets.dates import parse_period
from terralab.datasets.onboarding.choices import Choices
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.inspection import Inspection, inspect, with_choices
from terralab.datasets.onboarding.reading import read_table

SIZE = 64
UTM = rasterio.Affine(10, 0, 500_000, 0, -10, 4_200_000)
DAY = parse_period("2024-06-01")


def write(path: Path, pixels: np.ndarray, names: tuple[str, ...] = (), **profile: Any) -> Path:
    """Write (bands, rows, columns) as a GeoTIFF; `profile` overrides everything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    known = {
        "count": count,
        "height": height,
        "width": width,
        "dtype": pixels.dtype,
        "crs": "EPSG:32630",
        "transform": UTM,
    }
    with rasterio.open(path, "w", driver="GTiff", **{**known, **profile}) as dataset:
        if names:
            dataset.descriptions = names
        dataset.write(pixels)
    return path


def image(path: Path, size: int = SIZE, names: tuple[str, ...] = ("B02", "B03"), **profile: Any) -> Path:
    """Write an image whose pixels depend on its path."""
    random = np.random.default_rng(list(str(path.name).encode()))
    return write(path, random.integers(1, 9000, (len(names), size, size)).astype("uint16"), names, **profile)


def mask(path: Path, size: int = SIZE, values: tuple[int, int] = (0, 1), **profile: Any) -> Path:
    """Write a label, one value left, the other right."""
    pixels = np.full((1, size, size), values[0], "uint8")
    pixels[:, :, size // 2 :] = values[1]
    return write(path, pixels, **profile)


def pairs(folder: Path, count: int = 2, **profile: Any) -> Path:
    """Write `images/sN.tif` and `masks/sN.tif`, each at a place of its own."""
    for number in range(count):
        place = {"transform": UTM @ rasterio.Affine.translation(1000 * number, 0), **profile}
        image(folder / "images" / f"s{number}.tif", **place)
        mask(folder / "masks" / f"s{number}.tif", **place)
    return folder


def look(path: Path, form: str | None = None, hints: Hints | None = None, **choices: Any) -> Inspection:
    """Read a dataset and look through it; its day is known."""
    known = Choices(**{"period": DAY, **choices})
    table = read_table(path, hints or Hints(), form)
    return inspect(with_choices(table, known), known, (hints or Hints()).limits)


def codes(found: Inspection, weight: str = "error") -> set[str]:
    """Return the codes of the findings of a weight."""
    return {entry.code for entry in found.findings if entry.weight == weight}


def said(found: Inspection, code: str) -> str:
    """Return the texts of the findings with a code."""
    return "\n".join(entry.text for entry in found.findings if entry.code == code)
