"""Small hard sets for the equality gate: what the mass of the corpus does not have and catalogs do."""

import math
from collections.abc import Callable, Iterator
from itertools import chain
from random import Random
from typing import Any

from terralab.extensions.item import item_href
from terralab.extensions.lab import SCHEMA_URI
from tests.benchmarks.catalog.corpus_chips import chip
from tests.benchmarks.catalog.corpus_places import CHIPS, PREDICTIONS, SCENES, leaning_square
from tests.benchmarks.catalog.corpus_predictions import prediction
from tests.benchmarks.catalog.corpus_scenes import scene
from tests.benchmarks.catalog.corpus_support import collections, undescribed

TIES, RANGES, ODD = "ties", "ranges", "odd"
TIED_TIMES = tuple(f"2023-06-0{day}T12:00:00Z" for day in range(1, 6))
HOT_BOX = (10.0, 40.0, 20.0, 50.0)
_FIRST = 900_000_000  # numbers of the variants, far from those of the mass


def variant_collections() -> list[dict[str, Any]]:
    """Return collections like the scenes', but for what must not clash; one of them without `item_assets`."""
    base = collections()[0]
    made = [{**base, "id": name, "title": name.capitalize()} for name in (TIES, RANGES, ODD)]
    return [*made[:2], undescribed(made[2])]


def variants() -> Iterator[dict[str, Any]]:
    """Yield all variants, about 1,000 items."""
    return chain(_ties(), _ranges(), _detailed(), _hot_spot(), _odd(), _shared_ids())


