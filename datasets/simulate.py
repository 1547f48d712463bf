"""A generator of simulated Sentinel-2 L2A-like scenes with known land cover, for demonstrations and tests.

What is plausible: reflectance spectra (the table below holds values of the order that spectral libraries give, chosen
for this generator), mixed pixels at the borders of land covers, lakes and rivers that follow a smooth terrain, towns
with a block texture, sun and haze that differ from scene to scene, clouds with shadows, a strip without data at one
edge. What is not: there is no sensor point spread, no bidirectional reflectance and no real place.

It is hard for one threshold on purpose: turbid water is nearly as bright as wet soil, cloud shadows are as dark as
clear water, and roofs have the spectrum of bright soil and differ in texture.
"""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from terralab.datasets.raster_file import RASTER_OPTIONS
from terralab.extensions.raster import MASK_NODATA, ClassDefinition

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
CLASSES = (
    ClassDefinition(value=0, name="water", title="Water", color="0072B2"),
    ClassDefinition(value=1, name="vegetation", title="Vegetation", color="009E73"),
    ClassDefinition(value=2, name="bare", title="Bare soil", color="E69F00"),
    ClassDefinition(value=3, name="built", title="Built-up", color="CC79A7"),
)
# Surface reflectance in percent by band; each class mixes two materials.
_SPECTRA = {
    "clear water": (4.5, 4.6, 3.2, 2.8, 2.2, 2.1, 1.8, 1.6, 1.0, 0.8),
    "turbid water": (8.2, 10.6, 11.2, 10.8, 8.6, 8.2, 7.6, 7.0, 5.4, 4.4),
    "dense vegetation": (2.4, 4.8, 2.9, 8.6, 25.0, 31.0, 33.0, 35.0, 17.5, 8.2),
    "dry vegetation": (5.0, 8.0, 8.6, 13.0, 21.0, 24.0, 26.5, 28.5, 27.5, 18.0),
    "light soil": (9.0, 12.4, 16.0, 18.0, 19.6, 21.0, 22.5, 24.0, 32.0, 28.0),
    "wet soil": (5.2, 6.8, 8.0, 8.6, 9.2, 9.6, 10.0, 10.4, 9.2, 7.4),
    "roofs": (12.0, 13.6, 15.4, 16.4, 17.4, 18.2, 19.0, 20.0, 23.0, 21.5),
    "asphalt": (8.6, 9.4, 10.0, 10.5, 11.0, 11.4, 11.8, 12.2, 13.0, 12.2),
}
_CLOUD = (62.0, 60.0, 60.0, 61.0, 62.0, 62.5, 63.0, 63.5, 42.0, 32.0)
_PIXEL = 10.0
_FIRST_DAY = date(2021, 4, 10)
_QUANTIFICATION = 10_000

Field = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedScene:
    """One scene.

    Attributes:
        image: (bands, rows, columns) uint16, reflectance × 10 000, 0 without data.
        label: (rows, columns) uint8 class values, 255 where the ground is not seen.
    """

    image: NDArray[np.uint16]
    label: NDArray[np.uint8]


def write_scenes(folder: Path, seed: int, count: int = 3, size: int = 512) -> list[tuple[Path, Path]]:
    """Write scenes as GeoTIFFs, with `classes.json` beside, and return (image, label) paths.

    Args:
        folder: made where it is missing.
        seed: equal seeds give equal files.
        count: scenes, each of another place and day.
        size: rows and columns, pixels of 10 m.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = [entry.model_dump() for entry in CLASSES]
    (folder / "classes.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return [_write_scene(folder, seed, number, size) for number in range(count)]


def simulate_scene(seed: int, number: int, size: int) -> SimulatedScene:
    """Make scene `number` of a series.

    Args:
        seed: of the series.
        number: from 0.
        size: rows and columns.
    """
    random = np.random.default_rng([seed, number])
    cover = _cover(random, size)
    light = random.uniform(0.86, 1.1)
    haze = random.uniform(0.0, 1.2) * np.array([1.0, 0.7, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2, 0.0, 0.0])
    reflectance = _mix(random, cover, size) * light + haze[:, None, None]
    cloud = _clouds(random, size)
    shadow = np.roll(cloud, (size // 24, size // 16), axis=(0, 1))
    reflectance *= 1 - 0.55 * shadow * (1 - cloud)
    reflectance = reflectance * (1 - cloud) + np.array(_CLOUD)[:, None, None] * cloud
    reflectance += random.normal(0, 0.25, reflectance.shape)
    image = np.clip(reflectance / 100 * _QUANTIFICATION, 1, 65535).round().astype(np.uint16)
    label = cover.argmax(axis=0).astype(np.uint8)
    label[cloud > 0.3] = MASK_NODATA
    blank = _blank(random, size)
    image[:, blank], label[blank] = 0, MASK_NODATA
    return SimulatedScene(image, label)


def _cover(random: np.random.Generator, size: int) -> Field:
    """Return the share of each class in each pixel: (4, size, size), adding up to 1."""
    height = _fractal(random, size, 3.4)
    wetness = 0.8 * _fractal(random, size, 2.9) - 0.4 * height
    river = _river(random, height, size)
    town = _towns(random, size)
    scores = np.stack(
        [
            np.maximum(2.2 * (-height - 0.95), 3.0 * (river - 0.5)),
            0.9 * wetness + 0.25,
            -0.9 * wetness + 0.08 * _fractal(random, size, 1.6),
            2.4 * (town - 0.55) - 1.5 * np.maximum(river - 0.3, 0),
        ]
    )
    # Borders of one to two pixels, as 10 m pixels have them.
    sharp = np.exp(14 * (scores - scores.max(axis=0)))
    shares: Field = sharp / sharp.sum(axis=0)
    return shares


def _mix(random: np.random.Generator, cover: Field, size: int) -> Field:
    """Return surface reflectance in percent: (bands, size, size)."""
    streets = np.abs(np.sin(np.arange(size) / 1.7))
    blocks = np.outer(streets, np.abs(np.sin(np.arange(size) / 2.1))) + 0.35 * random.normal(size=(size, size))
    second = (
        _smooth_step(_fractal(random, size, 2.4)),
        _smooth_step(_fractal(random, size, 1.9)),
        _smooth_step(_fractal(random, size, 2.0)),
        _smooth_step(2.5 * (blocks - 0.4)),
    )
    spectra = np.array(list(_SPECTRA.values()))
    texture = 1 + np.array([0.02, 0.07, 0.06, 0.16])[:, None, None] * random.normal(size=(4, size, size))
    total: Field = np.zeros((len(BANDS), size, size))
    for place in range(len(CLASSES)):
        weight = cover[place] * texture[place]
        total += spectra[2 * place][:, None, None] * (weight * (1 - second[place]))
        total += spectra[2 * place + 1][:, None, None] * (weight * second[place])
    return total


def _fractal(random: np.random.Generator, size: int, slope: float) -> Field:
    """Return smooth noise with a power spectrum 1/f^slope, mean 0 and deviation 1: (size, size)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(random.normal(size=(size, size))) * frequency ** (-slope / 2)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    scaled: Field = field / field.std()
    return scaled


