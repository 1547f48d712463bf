"""Reading every pixel of images and labels once, to find damage, empty images, free padding values and label values."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.errors import InvalidLabels, InvalidRaster
from terralab.datasets.raster_file import RasterFacts, open_raster, strips, valid_pixels


def values_taken(image: RasterFacts, candidates: Sequence[float]) -> set[float]:
    """Return which candidates occur in an image; none are looked for where it has a nodata value of its own.

    Raises:
        InvalidRaster: a block is damaged, or no pixel holds data.
    """
    taken: set[float] = set()
    anything = False
    with open_raster(image.path) as dataset:
        for _, pixels in strips(dataset, image.name):
            anything = anything or bool(valid_pixels(pixels, image.nodata).any())
            if image.nodata is None:
                taken |= {value for value in candidates if bool((pixels == value).any())}
    if not anything:
        raise InvalidRaster(f"{image.name}: every pixel is nodata ({image.nodata}); leave the file out")
    return taken


def padding_candidates(data_type: np.dtype[Any]) -> list[float]:
    """Return what may fill chips beyond the edge of images without a nodata value, the best first."""
    if data_type.kind == "f":
        return [float("nan")]
    limits = np.iinfo(data_type)
    # Below zero first, as in terrain models: tifffile takes 32767 for a value that int16 cannot have, and warns.
    return [0, int(limits.min), int(limits.max)] if limits.min < 0 else [0, int(limits.max)]


def label_values(label: RasterFacts, nodata: float | None) -> Counter[Any]:
    """Return how many pixels of a label have each value, nodata left out.

    Raises:
        InvalidRaster: a block is damaged.
        InvalidLabels: no pixel has a label.
    """
    counts: Counter[Any] = Counter()
    with open_raster(label.path) as dataset:
        for _, pixels in strips(dataset, label.name):
            counts.update(_value_counts(pixels[valid_pixels(pixels, nodata)]))
    if not counts:
        raise InvalidLabels(f"{label.name}: every pixel is nodata ({nodata}); leave the file out")
    return counts


def _value_counts(values: NDArray[Any]) -> dict[Any, int]:
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and values.size:
        low = int(values.min())
        counted = np.bincount((values.astype(np.int32) - low).ravel())
        return {low + int(place): int(counted[place]) for place in np.flatnonzero(counted)}
    found, counted = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counted.tolist(), strict=True))
