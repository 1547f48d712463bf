"""The timed workload: eight classes of reads, 400 requests each, the same ones for the same corpus size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from tests.benchmarks.catalog.corpus_chips import VERSIONS
from tests.benchmarks.catalog.corpus_places import CHIPS, PREDICTIONS, SCENES, numbered
from tests.benchmarks.catalog.corpus_predictions import MODELS

REQUESTS = 400
INDEXED = ("latest", "split", "rare_model", "ids", "item")
"""Classes whose time should hardly grow with the catalog: an index leads straight to the page."""


@dataclass(frozen=True)
class Query:
    """One request, by its path below the API's landing page.

    Attributes:
        method: GET or POST.
        path: with the query string, such as `/search?limit=1`.
        body: what is sent as JSON.
        stock_body: members that stock alone is given, so that it answers in the same way; None takes one away.
        compare: what the gate compares: `features` (with their order), `walk` (all pages) or `matched` (and the count).
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    stock_body: Mapping[str, Any] = field(default_factory=dict)
    compare: str = "features"

    def content(self, *, stock: bool = False) -> bytes | None:
        """Return the bytes of the body, None where there is none."""
        if self.body is None:
            return None
        body = {**self.body, **(self.stock_body if stock else {})}
        return orjson.dumps({name: value for name, value in body.items() if value is not None})

    def __str__(self) -> str:
        return f"{self.method} {self.path} {orjson.dumps(self.body).decode() if self.body is not None else ''}".strip()


def search(**body: Any) -> Query:
    """Return a search by POST; `filter_` stands for `filter`, with its language."""
    if "filter_" in body:
        body |= {"filter": body.pop("filter_"), "filter-lang": "cql2-json"}
    return Query("POST", "/search", body)


def workload(count: int, requests: int = REQUESTS) -> dict[str, list[Query]]:
    """Return the requests of each class over a corpus of `count` items."""
    return {
        name: [make(random, count) for random in [Random(f"query-{name}")] for _ in range(requests)]
        for name, make in CLASSES.items()
    }


def compare(operator: str, name: str, value: Any) -> dict[str, Any]:
    """Return a CQL2 comparison of a property."""
    return {"op": operator, "args": [{"property": name}, value]}


def both(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return the CQL2 conjunction."""
    return {"op": "and", "args": list(parts)}


def box(random: Random, side: float) -> list[float]:
    """Return a bounding box of `side` degrees."""
    west, south = random.uniform(-170, 170 - side), random.uniform(-60, 60 - side)
    return [round(west, 4), round(south, 4), round(west + side, 4), round(south + side, 4)]


def polygon(random: Random, side: float) -> dict[str, Any]:
    """Return a polygon with a notch, about `side` degrees wide."""
    west, south = random.uniform(-170, 170 - side), random.uniform(-70, max(-69, 70 - side))
    east, north, middle = west + side, min(89.0, south + side), west + side / 2
    ring = [
        [west, south],
        [east, south + side / 5],
        [east, north],
        [middle, north - side / 4],
        [west, north],
        [west, south],
    ]
    return {"type": "Polygon", "coordinates": [[[round(x, 5), round(max(-89.0, y), 5)] for x, y in ring]]}


def square(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    """Return the coordinates of a polygon that is a box."""
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def across_180(box: list[float]) -> dict[str, Any]:
    """Return what stock is asked in place of a box across longitude 180: it would search the rest of the world."""
    west, south, east, north = box
    halves = [square(west, south, 180, north), square(-180, south, east, north)]
    return {"bbox": None, "intersects": {"type": "MultiPolygon", "coordinates": halves}}


def _latest(random: Random, _count: int) -> Query:
    day = f"20{random.randrange(20, 25)}-{random.randrange(1, 13):02d}-{random.randrange(1, 28):02d}T00:00:00Z"
    return search(collections=[random.choice([SCENES, CHIPS, PREDICTIONS])], datetime=f"../{day}", limit=10)


def _box_month(random: Random, _count: int) -> Query:
    month = f"20{random.randrange(20, 25)}-{random.randrange(1, 13):02d}"
    span = f"{month}-01T00:00:00Z/{month}-28T23:59:59Z"
    return search(collections=[SCENES], bbox=box(random, 10), datetime=span, limit=10)


def _box_page(random: Random, _count: int) -> Query:
    return search(collections=[SCENES], bbox=box(random, 20), limit=100)


def _cloud(random: Random, _count: int) -> Query:
    clear = compare("<", "eo:cloud_cover", random.randrange(5, 30))
    return search(collections=[SCENES], bbox=box(random, 20), limit=100, filter_=clear)


def _split(random: Random, _count: int) -> Query:
    split = compare("=", "ml-aoi:split", random.choice(["train", "validate", "test"]))
    version = compare("=", "lab:dataset_version", random.choice(VERSIONS))
    return search(collections=[CHIPS], limit=100, filter_=both(split, version))


def _rare_model(random: Random, _count: int) -> Query:
    good = both(compare("=", "mlm:name", random.choice(MODELS)), compare(">", "lab:metrics.iou", 0.99))
    return search(collections=[PREDICTIONS], limit=10, filter_=good)


def _ids(random: Random, count: int) -> Query:
    return search(collections=[CHIPS], ids=[_chip_id(random, count) for _ in range(20)], limit=20)


def _item(random: Random, count: int) -> Query:
    return Query("GET", f"/collections/{CHIPS}/items/{_chip_id(random, count)}")


def _chip_id(random: Random, count: int) -> str:
    return numbered(random.randrange(count // 10) * 10 + 6 + random.randrange(3))[1]


CLASSES: dict[str, Callable[[Random, int], Query]] = {
    "latest": _latest,
    "box_month": _box_month,
    "box_page": _box_page,
    "cloud": _cloud,
    "split": _split,
    "rare_model": _rare_model,
    "ids": _ids,
    "item": _item,
}
TITLES = {
    "latest": "latest 10 before a date",
    "box_month": "box of 10°, one month, 10",
    "box_page": "box of 20°, page of 100 scenes",
    "cloud": "box of 20°, cloud cover < x, 100 scenes",
    "split": "chips by split and version, 100",
    "rare_model": "predictions by model, IoU > 0.99, 10",
    "ids": "20 ids",
    "item": "one item",
}
