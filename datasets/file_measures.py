"""What an item says of files where they lie: size, checksum, bands with statistics, and pixels by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from terralab.catalog.errors import InvalidInput, InvalidLabels
from terralab.datasets.classes import found_classes
from terralab.datasets.pixel_scan import label_values
from terralab.datasets.raster_file import RasterFacts, open_raster, read_facts, strips, valid_pixels
from terralab.datasets.statistics import BandSums
from terralab.extensions.bands import canonical_band_name
from terralab.extensions.checksum import multihash_of_file
from terralab.extensions.item import StoredFile
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition


@dataclass(frozen=True)
class MeasuredImage:
    """An image: its header, its bands with statistics over valid pixels, and the share of valid pixels (0 … 1)."""

    facts: RasterFacts
    bands: tuple[BandRecord, ...]
    valid_share: float


@dataclass(frozen=True)
class MeasuredLabels:
    """A raster of class values: its header, its classes, and pixels by class name."""

    facts: RasterFacts
    classes: tuple[ClassDefinition, ...]
    class_counts: dict[str, int]


def describe_file(path: Path, href: str) -> StoredFile:
    """Return a file with its size and SHA-256, under the address `href`."""
    try:
        return StoredFile(href, path.stat().st_size, multihash_of_file(path))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


def measure_image(path: Path, names: Sequence[str] | None = None) -> MeasuredImage:
    """Read an image once, in strips.

    Args:
        path: a GeoTIFF.
        names: names of its bands in order; by default those that the file gives.

    Raises:
        InvalidRaster: it is not a GeoTIFF that the lab can use.
        InvalidInput: a band has no name, or there are more or fewer names than bands.
    """
    facts = read_facts(path)
    named = _band_names(facts, names)
    sums = [BandSums() for _ in named]
    everywhere = 0
    with open_raster(path) as dataset:
        for _, pixels in strips(dataset, facts.name):
            valid = valid_pixels(pixels, facts.nodata)
            everywhere += int(valid.all(axis=0).sum())
            strip = [BandSums.of_pixels(band, usable) for band, usable in zip(pixels, valid, strict=True)]
            sums = [BandSums.pooled(pair) for pair in zip(sums, strip, strict=True)]
    bands = tuple(
        BandRecord(name, facts.data_type, facts.nodata, band.statistics())
        for name, band in zip(named, sums, strict=True)
    )
    return MeasuredImage(facts, bands, everywhere / (facts.grid.shape[0] * facts.grid.shape[1]))


def measure_labels(path: Path, classes: Sequence[ClassDefinition] = ()) -> MeasuredLabels:
    """Read a raster of class values once, in strips.

    Args:
        path: a GeoTIFF with one band of whole numbers, 0 to 254; 255, or the file's own nodata, is no label.
        classes: what the values mean; by default `class_<value>` for each value that occurs.

    Raises:
        InvalidRaster: it is not a GeoTIFF that the lab can use.
        InvalidLabels: it has several bands, or a value that is no class.
    """
    facts = read_facts(path)
    if facts.count != 1 or np.dtype(facts.data_type).kind not in "iu":
        raise InvalidLabels(f"{facts.name}: {facts.count} bands of {facts.data_type}; give one band of whole numbers")
    counted = label_values(facts, MASK_NODATA if facts.nodata is None else facts.nodata)
    outside = sorted(value for value in counted if not 0 <= value < MASK_NODATA)
    if outside:
        raise InvalidLabels(f"{facts.name}: the value {outside[0]} is no class; classes are 0 to {MASK_NODATA - 1}")
    known = tuple(classes) or tuple(found_classes(counted))
    unknown = sorted(set(counted) - {entry.value for entry in known})
    if unknown:
        raise InvalidLabels(f"{facts.name}: the value {unknown[0]} is not among the classes; add it to them")
    return MeasuredLabels(facts, known, {entry.name: int(counted.get(entry.value, 0)) for entry in known})


def _band_names(facts: RasterFacts, given: Sequence[str] | None) -> tuple[str, ...]:
    written = list(given) if given else list(facts.descriptions)
    if len(written) != facts.count or not all(written):
        raise InvalidInput(
            f"{facts.name} has {facts.count} bands; give their names in order, as --bands B02,B03,B04 (now"
            f" {', '.join(name or '?' for name in written)})"
        )
    return tuple(canonical_band_name(str(name).strip()) for name in written)
