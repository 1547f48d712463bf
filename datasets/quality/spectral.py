"""Clouds: from a band that says it, else by a rule on reflectances.

The rule is that of Braaten, Cohen and Yang (Remote Sensing of Environment 169, 2015, "Automated cloud and cloud shadow
identification in Landsat MSS imagery"), with two tests against snow, which is dark in short-wave infrared: its
reflectance there, and the normalized difference snow index (Dozier, Remote Sensing of Environment 28, 1989). It finds
bright clouds; it misses thin cirrus and clouds of ice, and takes very bright roofs and sand for clouds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GREEN, _RED, _SWIR = "B03", "B04", "B11"
_QUANTIFICATION = 10_000
_LARGEST_REFLECTANCE = 3.0
_DARKEST, _BRIGHTEST = 0.175, 0.39
_NO_SNOW = 0.1
_SNOW_INDEX = 0.42
_SCL_CLOUD = (8, 9, 10)

Mask = NDArray[np.bool_]


def cloud_mask(image: NDArray[Any], bands: Sequence[str]) -> Mask | None:
    """Return where one date of a chip shows cloud; None where its bands do not tell.

    Args:
        image: (bands, rows, columns).
        bands: names in order.
    """
    places = {name.upper(): place for place, name in enumerate(bands)}
    for name, says_cloud in _MASK_BANDS.items():
        if name in places:
            return says_cloud(image[places[name]].astype(np.int64))
    if not {_GREEN, _RED, _SWIR} <= places.keys():
        return None
    return _by_reflectance(*(image[places[name]] for name in (_GREEN, _RED, _SWIR)))


def _by_reflectance(*bands: NDArray[Any]) -> Mask | None:
    integers = bands[0].dtype.kind in "iu"
    if integers and bands[0].dtype.itemsize < 2:
        return None  # an 8-bit picture is no reflectance
    factor = 1 / _QUANTIFICATION if integers or float(np.nanmax(bands[0])) > _LARGEST_REFLECTANCE else 1.0
    green, red, swir = (band.astype(np.float32) * np.float32(factor) for band in bands)
    brightness = (green - _DARKEST) / (_BRIGHTEST - _DARKEST)
    snow = (swir <= _NO_SNOW) | (green - swir > _SNOW_INDEX * (green + swir))
    found: Mask = ~snow & ((brightness > 1) | ((brightness > 0) & (green > red)))
    return found


def _bits(*bits: int) -> Callable[[NDArray[np.int64]], Mask]:
    mask = sum(1 << bit for bit in bits)
    return lambda band: (band & mask) != 0


_MASK_BANDS: Mapping[str, Callable[[NDArray[np.int64]], Mask]] = {
    "SCL": lambda band: np.isin(band, _SCL_CLOUD),
    "QA60": _bits(10, 11),
    "FMASK": _bits(1),
    "CLM": lambda band: band == 1,
}
"""Bands that say where clouds are: Sentinel-2 scene classes, Sentinel-2 L1C, HLS, Sentinel Hub."""

CLASS_BANDS = frozenset({*_MASK_BANDS, "QA_PIXEL", "QA", "CLP"})
"""Bands of codes, which are no picture."""
