"""Sentinel-2 scenes of the corpus: thirteen assets, 8.7 KB of JSON, 1.5 KB of it sizes and checksums of files."""

from random import Random
from typing import Any

from terralab.extensions.bands import SENTINEL_2
from terralab.extensions.item import COG_TYPE, EXTENSION_URIS, STAC_VERSION, item_href
from terralab.extensions.lab import SCHEMA_URI, Kind
from tests.benchmarks.catalog.corpus_places import (
    SCENES,
    corner,
    leaning_square,
    moment,
    multihash,
    numbered,
    ownership,
    utm_zone,
)

_GRID = "https://stac-extensions.github.io/grid/v1.1.0/schema.json"
_VIEW = "https://stac-extensions.github.io/view/v1.0.0/schema.json"
EXTENSIONS = sorted([*(EXTENSION_URIS[name] for name in ("eo", "file", "proj", "raster")), _GRID, _VIEW, SCHEMA_URI])
_ROWS = "CDEFGHJKLMNPQRSTUVWX"
_BANDS = [band for band in SENTINEL_2 if band.name not in ("B10",)][:12]
ITEM_ASSETS: dict[str, dict[str, Any]] = {
    band.name.lower(): {
        "type": COG_TYPE,
        "title": f"Band {band.name}",
        "roles": ["data"],
        "gsd": band.gsd,
        "bands": [
            {
                **{key: value for key, value in band.to_stac().items() if key != "gsd"},
                "data_type": "uint16",
                "nodata": 0,
                "raster:scale": 0.0001,
                "raster:offset": -0.1,
            }
        ],
    }
    for band in _BANDS
} | {
    "scl": {
        "type": COG_TYPE,
        "title": "Scene classification",
        "roles": ["data"],
        "gsd": 20,
        "bands": [{"name": "SCL", "data_type": "uint8", "nodata": 0}],
    }
}


def scene(number: int, random: Random) -> dict[str, Any]:
    """Return the scene of a number."""
    west, south = corner(random)
    id, when, zone = numbered(number)[1], moment(random), utm_zone(west)
    tile = f"{zone:02d}{_ROWS[min(19, int((south + 80) // 8))]}{chr(65 + number % 24)}{chr(65 + number // 24 % 20)}"
    product = f"S2{'AB'[number % 2]}_MSIL2A_{when.translate(_NO_PUNCTUATION)}_N0510_R{number % 143:03d}_T{tile}"
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": id,
        "collection": SCENES,
        **leaning_square(west, south, 1.0),
        "properties": {
            "datetime": when,
            "created": when,
            "platform": f"sentinel-2{'ab'[number % 2]}",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "gsd": 10,
            "lab:kind": Kind.IMAGERY.value,
            "eo:cloud_cover": round(random.random() * 100, 3),
            "view:sun_azimuth": round(random.uniform(0, 360), 3),
            "view:sun_elevation": round(random.uniform(10, 80), 3),
            "proj:code": f"EPSG:326{zone:02d}",
            "grid:code": f"MGRS-{tile}",
            "s2:nodata_pixel_percentage": round(random.random() * 100, 3),
            "s2:product_uri": f"{product}.SAFE",
            **ownership(random),
        },
        "links": [{"rel": "collection", "href": f"collections/{SCENES}"}],
        "assets": _assets(product, tile, random),
    }


def scene_reference(id: str) -> str:
    """Return the stored reference to a scene."""
    return item_href(SCENES, id)


def _assets(product: str, tile: str, random: Random) -> dict[str, dict[str, Any]]:
    folder = f"https://data.example.org/s2/{tile}/{product}"
    easting, northing = 300_000 + random.randrange(40) * 10_020, 5_000_040
    made = {}
    for key, fixed in ITEM_ASSETS.items():
        pixel = fixed["gsd"]
        made[key] = {
            "href": f"{folder}/{key.upper()}.tif",
            **fixed,
            "proj:shape": [109_800 // pixel, 109_800 // pixel],
            "proj:transform": [pixel, 0, easting, 0, -pixel, northing],
            "file:size": random.randrange(20_000_000, 200_000_000),
            "file:checksum": multihash(product + key),
        }
    return made


_NO_PUNCTUATION = str.maketrans("", "", "-:Z")