def _river(random: np.random.Generator, height: Field, size: int) -> Field:
    """Return 1 in the middle of a river that winds across the scene, falling to 0 at its banks."""
    along = np.arange(size)
    phases = random.uniform(0, 2 * np.pi, 3)
    bends = sum(
        np.sin(2 * np.pi * turns * along / size + phase) * size * reach
        for turns, phase, reach in zip((1, 2.3, 5.1), phases, (0.12, 0.06, 0.02), strict=True)
    )
    middle = size * random.uniform(0.3, 0.7) + bends + 4 * height[along, size // 2]
    width = size * random.uniform(0.012, 0.03)
    distance = np.abs(np.arange(size)[None, :] - middle[:, None])
    profile: Field = np.clip(1.5 - distance / width, 0, 1)
    return profile if random.random() < 0.5 else np.ascontiguousarray(profile.T)


def _towns(random: np.random.Generator, size: int) -> Field:
    """Return 1 in the middle of towns, falling outwards, with ragged edges."""
    rows, columns = np.mgrid[0:size, 0:size]
    field: Field = np.zeros((size, size))
    for _ in range(6):
        row, column = random.uniform(0.05, 0.95, 2) * size
        radius = size * random.uniform(0.06, 0.13)
        field = np.maximum(field, np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * radius**2)))
    return field + 0.1 * _fractal(random, size, 2.4)


def _clouds(random: np.random.Generator, size: int) -> Field:
    """Return opacity 0 … 1 of clouds over some 5 % of the scene."""
    field = _fractal(random, size, 3.0)
    return _smooth_step((field - np.quantile(field, random.uniform(0.93, 0.97))) * 6 - 1)


def _blank(random: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Return a slanted strip at the left edge, as at the border of a swath."""
    width = size * random.uniform(0.01, 0.05) + np.arange(size) * random.uniform(0.0, 0.06)
    strip: NDArray[np.bool_] = np.arange(size)[None, :] < width[:, None]
    return strip


def _smooth_step(field: Field) -> Field:
    step: Field = 1 / (1 + np.exp(-3 * np.clip(field, -10, 10)))
    return step


def _write_scene(folder: Path, seed: int, number: int, size: int) -> tuple[Path, Path]:
    scene = simulate_scene(seed, number, size)
    day = _FIRST_DAY + timedelta(days=25 * number)
    stem = f"sim{seed}-{number:02d}_{day:%Y%m%d}"
    # Two UTM zones, so that a dataset of several scenes has several coordinate systems.
    crs = "EPSG:32630" if number % 2 == 0 else "EPSG:32631"
    corner = (500_000 + 3 * number * size * _PIXEL, 4_200_000 - number * size * _PIXEL)
    transform = rasterio.Affine(_PIXEL, 0, corner[0], 0, -_PIXEL, corner[1])
    common = {"crs": crs, "transform": transform}
    image, label = folder / f"{stem}_image.tif", folder / f"{stem}_label.tif"
    _write(image, scene.image, BANDS, nodata=0, **common)
    _write(label, scene.label[None], ("label",), nodata=MASK_NODATA, **common)
    return image, label


def _write(path: Path, pixels: NDArray[Any], names: tuple[str, ...], **profile: Any) -> None:
    count, rows, columns = pixels.shape
    with (
        rasterio.Env(**RASTER_OPTIONS),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=count,
            height=rows,
            width=columns,
            dtype=pixels.dtype,
            compress="deflate",
            predictor=2,
            **profile,
        ) as dataset,
    ):
        dataset.descriptions = names
        dataset.write(pixels)
