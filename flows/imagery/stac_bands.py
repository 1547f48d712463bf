"""Where a STAC item has the bands of a modality: catalogs write that in many ways.

A band is found, in this order, by the provider's name in the table, by the lab's name, and by what else it is called;
first among asset keys, then among the bands that an asset lists (`bands` of STAC 1.1, `eo:bands`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from terralab.datasets.imagery.found import BandSource
from terralab.datasets.imagery.modalities import Modality, ProviderCollection
from terralab.extensions.item import parse_time
from terralab.extensions.raster import Grid

_NOT_PIXELS = ("thumbnail", "overview", "metadata", "visual", "preview", "rendered_preview")
_VALUES = ("raster:scale", "raster:offset", "unit")
_KEPT = ("platform", "constellation", "instruments", "gsd", "view:off_nadir", "sat:orbit_state", "sar:instrument_mode")


def band_sources(
    item: Mapping[str, Any], modality: Modality, collection: ProviderCollection, bands: Sequence[str]
) -> tuple[list[BandSource], list[str]]:
    """Return where an item has the bands, and which of them it has not."""
    listed = list(_listed(item))
    found, missing = [], []
    for name in bands:
        source = _source(item, listed, name, [collection.bands.get(name, name), name, *modality.names.get(name, ())])
        if source is None:
            missing.append(name)
        else:
            found.append(source)
    return found, missing


def item_grid(item: Mapping[str, Any], sources: Sequence[BandSource]) -> Grid | None:
    """Return the grid of the finest band as far as the catalog tells it."""
    properties, grids = item.get("properties") or {}, []
    for source in sources:
        asset = (item.get("assets") or {}).get(source.key.partition("#")[0]) or {}
        fields = {
            name: asset.get(name, properties.get(name))
            for name in ("proj:code", "proj:epsg", "proj:wkt2", "proj:transform", "proj:shape")
        }
        if fields["proj:code"] is None and fields["proj:epsg"]:
            fields["proj:code"] = f"EPSG:{fields['proj:epsg']}"
        try:
            grid = Grid.of_properties(fields)
            if grid.transform[0] > 0 > grid.transform[4] and not grid.transform[1] and not grid.transform[3]:
                grids.append(grid)
        except (KeyError, TypeError, ValueError, IndexError):
            continue
    return min(grids, key=lambda grid: grid.transform[0], default=None)


def kept_properties(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the common properties that go into the lab's own item."""
    properties = item.get("properties") or {}
    return {name: properties[name] for name in _KEPT if properties.get(name) not in (None, "", [])}


def cloud_cover(item: Mapping[str, Any]) -> float | None:
    """Return the cloud cover in percent, None where the item does not say."""
    written = (item.get("properties") or {}).get("eo:cloud_cover")
    return float(written) if isinstance(written, int | float) and not isinstance(written, bool) else None


def period(item: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return begin and end of the acquisition.

    Raises:
        KeyError: or ValueError or TypeError: the item says no time.
    """
    properties = item["properties"]
    start = properties.get("datetime") or properties["start_datetime"]
    end = properties.get("datetime") or properties.get("end_datetime") or start
    times = [parse_time(written) for written in (start, end)]
    first, last = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in times)
    return first, max(first, last)


def _listed(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], int, dict[str, Any]]]:
    """Yield (key, asset, number, band) of the bands that the item's assets list."""
    for key, asset in (item.get("assets") or {}).items():
        if not isinstance(asset, dict) or not _has_pixels(key, asset):
            continue
        entries = asset.get("bands") or asset.get("eo:bands") or []
        values = asset.get("raster:bands") or []
        for number, entry in enumerate(entries):
            if isinstance(entry, dict):
                more = values[number] if len(values) == len(entries) and isinstance(values[number], dict) else {}
                yield key, asset, number + 1, {**more, **entry}


def _source(
    item: Mapping[str, Any],
    listed: Sequence[tuple[str, dict[str, Any], int, dict[str, Any]]],
    name: str,
    names: Sequence[str],
) -> BandSource | None:
    for wanted in names:
        asset = (item.get("assets") or {}).get(wanted)
        if isinstance(asset, dict) and _has_pixels(wanted, asset):
            values = asset.get("raster:bands") or asset.get("bands") or [{}]
            return _of_asset(name, wanted, asset, 1, values[0] if isinstance(values[0], dict) else {})
        for key, asset, number, band in listed:
            if wanted in (band.get("name"), band.get("eo:common_name"), band.get("common_name")):
                several = sum(other == key for other, *_ in listed) > 1
                return _of_asset(name, f"{key}#{number}" if several else key, asset, number, band)
    return None


def _has_pixels(key: str, asset: Mapping[str, Any]) -> bool:
    """Say whether an asset is a GeoTIFF of measurements; pictures list the bands that they were made of, too."""
    picture = {key, *(asset.get("roles") or ())} & set(_NOT_PIXELS)
    return not picture and "tiff" in str(asset.get("type", "tiff")).lower()


def _of_asset(name: str, key: str, asset: Mapping[str, Any], index: int, band: Mapping[str, Any]) -> BandSource | None:
    if not isinstance(asset.get("href"), str):
        return None
    written = {**{field: asset[field] for field in ("data_type", "nodata") if field in asset}, **band}
    size = asset.get("file:size")
    return BandSource(
        name,
        key,
        asset["href"],
        index,
        _data_type(written.get("data_type")),
        _number(written.get("nodata")),
        size if isinstance(size, int) and size > 0 else None,
        _values(written),
    )


def _values(band: Mapping[str, Any]) -> dict[str, Any]:
    plain = {"scale": "raster:scale", "offset": "raster:offset"}
    found = {plain.get(key, key): value for key, value in band.items() if plain.get(key, key) in _VALUES}
    return {key: value for key, value in found.items() if isinstance(value, int | float | str)}


def _data_type(written: Any) -> str | None:
    try:
        return np.dtype(written).name if isinstance(written, str) else None
    except TypeError:
        return None


def _number(written: Any) -> float | None:
    try:
        return None if written is None or isinstance(written, bool) else float(written)
    except (TypeError, ValueError):
        return None
