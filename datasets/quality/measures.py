"""Measuring one chip: its pixels are read once, and everything that is wanted of them is taken along.

What leaves this module is small and of a size that does not depend on the chip's: flat measures, sums for histograms, a
descriptor, a sample of pixels with their labels, and the surface of edge offsets.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from scipy import ndimage

from terralab.catalog.errors import InvalidRaster, LabError
from terralab.catalog.store import Store
from terralab.datasets.quality.chip_source import ChipSource, FeatureSource
from terralab.datasets.quality.edges import Surface, edge_surface, fit_of
from terralab.datasets.quality.fingerprints import Descriptor, descriptor, pixel_hash
from terralab.datasets.quality.georeference import georeference_problem
from terralab.datasets.quality.spectral import CLASS_BANDS, cloud_mask
from terralab.datasets.raster_file import open_raster, valid_pixels
from terralab.extensions.raster import MASK_NODATA

BINS = 64
"""Bins of a band's histogram, over the range that the items' statistics tell."""
SAMPLE_SIDE = 12
SAMPLES = SAMPLE_SIDE * SAMPLE_SIDE
"""Pixels of a chip that the search for label errors looks at, on a regular grid."""
_DIGITS = 5
_CLIPPED_SHARE = 0.005
_LEAST_LEVELS = 50
_PILED = 4


@dataclass
class ChipMeasures:
    """What was measured of one chip.

    Attributes:
        id: item id.
        qa: flat measures, the content of `lab:qa`.
        problem: why its files cannot be used; then nothing else is known.
        means: mean of every band of every feature over valid pixels and dates; NaN where there are none.
        deviations: the same, standard deviation.
        histograms: (bands, BINS) counts.
        hash: of its pixels.
        descriptor: of the picture, None where it has no structure.
        surface: of edge offsets, None where there are too few edges.
        edges: pixels that the surface is a mean of.
        sample: (SAMPLES, bands) float32, NaN where there is no data; None without a mask.
        sample_labels: (SAMPLES,) class values, 255 where there is none.
        sharpness: variance of the Laplacian over that of the picture.
    """

    id: str
    qa: dict[str, float | bool] = field(default_factory=dict)
    problem: str | None = None
    means: NDArray[np.float32] | None = None
    deviations: NDArray[np.float32] | None = None
    histograms: NDArray[np.int64] | None = None
    hash: str = ""
    descriptor: Descriptor | None = None
    surface: Surface | None = None
    edges: int = 0
    sample: NDArray[np.float32] | None = None
    sample_labels: NDArray[np.uint8] | None = None
    sharpness: float = 0.0


def measure_chip(store: Store, source: ChipSource) -> ChipMeasures:
    """Read a chip's files, each once and compared with its checksum, and measure it."""
    try:
        images = [_read(store, feature.href) for feature in source.features]
        mask = _read(store, source.mask)[0][0] if source.mask else None
    except LabError as error:
        return ChipMeasures(source.id, problem=str(error))
    problem = _disagreement(source, images, mask)
    if problem:
        return ChipMeasures(source.id, problem=problem)
    return _measured(source, [image for image, _ in images], mask)


def _read(store: Store, href: str) -> tuple[NDArray[Any], tuple[str | None, tuple[float, ...]]]:
    path = store.verify(href)
    with open_raster(path) as dataset:
        crs = dataset.crs
        code = crs.to_epsg() if crs is not None else None
        try:
            pixels: NDArray[Any] = dataset.read()
        except RasterioError as error:
            raise InvalidRaster(f"{href}: its pixels cannot be read") from error
        return pixels, (f"EPSG:{code}" if code else None, tuple(dataset.transform)[:6])


def _disagreement(source: ChipSource, images: list[tuple[NDArray[Any], Any]], mask: NDArray[Any] | None) -> str | None:
    """Return where files and item disagree."""
    for feature, (image, (code, transform)) in zip(source.features, images, strict=True):
        expected = (feature.dates * len(feature.bands), *source.grid.shape)
        if image.shape != expected:
            return f"{feature.key} has the shape {image.shape}, its item says {expected}"
        if source.grid.crs.startswith("EPSG:") and code != source.grid.crs:
            return f"{feature.key} lies in {code}, its item says {source.grid.crs}"
        if not np.allclose(
            transform, source.grid.transform, rtol=0, atol=1e-6 * max(abs(source.grid.transform[0]), 1e-3)
        ):
            return f"{feature.key} lies at another place than its item says"
    if mask is not None and mask.shape != source.grid.shape:
        return f"the mask has the shape {mask.shape}, its item says {source.grid.shape}"
    return None


