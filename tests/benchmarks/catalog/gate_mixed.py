"""Searches put together by chance, for the equality gate: every member with every other."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.benchmarks.catalog.corpus_chips import VERSIONS
from tests.benchmarks.catalog.corpus_places import CHIPS, PREDICTIONS, SCENES
from tests.benchmarks.catalog.corpus_predictions import MODELS
from tests.benchmarks.catalog.corpus_variants import ODD, RANGES, TIES
from tests.benchmarks.catalog.queries import Query, across_180, box, compare, polygon

COUNT = 250
_HOMES = (SCENES, CHIPS, PREDICTIONS, TIES, RANGES, ODD, "models", "nothing")
_SORTS = ("datetime", "id", "collection", "eo:cloud_cover", "properties.datetime", "lab:valid_share", "mlm:name", "gsd")
_NUMBERS = {"eo:cloud_cover": 100.0, "lab:valid_share": 1.0, "lab:metrics.iou": 1.0, "gsd": 20.0}
_TEXTS = {
    "platform": ("sentinel-2a", "sentinel-2b"),
    "ml-aoi:split": ("train", "validate", "test"),
    "lab:dataset_version": VERSIONS,
    "mlm:name": MODELS,
    "lab:kind": ("imagery", "chips", "prediction", "model"),
    "collection": _HOMES,
    "lab:visibility": ("private", "project"),
}
_FIELDS: tuple[dict[str, list[str]], ...] = (
    {"include": ["id", "collection", "properties.datetime"]},
    {"exclude": ["assets", "links"]},
    {"include": ["id", "collection", "links", "assets"]},
)


def mixed(random: Random) -> Iterator[Query]:
    """Yield searches of one to six members, a sixth of them as walks over all pages."""
    for index in range(COUNT):
        body: dict[str, Any] = {}
        for name, (chance, make) in _MEMBERS.items():
            if random.random() < chance:
                body[name] = make(random)
        if "bbox" in body and "intersects" in body:
            del body["intersects"]
        if "filter" in body:
            body["filter-lang"] = "cql2-json"
        walks = index % 6 == 0 and "fields" not in body
        if walks:
            body.setdefault("collections", _collections(random))
        body["limit"] = random.choice([40, 90, 250]) if walks else random.choice([1, 5, 30, 100])
        other = across_180(body["bbox"]) if "bbox" in body and body["bbox"][0] > body["bbox"][2] else {}
        yield Query("POST", "/search", body, stock_body=other, compare="walk" if walks else "features")


def _collections(random: Random) -> list[str]:
    return random.sample(_HOMES, random.choice([1, 1, 2, 3]))


def _ids(random: Random) -> list[str]:
    known = [
        f"tie-{random.randrange(400):03d}",
        f"shared-{random.randrange(20):02d}",
        f"odd-{random.randrange(52):03d}",
    ]
    return [
        *known,
        *(f"{kind}-{random.randrange(1000):09d}" for kind in ("scene", "chip", "prediction") for _ in range(9)),
    ]


def _box(random: Random) -> list[float]:
    west, south, east, north = box(random, random.choice([10, 60, 119]))
    return [east, south, west, north] if random.random() < 0.1 and east < 180 else [west, south, east, north]


def _time(random: Random) -> str:
    first, second = sorted(
        f"{random.randrange(2020, 2025)}-{random.randrange(1, 13):02d}-01T00:00:00Z" for _ in range(2)
    )
    return random.choice([f"{first}/{second}", f"../{second}", f"{first}/..", "2023-06-02T12:00:00Z"])


def _filter(random: Random, depth: int = 2) -> dict[str, Any]:
    kind = random.random()
    if depth and kind < 0.35:
        parts = [_filter(random, depth - 1) for _ in range(random.choice([2, 3]))]
        return {"op": random.choice(["and", "or"]), "args": parts}
    if depth and kind < 0.42:
        return {"op": "not", "args": [_filter(random, depth - 1)]}
    if kind < 0.7:
        name = random.choice(list(_NUMBERS))
        return compare(random.choice(["<", "<=", ">", ">=", "<>"]), name, round(random.uniform(0, _NUMBERS[name]), 3))
    name = random.choice(list(_TEXTS))
    if kind < 0.8:
        return {"op": "isNull", "args": [{"property": name}]}
    if kind < 0.88:
        return {"op": "in", "args": [{"property": name}, random.sample(_TEXTS[name], 2)]}
    return compare(random.choice(["=", "<>"]), name, random.choice(_TEXTS[name]))


def _sort(random: Random) -> list[dict[str, str]]:
    chosen = random.sample(_SORTS, random.choice([1, 1, 2]))
    return [{"field": name, "direction": random.choice(["asc", "desc"])} for name in chosen]


_MEMBERS: dict[str, tuple[float, Callable[[Random], Any]]] = {
    "collections": (0.5, _collections),
    "ids": (0.1, _ids),
    "bbox": (0.3, _box),
    "intersects": (0.2, lambda random: polygon(random, random.choice([20, 90]))),
    "datetime": (0.3, _time),
    "filter": (0.5, _filter),
    "sortby": (0.4, _sort),
    "fields": (0.2, lambda random: random.choice(_FIELDS)),
}
