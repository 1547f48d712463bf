"""Finding the scenes of an area and a time that a model can read."""

from collections.abc import Iterator, Sequence
from typing import Any

from shapely.geometry import box, shape

from terralab.catalog.database import Catalog
from terralab.catalog.errors import InvalidInput
from terralab.datasets.dates import parse_period
from terralab.extensions.item import Footprint, format_time
from terralab.extensions.lab import KIND_PROP, Kind
from terralab.flows.inference.source import has_bands

_UNKNOWN_CLOUDS = 101.0  # sorts after every known cloud cover
_SMALLEST_GAIN = 1e-3  # share of the box that a further scene must add


def scenes_in(catalog: Catalog, bbox: Sequence[float], period: str, bands: Sequence[str]) -> list[dict[str, Any]]:
    """Return the fewest scenes that cover a box, the least cloudy and newest first.

    Args:
        catalog: the catalog.
        bbox: west, south, east, north in degrees.
        period: a day, a time, or a range with `/`.
        bands: bands that the scenes must have.

    Raises:
        InvalidInput: there is no such scene.
    """
    start, end = parse_period(period)
    collections = [entry["id"] for entry in catalog.collections() if entry.get(KIND_PROP) == Kind.IMAGERY]
    if not collections:
        raise InvalidInput("the catalog has no imagery yet; onboard some, or predict on a --file")
    times = format_time(start) if start == end else f"{format_time(start)}/{format_time(end)}"
    found = list(catalog.search(collections=collections, bbox=list(bbox), datetime=times))
    usable = [item for item in found if has_bands(item, bands)]
    if not usable:
        without = f"; {len(found)} scenes there lack a band" if found else ""
        raise InvalidInput(
            f"no scene with the bands {', '.join(bands)} lies in the box {list(bbox)} and the time {times}{without}"
        )
    return list(_covering(sorted(usable, key=_rank), bbox))


def _rank(item: dict[str, Any]) -> tuple[float, float, str]:
    clouds = item["properties"].get("eo:cloud_cover")
    newest = -Footprint.of_item(item).start.timestamp()
    return _UNKNOWN_CLOUDS if clouds is None else float(clouds), newest, item["id"]


def _covering(ranked: Sequence[dict[str, Any]], bbox: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield scenes from the best down, each that covers a part of the box which those before do not."""
    left = box(*bbox)
    smallest = _SMALLEST_GAIN * left.area
    for item in ranked:
        rest = left.difference(shape(item["geometry"]))
        if left.area - rest.area > smallest:
            left = rest
            yield item