def _measured(source: ChipSource, images: list[NDArray[Any]], mask: NDArray[np.uint8] | None) -> ChipMeasures:
    found = ChipMeasures(source.id, hash=pixel_hash(images))
    valid = [valid_pixels(image, feature.nodata) for image, feature in zip(images, source.features, strict=True)]
    whole = np.logical_and.reduce([flags.all(axis=0) for flags in valid])
    qa: dict[str, float | bool] = {"nodata": 1 - float(whole.mean())}
    moments = [_moments(*part) for part in zip(source.features, images, valid, strict=True)]
    found.means = np.concatenate([means for means, _, _ in moments])
    found.deviations = np.concatenate([deviations for _, deviations, _ in moments])
    found.histograms = np.concatenate([counts for _, _, counts in moments])
    cloud = _cloud_share(source, images, valid)
    if cloud is not None:
        qa["cloud"] = cloud
    qa["saturated"] = max(_saturated(*part) for part in zip(source.features, images, valid, strict=True))
    picture, seen = _picture(source.features[0], images[0], valid[0])
    found.sharpness = _sharpness(picture, seen)
    qa["blur"] = 1 / (1 + found.sharpness)
    found.descriptor = descriptor(picture, seen)
    qa["georeferenced"] = georeference_problem(source.grid, source.bounds) is None
    if mask is not None:
        _measure_mask(source, found, qa, (picture, seen), mask, whole)
        found.sample, found.sample_labels = _sample(source, images, valid, mask)
    found.qa = {name: value if isinstance(value, bool) else round(float(value), _DIGITS) for name, value in qa.items()}
    return found


def _measure_mask(
    source: ChipSource,
    found: ChipMeasures,
    qa: dict[str, float | bool],
    picture: tuple[NDArray[np.float32], NDArray[np.bool_]],
    mask: NDArray[np.uint8],
    whole: NDArray[np.bool_],
) -> None:
    labelled = mask != MASK_NODATA
    qa["labeled"] = float(labelled.mean())
    qa["unlabeled"] = float((whole & ~labelled).mean())
    qa["label_without_data"] = float((labelled & ~whole).mean())
    counts = np.bincount(mask.ravel(), minlength=MASK_NODATA + 1)
    qa["unknown_class"] = float(counts[:MASK_NODATA].sum() - counts[list(source.values)].sum()) / mask.size
    edges = edge_surface(*picture, mask, MASK_NODATA)
    if edges is None:
        return
    found.surface, found.edges = edges
    fit = fit_of(found.surface)
    qa |= {"edge_agreement": fit.agreement, "edge_shift": fit.pixels}
    if fit.certain:
        qa |= {"edge_shift_rows": float(fit.rows), "edge_shift_columns": float(fit.columns)}