def _ties() -> Iterator[dict[str, Any]]:
    """Yield items that share five moments, in four collections: the order of pages then hangs on the ids."""
    for index in range(400):
        made, home = [(scene, TIES), (scene, SCENES), (chip, CHIPS), (prediction, PREDICTIONS)][index % 4]
        item = _made(made, index, home, f"tie-{index * 7919 % 400:03d}")
        item["properties"]["datetime"] = TIED_TIMES[index // 4 % 5]
        yield item


def _ranges() -> Iterator[dict[str, Any]]:
    """Yield items with a time range and no datetime, with one and a datetime, and of an instant in fractions."""
    for index in range(150):
        item = _made(scene, 1000 + index, RANGES, f"range-{index:03d}")
        day, hour = 1 + index % 28, index % 24
        start = f"2022-{1 + index % 12:02d}-{day:02d}T{hour:02d}:00:00Z"
        end = f"2022-{1 + index % 12:02d}-{day:02d}T{hour:02d}:59:59.{index:03d}Z"
        months = {"start_datetime": start, "end_datetime": f"202{3 + index % 2}-01-0{1 + index % 9}T00:00:00Z"}
        times = [{"datetime": None, **months}, {"start_datetime": start, "end_datetime": end}, {"datetime": end}]
        item["properties"] |= times[index % 3]
        if index % 3 == 1:
            item["properties"]["datetime"] = start
        yield item


def _detailed() -> Iterator[dict[str, Any]]:
    """Yield footprints of 200 vertices, and some of them with a hole."""
    for index in range(100):
        random = Random(f"detailed-{index}")
        item = _made(scene, 2000 + index, ODD, f"detailed-{index:03d}")
        west, south, radius = random.uniform(-170, 170), random.uniform(-60, 60), random.uniform(0.5, 4)
        ring = _round_ring(west, south, radius, 200, random)
        holes = [_round_ring(west, south, radius / 4, 12, random)[::-1]] if index % 5 == 0 else []
        item["geometry"] = {"type": "Polygon", "coordinates": [ring, *holes]}
        item["bbox"] = _box_of(ring)
        yield item


def _hot_spot() -> Iterator[dict[str, Any]]:
    """Yield scenes in one cell of ten degrees, in one month."""
    for index in range(200):
        item, random = _made(scene, 3000 + index, SCENES, f"hot-{index:03d}"), Random(f"hot-{index}")
        west, south, east, north = HOT_BOX
        item |= leaning_square(
            round(random.uniform(west, east - 1), 6), round(random.uniform(south, north - 1), 6), 1.0
        )
        item["properties"]["datetime"] = f"2024-07-{1 + index % 31:02d}T{index % 24:02d}:30:00Z"
        yield item


def _odd() -> Iterator[dict[str, Any]]:
    """Yield items with unusual values: points, split footprints, missing assets and fields, odd numbers and texts."""
    for index, change in enumerate(_CHANGES * 4):
        for home in (ODD, SCENES):
            item = _made(scene, 4000 + 2 * index + (home == ODD), home, f"odd-{index:03d}")
            change(item, index)
            yield item


def _shared_ids() -> Iterator[dict[str, Any]]:
    """Yield items that have one id in several collections."""
    for index in range(20):
        for number, home in enumerate((TIES, RANGES, ODD, SCENES)):
            yield _made(scene, 5000 + 4 * index + number, home, f"shared-{index:02d}")


def _made(make: Callable[[int, Random], dict[str, Any]], number: int, collection: str, id: str) -> dict[str, Any]:
    # Chips and predictions link earlier scenes; their numbers here may be any, as long as those scenes exist.
    item = make(_FIRST + number if make is scene else number % 50 * 10 + 6, Random(f"variant-{number}-{collection}"))
    links = [{"rel": "collection", "href": f"collections/{collection}"}, *item["links"][1:]]
    return {**item, "id": id, "collection": collection, "links": links, "properties": dict(item["properties"])}


def _round_ring(x: float, y: float, radius: float, count: int, random: Random) -> list[list[float]]:
    ring = []
    for step in range(count):
        angle, reach = 2 * math.pi * step / count, radius * random.uniform(0.9, 1.0)
        ring.append([round(x + reach * math.cos(angle), 6), round(y + reach * math.sin(angle), 6)])
    return [*ring, ring[0]]


def _box_of(ring: list[list[float]]) -> list[float]:
    xs, ys = zip(*ring, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def _point(item: dict[str, Any], index: int) -> None:
    x, y = 5.0 + index, 45.125
    item |= {"geometry": {"type": "Point", "coordinates": [x, y]}, "bbox": [x, y, x, y]}


def _line(item: dict[str, Any], index: int) -> None:
    item |= {
        "geometry": {"type": "LineString", "coordinates": [[index, -10.5], [index + 2, -9], [index + 3, -10]]},
        "bbox": [index, -10.5, index + 3, -9],
    }


def _antimeridian(item: dict[str, Any], index: int) -> None:
    south = -20.0 + index
    halves = [leaning_square(179.0, south, 1.0), leaning_square(-180.0, south, 1.0)]
    item |= {
        "geometry": {"type": "MultiPolygon", "coordinates": [half["geometry"]["coordinates"] for half in halves]},
        "bbox": [179.0, south, -179.0, south + 1],
    }


def _height(item: dict[str, Any], index: int) -> None:
    x, y = 30.0 + index, 12.0
    ring = [[x, y, 100.0], [x + 1, y, 110.5], [x + 1, y + 1, 120.0], [x, y, 100.0]]
    item |= {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [x, y, 100.0, x + 1, y + 1, 120.0]}


def _fewer_assets(item: dict[str, Any], _index: int) -> None:
    item["assets"] = {key: entry for key, entry in item["assets"].items() if key in ("b02", "b03", "scl")}


def _one_more_asset(item: dict[str, Any], _index: int) -> None:
    entry = {
        "href": "https://data.example.org/a%20b/%C3%A4.json?x=1&y=2",
        "type": "application/json",
        "roles": ["metadata"],
    }
    item["assets"] = {**item["assets"], "product-metadata": entry}


def _asset_without_fields(item: dict[str, Any], _index: int) -> None:
    plain = {key: value for key, value in item["assets"]["b02"].items() if key not in ("title", "bands", "gsd")}
    item["assets"] = {**item["assets"], "b02": plain}


def _no_assets(item: dict[str, Any], _index: int) -> None:
    item["assets"] = {}
    item["stac_extensions"] = [uri for uri in item["stac_extensions"] if "/raster/" not in uri and uri != SCHEMA_URI]
    item["properties"] = {key: value for key, value in item["properties"].items() if not key.startswith("lab:")}


def _no_cloud_cover(item: dict[str, Any], _index: int) -> None:
    item["properties"].pop("eo:cloud_cover")


def _numbers(item: dict[str, Any], index: int) -> None:
    item["properties"] |= {
        "eo:cloud_cover": [0, 100, 50.0, 1e-07][index % 4],
        "gsd": 10.0,
        "x:large": 12345678901234567,
    }
    item["properties"] |= {"x:small": 1.5e-300, "x:third": 1 / 3, "x:minus_zero": -0.0, "x:flag": index % 2 == 0}


def _texts(item: dict[str, Any], index: int) -> None:
    item["properties"] |= {
        "title": ["Überflutung – Ausläufer", 'quote " and \\ back', "日本の森 🌲", "50 % _like_ 'x'"][index % 4],
        "description": "line one\nline two\ttab",
        "keywords": ["a", "b,c", ""],
    }


def _nested(item: dict[str, Any], index: int) -> None:
    item["properties"] |= {
        "lab:params": {"model": {"name": "x", "layers": [1, 2, {"deep": None}]}, "empty": {}, "none": None},
        "lab:metrics": {"iou": 0.5 + index / 1000, "recall": None},
        "providers": [{"name": "ESA", "roles": ["producer"], "url": "https://www.esa.int"}],
    }


def _links(item: dict[str, Any], index: int) -> None:
    item["links"] = [
        *item["links"],
        {"rel": "derived_from", "href": item_href(SCENES, "scene-000000000"), "type": "application/geo+json"},
        {"rel": "license", "href": "https://example.org/license?a=1&b=2", "title": "Licence"},
        {"rel": "cite-as", "href": "https://doi.org/10.5281/zenodo.1"},
        {"rel": "preview", "href": f"https://example.org/{index}.html", "type": "text/html"},
    ]


_CHANGES: list[Callable[[dict[str, Any], int], None]] = [
    _point,
    _line,
    _antimeridian,
    _height,
    _fewer_assets,
    _one_more_asset,
    _asset_without_fields,
    _no_assets,
    _no_cloud_cover,
    _numbers,
    _texts,
    _nested,
    _links,
]
