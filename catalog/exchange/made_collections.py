"""Collections that are made for items which come without one."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import shapely

from terralab.catalog.access.policy import PUBLIC, VISIBILITY_PROP
from terralab.catalog.extents import extent
from terralab.catalog.read_model import time_range
from terralab.extensions.item import STAC_VERSION

_EVERYTHING = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}


def plain_collection(name: str, covered: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a collection that says nothing but where and when its items are."""
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": name,
        "description": f"Items of {name}, loaded without a description of their collection",
        "license": "other",
        "extent": covered,
        "links": [],
    }


def extent_of_items(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the extent of valid items; that of guarded ones is nobody's business."""
    seen = [item for item in items if item["properties"].get(VISIBILITY_PROP) in (None, PUBLIC)]
    if not seen:
        return _EVERYTHING
    box = shapely.total_bounds(shapely.from_geojson([orjson.dumps(item["geometry"]) for item in seen]))
    times = [time_range(item["properties"]) for item in seen]
    return extent(box.tolist(), min(start for start, _ in times), max(end for _, end in times))