def _moments(
    feature: FeatureSource, image: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return mean, deviation and histogram of each band over the valid pixels of all dates."""
    bands = len(feature.bands)
    means, deviations = np.full(bands, np.nan, np.float32), np.full(bands, np.nan, np.float32)
    counts = np.zeros((bands, BINS), np.int64)
    for place in range(bands):
        pixels, usable = image[place::bands], valid[place::bands]
        values = pixels.ravel() if usable.all() else pixels[usable]
        if not values.size:
            continue
        wide = values.astype(np.float32, copy=False)
        means[place], deviations[place] = wide.mean(dtype=np.float64), wide.std(dtype=np.float64)
        counts[place] = _histogram(wide, feature.ranges[place])
    return means, deviations, counts


def _histogram(values: NDArray[np.float32], limits: tuple[float, float] | None) -> NDArray[np.int64]:
    if limits is None or limits[1] <= limits[0]:
        return np.zeros(BINS, np.int64)
    scaled = (values - np.float32(limits[0])) * np.float32(BINS / (limits[1] - limits[0]))
    places = np.clip(scaled, 0, BINS - 1).astype(np.intp)
    return np.bincount(places, minlength=BINS).astype(np.int64)


def _cloud_share(source: ChipSource, images: list[NDArray[Any]], valid: list[NDArray[np.bool_]]) -> float | None:
    """Return the share of pixels with data that show cloud, over all dates; None where no feature tells."""
    for feature, image, flags in zip(source.features, images, valid, strict=True):
        bands = len(feature.bands)
        cloudy, pixels = 0, 0
        for date in range(feature.dates):
            part = slice(date * bands, (date + 1) * bands)
            mask = cloud_mask(image[part], feature.bands)
            if mask is None:
                break
            seen = flags[part].all(axis=0)
            cloudy, pixels = cloudy + int((mask & seen).sum()), pixels + int(seen.sum())
        else:
            return cloudy / pixels if pixels else 0.0
    return None


def _saturated(feature: FeatureSource, image: NDArray[Any], valid: NDArray[np.bool_]) -> float:
    """Return the largest share, over the bands, of pixels that are clipped at one highest value."""
    worst = 0.0
    for place, band in enumerate(image):
        if feature.bands[place % len(feature.bands)].upper() in CLASS_BANDS:
            continue
        values = band if valid[place].all() else band[valid[place]]
        if not values.size:
            continue
        top = values.max()
        share = float((values == top).mean())
        if share <= max(worst, _CLIPPED_SHARE):
            continue
        if _piles_up(values):
            worst = share
    return worst


def _piles_up(values: NDArray[Any]) -> bool:
    """Say whether the highest value is far commoner than those below it.

    It is not where a picture is flat, nor where every value is common, as in a band that comes from larger pixels.
    """
    _, counts = np.unique(values, return_counts=True)
    return len(counts) >= _LEAST_LEVELS and bool(counts[-1] > _PILED * np.median(counts[-_LEAST_LEVELS:-1]))


def _picture(
    feature: FeatureSource, image: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the bands of the first date, each with mean 0 and deviation 1, and where all of them have data."""
    bands = [place for place, name in enumerate(feature.bands) if name.upper() not in CLASS_BANDS] or [0]
    seen: NDArray[np.bool_] = np.logical_and.reduce(valid[bands], axis=0)
    picture = image[bands].astype(np.float32)
    if not seen.any():
        return np.zeros_like(picture), seen
    usable = picture.reshape(len(bands), -1) if seen.all() else picture[:, seen]
    means = usable.mean(axis=1)
    spread = usable.std(axis=1)
    spread[spread == 0] = 1
    picture -= means[:, None, None]
    picture /= spread[:, None, None]
    if not seen.all():
        picture[:, ~seen] = 0
    return picture, seen


def _sharpness(picture: NDArray[np.float32], seen: NDArray[np.bool_]) -> float:
    """Return the variance of the Laplacian over that of the picture, both of the mean over the bands."""
    grey = picture.mean(axis=0)
    inner = seen if seen.all() else ndimage.binary_erosion(seen, border_value=1)
    if not inner.any() or not float(grey[inner].var()):
        return 0.0
    return float(ndimage.laplace(grey)[inner].var() / grey[inner].var())


def _sample(
    source: ChipSource, images: list[NDArray[Any]], valid: list[NDArray[np.bool_]], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return pixels of a regular grid with their labels; of several dates, the mean over those with data."""
    rows, columns = ((np.arange(SAMPLE_SIDE) + 0.5) * side / SAMPLE_SIDE for side in mask.shape)
    at = np.ix_(rows.astype(int), columns.astype(int))
    parts = []
    for feature, image, flags in zip(source.features, images, valid, strict=True):
        shape = (feature.dates, len(feature.bands), SAMPLES)
        values = image[:, at[0], at[1]].reshape(shape).astype(np.float32)
        usable = flags[:, at[0], at[1]].reshape(shape)
        count = usable.sum(axis=0)
        total = np.where(usable, values, 0).sum(axis=0)
        parts.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    sample = np.concatenate(parts).T.astype(np.float32)
    return sample, mask[at].ravel().astype(np.uint8)
