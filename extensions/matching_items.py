"""What an item offers to models, and what a model item needs: `matching` from STAC, as the lab and others write it."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pyproj import CRS
from shapely.geometry import shape

from terralab.extensions.bands import BY_NAME, SENTINEL_1, SENTINEL_2, canonical_band_name
from terralab.extensions.lab import ALIASES_PROP, METRICS_PROP
from terralab.extensions.matching import Need, Offer, OfferedBand

METRIC = "test_miou"
_NOT_DATA = {"thumbnail", "overview", "visual", "metadata", "labels", "labels-raster", "prediction"}
_METRES_PER_DEGREE = 111_320.0


def offer_of_item(item: Mapping[str, Any]) -> Offer:
    """Return what an item offers: the bands of its data assets."""
    properties = item["properties"]
    bands = [
        OfferedBand(str(band["name"]), band.get("eo:common_name") or band.get("common_name"), key)
        for key, asset in (item.get("assets") or {}).items()
        if not _NOT_DATA & set(asset.get("roles") or [])
        for band in asset.get("bands") or asset.get("eo:bands") or []
        if isinstance(band, Mapping) and "name" in band
    ]
    area = shape(item["geometry"]) if item.get("geometry") else None
    return Offer(tuple(bands), gsd_of_item(item), sensor_of(properties), area)


def need_of_model(item: Mapping[str, Any]) -> Need:
    """Return what a model item needs."""
    properties = item["properties"]
    described = {
        str(band["name"]): band for band in _described_bands(item) if isinstance(band, Mapping) and "name" in band
    }
    names = _input_bands(properties)
    bands = [(name, _common_name(name, described.get(name, {}))) for name in names]
    sizes = [described.get(name, {}).get("gsd") for name in names]
    metric = (properties.get(METRICS_PROP) or {}).get(METRIC)
    return Need(
        tuple(bands),
        properties.get("gsd") or min((float(size) for size in sizes if size), default=None),
        sensor_of(properties) or _sensor_of_bands(names),
        tuple(properties.get("mlm:tasks") or ()),
        shape(item["geometry"]) if item.get("geometry") else None,
        float(metric) if isinstance(metric, int | float) else None,
        tuple(properties.get(ALIASES_PROP) or ()),
        bool(properties.get("deprecated")),
    )


def sensor_of(properties: Mapping[str, Any]) -> str | None:
    """Return the sensor's family: `sentinel-2` of the platform `Sentinel-2A`."""
    named = properties.get("constellation") or properties.get("platform")
    return None if not isinstance(named, str) else sensor_family(named)


def sensor_family(name: str) -> str:
    """Return a platform's name without the letter of the satellite."""
    lower = name.strip().lower().replace("_", "-").replace(" ", "-")
    return re.sub(r"^(sentinel-\d)[a-d]$", r"\1", lower)


def gsd_of_item(item: Mapping[str, Any]) -> float | None:
    """Return the size of an item's pixels in metres: what it says, else by its grid, else by its finest band."""
    properties = item["properties"]
    if properties.get("gsd"):
        return float(properties["gsd"])
    assets = (item.get("assets") or {}).values()
    for fields in (properties, *assets):
        code, transform = fields.get("proj:code") or properties.get("proj:code"), fields.get("proj:transform")
        if transform and isinstance(code, str):
            return math.hypot(float(transform[0]), float(transform[3])) * _metres_per_unit(code)
    sizes = [band.get("gsd") for asset in assets for band in asset.get("bands") or [] if isinstance(band, Mapping)]
    return min((float(size) for size in sizes if size), default=None)


def _input_bands(properties: Mapping[str, Any]) -> list[str]:
    """Return the bands of all inputs of a model, each once."""
    entries = [band for one in properties.get("mlm:input") or [] for band in one.get("bands") or []]
    names = [band if isinstance(band, str) else band.get("name") for band in entries]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _described_bands(item: Mapping[str, Any]) -> Iterable[Any]:
    yield from (band for asset in (item.get("assets") or {}).values() for band in asset.get("bands") or [])
    yield from item["properties"].get("bands") or []


def _common_name(name: str, described: Mapping[str, Any]) -> str | None:
    known = BY_NAME.get(canonical_band_name(name))
    return described.get("eo:common_name") or (known.common_name if known and not described else None)


def _sensor_of_bands(names: Sequence[str]) -> str | None:
    canonical = {canonical_band_name(name) for name in names}
    for sensor, bands in (("sentinel-2", SENTINEL_2), ("sentinel-1", SENTINEL_1)):
        if canonical and canonical <= {band.name for band in bands}:
            return sensor
    return None


@lru_cache(maxsize=256)
def _metres_per_unit(code: str) -> float:
    crs = CRS.from_user_input(code)
    return _METRES_PER_DEGREE if crs.is_geographic else float(crs.axis_info[0].unit_conversion_factor)
