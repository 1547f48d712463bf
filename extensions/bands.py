"""Spectral bands: the names people write, and what STAC says of each.

Wavelengths are in micrometres: Sentinel-2A, as the Sentinel-2 MSI technical guide gives them.
"""

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Band:
    """One named band. `center` and `width` are in micrometres; `gsd` is in metres."""

    name: str
    common_name: str | None
    center: float | None
    width: float | None
    gsd: float | None
    terratorch: str

    def to_stac(self) -> dict[str, Any]:
        """Return the band object that STAC 1.1 common metadata and EO 2.0 describe."""
        known = {
            "name": self.name,
            "eo:common_name": self.common_name,
            "eo:center_wavelength": self.center,
            "eo:full_width_half_max": self.width,
            "gsd": self.gsd,
        }
        return {key: value for key, value in known.items() if value is not None}


SENTINEL_2 = (
    Band("B01", "coastal", 0.4427, 0.021, 60, "COASTAL_AEROSOL"),
    Band("B02", "blue", 0.4924, 0.066, 10, "BLUE"),
    Band("B03", "green", 0.5598, 0.036, 10, "GREEN"),
    Band("B04", "red", 0.6646, 0.031, 10, "RED"),
    Band("B05", "rededge071", 0.7041, 0.015, 20, "RED_EDGE_1"),
    Band("B06", "rededge075", 0.7405, 0.015, 20, "RED_EDGE_2"),
    Band("B07", "rededge078", 0.7828, 0.020, 20, "RED_EDGE_3"),
    Band("B08", "nir", 0.8328, 0.106, 10, "NIR_BROAD"),
    Band("B8A", "nir08", 0.8647, 0.021, 20, "NIR_NARROW"),
    Band("B09", "nir09", 0.9451, 0.020, 60, "WATER_VAPOR"),
    Band("B10", "cirrus", 1.3735, 0.031, 60, "CIRRUS"),
    Band("B11", "swir16", 1.6137, 0.091, 20, "SWIR_1"),
    Band("B12", "swir22", 2.2024, 0.175, 20, "SWIR_2"),
)
SENTINEL_1 = (Band("VV", None, None, None, 10, "VV"), Band("VH", None, None, None, 10, "VH"))

BY_NAME = {band.name: band for band in (*SENTINEL_2, *SENTINEL_1)}
COMMON_NAMES = frozenset(str(band.common_name) for band in SENTINEL_2)
_BY_ALIAS = {
    **{str(band.common_name): band.name for band in SENTINEL_2},
    **{band.terratorch.lower(): band.name for band in (*SENTINEL_2, *SENTINEL_1)},
}


def canonical_band_name(written: str) -> str:
    """Return the lab's name of a band that a file calls `B2`, `b02`, `blue` or `BLUE`; others stay as written."""
    match = re.fullmatch(r"[bB]0?(\d{1,2})", written)
    if match:
        return f"B{int(match[1]):02d}"
    if written.upper() in BY_NAME:
        return written.upper()
    return _BY_ALIAS.get(written.lower(), written)


def describe_band(name: str) -> dict[str, Any]:
    """Return the STAC band object of a band by the lab's name; an unknown band has its name alone."""
    band = BY_NAME.get(name)
    return band.to_stac() if band else {"name": name}
