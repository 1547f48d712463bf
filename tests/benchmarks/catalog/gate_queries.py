"""Requests for the equality gate alone: every form of search, over a corpus with variants."""

from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from tests.benchmarks.catalog.corpus_chips import VERSIONS
from tests.benchmarks.catalog.corpus_places import CHIPS, PREDICTIONS, SCENES
from tests.benchmarks.catalog.corpus_predictions import MODELS
from tests.benchmarks.catalog.corpus_variants import HOT_BOX, ODD, RANGES, TIED_TIMES, TIES
from tests.benchmarks.catalog.gate_mixed import mixed
from tests.benchmarks.catalog.queries import Query, across_180, both, box, compare, polygon, search, square

_COUNTED = {"conf": {"context": "on"}}  # stock counts only where it is told to


def gate_queries() -> dict[str, list[Query]]:
    """Return the requests by what they try."""
    makers = (_times, _places, _sorts, _fields, _filters, _gets, _items, _pages, _counts, _lists, _queries, mixed)
    return {make.__name__.strip("_"): list(make(Random(f"gate-{make.__name__}"))) for make in makers}


def _times(random: Random) -> Iterator[Query]:
    """Instants, open and closed ranges, offsets, fractions; items with a time range meet them by overlap."""
    month = random.randrange(1, 12)
    texts = [
        *TIED_TIMES,
        "2022-03-05T04:00:00Z",
        "../2021-05-01T00:00:00Z",
        "2023-11-01T00:00:00Z/..",
        "/2020-02-01T00:00:00Z",
        "2024-12-01T00:00:00Z/",
        "2022-01-01T00:00:00Z/2022-02-01T00:00:00Z",
        "2022-01-01T00:00:00+02:00/2022-02-01T00:00:00-05:00",
        "2022-01-01T00:00:00.5Z/2022-01-03T23:59:59.999Z",
        f"2023-{month:02d}-01T00:00:00Z/2023-{month + 1:02d}-01T00:00:00Z",
        "2023-06-01T12:00:00Z/2023-06-05T12:00:00Z",
        "2030-01-01T00:00:00Z/..",
        "1999-01-01T00:00:00Z",
    ]
    for text in texts:
        for homes in ([RANGES], [SCENES, TIES], [CHIPS], None):
            chosen = {"collections": homes} if homes else {}
            yield search(**chosen, datetime=text, limit=25)
        yield Query("GET", "/search?" + urlencode({"datetime": text, "limit": 7}))


def _places(random: Random) -> Iterator[Query]:
    """Boxes and polygons: small, large, with holes, across 180°, with heights; points and lines among the items."""
    for _ in range(30):
        yield search(bbox=box(random, random.choice([0.5, 5, 30])), limit=20)
        yield search(collections=[ODD, SCENES], intersects=polygon(random, random.choice([5, 50, 200])), limit=50)
    yield search(bbox=[-180, -90, 180, 90], limit=30)
    yield search(bbox=[-180, -90, -100, 180, 90, 9000], limit=30)
    yield search(bbox=list(HOT_BOX), limit=100)
    for edges in ([170.0, -40.0, -170.0, 40.0], [10.0, -60.0, -10.0, 60.0]):
        yield Query("POST", "/search", {"bbox": edges, "limit": 30}, stock_body=across_180(edges))
    yield search(collections=[ODD], intersects={"type": "Point", "coordinates": [6.0, 45.125]}, limit=10)
    yield search(intersects={"type": "LineString", "coordinates": [[-10, -12], [40, 46]]}, limit=40)
    yield search(intersects={"type": "MultiPoint", "coordinates": [[15, 45], [6, 45.125], [0, 0]]}, limit=40)
    halves = [square(178, -30, 180, 30), square(-180, -30, -178, 30)]
    yield search(intersects={"type": "MultiPolygon", "coordinates": halves}, limit=40)
    ring = [square(0, 30, 40, 60)[0], square(10, 40, 20, 50)[0][::-1]]
    yield search(collections=[SCENES], intersects={"type": "Polygon", "coordinates": ring}, limit=100)
    parts = [{"type": "Point", "coordinates": [15, 45]}, {"type": "Polygon", "coordinates": square(0, 0, 5, 5)}]
    yield search(intersects={"type": "GeometryCollection", "geometries": parts}, limit=40)


def _sorts(_random: Random) -> Iterator[Query]:
    """Orders by columns, by properties that some items lack, by several fields, in both spellings."""
    orders: list[list[tuple[str, str]]] = [
        [("datetime", "asc")],
        [("datetime", "desc")],
        [("properties.datetime", "asc")],
        [("id", "asc")],
        [("id", "desc")],
        [("collection", "asc"), ("datetime", "desc")],
        [("eo:cloud_cover", "asc")],
        [("properties.eo:cloud_cover", "desc")],
        [("platform", "asc"), ("eo:cloud_cover", "desc")],
        [("end_datetime", "asc")],
        [("gsd", "asc"), ("id", "asc")],
        [("created", "desc")],
        [("x:unknown", "asc")],
    ]
    for order in orders:
        keys = [{"field": field, "direction": direction} for field, direction in order]
        for homes in ([SCENES], [SCENES, ODD], [RANGES, TIES, CHIPS]):
            yield search(collections=homes, sortby=keys, limit=40)
        yield search(collections=[ODD, TIES], sortby=keys, limit=70, datetime="2021-01-01T00:00:00Z/..")
        short = ",".join(("-" if direction == "desc" else "+") + field for field, direction in order)
        yield Query("GET", "/search?" + urlencode({"sortby": short, "collections": f"{ODD},{SCENES}", "limit": 15}))
    for field in ("lab:metrics.iou", "mlm:name", "properties.lab:metrics.iou"):
        yield search(collections=[PREDICTIONS], sortby=[{"field": field, "direction": "desc"}], limit=50)
    for field in ("ml-aoi:split", "lab:dataset_version", "lab:valid_share"):
        yield search(collections=[CHIPS], sortby=[{"field": field, "direction": "asc"}], limit=50)
    yield search(
        collections=[SCENES], sortby=[{"field": "eo:cloud_cover", "direction": "asc"}], limit=30, bbox=[0, 0, 60, 60]
    )


def _fields(_random: Random) -> Iterator[Query]:
    """Parts of items: included, excluded, nested, both."""
    choices: list[dict[str, list[str]]] = [
        {"include": ["id"]},
        {"include": ["id", "collection", "geometry"]},
        {"include": ["id", "properties.eo:cloud_cover", "properties.datetime"]},
        {"include": ["properties"]},
        {"include": ["id", "assets.b02"]},
        {"include": ["id", "collection", "assets.b02.href", "bbox"]},
        {"exclude": ["assets"]},
        {"exclude": ["geometry", "properties.platform"]},
        {"exclude": ["links"]},
        {"include": ["properties"], "exclude": ["properties.datetime"]},
        {"include": [], "exclude": []},
        {"include": ["id", "type", "geometry", "bbox", "links", "assets", "properties"]},
    ]
    for choice in choices:
        for homes in ([SCENES], [ODD, CHIPS], [PREDICTIONS]):
            yield search(collections=homes, fields=choice, limit=12)
    for text in ("id,collection", "id,properties.datetime", "-assets,-links", "+id,-geometry"):
        yield Query("GET", "/search?" + urlencode({"fields": text, "limit": 5, "collections": SCENES}))


def _filters(random: Random) -> Iterator[Query]:
    """CQL2 of every common kind."""
    cloud, name = {"property": "eo:cloud_cover"}, {"property": "mlm:name"}
    filters: list[dict[str, Any]] = [
        *(compare(operator, "eo:cloud_cover", 50) for operator in ("=", "<", "<=", ">", ">=", "<>")),
        compare("=", "eo:cloud_cover", 0),
        compare("=", "platform", "sentinel-2a"),
        compare("=", "properties.platform", "sentinel-2b"),
        compare("<>", "platform", "sentinel-2a"),
        compare("=", "gsd", 10),
        compare("=", "id", "scene-000000010"),
        compare("=", "collection", TIES),
        compare("<", "id", "scene-000000040"),
        {"op": "between", "args": [cloud, 10, 12.5]},
        {"op": "in", "args": [name, list(MODELS[:2])]},
        {"op": "in", "args": [{"property": "id"}, ["tie-001", "tie-002", "odd-003", "nothing"]]},
        {"op": "isNull", "args": [cloud]},
        {"op": "not", "args": [{"op": "isNull", "args": [cloud]}]},
        {"op": "like", "args": [{"property": "grid:code"}, "MGRS-3%"]},
        {"op": "like", "args": [{"property": "title"}, "%x%"]},
        {"op": "not", "args": [compare("<", "eo:cloud_cover", 90)]},
        {"op": "or", "args": [compare("<", "eo:cloud_cover", 3), compare("=", "mlm:name", MODELS[3])]},
        both(compare("<", "eo:cloud_cover", 40), compare("=", "platform", "sentinel-2a"), compare(">", "gsd", 5)),
        both(compare("=", "mlm:name", MODELS[0]), compare(">", "lab:metrics.iou", 0.5)),
        both(compare("=", "ml-aoi:split", "test"), compare("=", "lab:dataset_version", VERSIONS[1])),
        compare(">=", "lab:valid_share", 0.9),
        compare("=", "lab:owner", "user-3"),
        compare("=", "lab:params.row", 0),
        compare("=", "x:flag", True),
        compare("=", "x:unknown", "nothing"),
        {"op": ">", "args": [{"property": "datetime"}, {"timestamp": "2024-06-01T00:00:00Z"}]},
        {
            "op": "t_intersects",
            "args": [{"property": "datetime"}, {"interval": ["2022-01-01T00:00:00Z", "2022-03-01T00:00:00Z"]}],
        },
        {"op": "s_intersects", "args": [{"property": "geometry"}, polygon(random, 40)]},
        {"op": "a_contains", "args": [{"property": "instruments"}, ["msi"]]},
        {"op": "casei", "args": [{"property": "platform"}]},
    ]
    for expression in filters[:-1]:
        yield search(limit=40, filter_=expression)
        yield search(limit=15, filter_=expression, collections=[SCENES, PREDICTIONS, CHIPS], bbox=[-120, -50, 120, 60])
    yield search(
        limit=20,
        filter_=compare("=", "mlm:name", MODELS[1]),
        sortby=[{"field": "lab:metrics.iou", "direction": "desc"}],
    )
    lowered = {"op": "=", "args": [filters[-1], {"op": "casei", "args": ["SENTINEL-2A"]}]}
    yield search(limit=10, filter_=lowered)


def _gets(random: Random) -> Iterator[Query]:
    """The same by query strings, of `/search` and of a collection's items."""
    edges = ",".join(str(number) for number in box(random, 40))
    texts = {
        "bbox": edges,
        "collections": f"{SCENES},{TIES}",
        "ids": "tie-001,tie-002,tie-003,shared-01",
        "datetime": "2022-01-01T00:00:00Z/2022-06-30T23:59:59Z",
        "filter": "\"eo:cloud_cover\" < 20 AND platform = 'sentinel-2a'",
        "sortby": "-eo:cloud_cover",
        "fields": "id,properties.eo:cloud_cover",
        "intersects": orjson.dumps(polygon(random, 60)).decode(),
    }
    for name, text in texts.items():
        language = {"filter-lang": "cql2-text"} if name == "filter" else {}
        yield Query("GET", "/search?" + urlencode({name: text, "limit": 9, **language}))
        if name not in ("collections", "ids", "intersects"):
            for home in (SCENES, ODD, CHIPS):
                yield Query("GET", f"/collections/{home}/items?" + urlencode({name: text, "limit": 9, **language}))
    as_json = orjson.dumps(compare("<", "eo:cloud_cover", 5)).decode()
    yield Query("GET", "/search?" + urlencode({"filter": as_json, "filter-lang": "cql2-json", "limit": 20}))
    yield Query("GET", "/search")
    yield Query("GET", "/search?limit=1")
    yield Query("GET", f"/search?bbox={edges}&collections={SCENES}&limit=100&datetime=2021-01-01T00:00:00Z/..")
    for home in (SCENES, CHIPS, PREDICTIONS, RANGES, ODD):
        yield Query("GET", f"/collections/{home}/items")


def _items(_random: Random) -> Iterator[Query]:
    """Single items, unusual ones above all."""
    for index in range(52):
        yield Query("GET", f"/collections/{ODD}/items/odd-{index:03d}")
        yield Query("GET", f"/collections/{SCENES}/items/odd-{index:03d}")
    for index in range(0, 100, 7):
        yield Query("GET", f"/collections/{RANGES}/items/range-{index:03d}")
        yield Query("GET", f"/collections/{ODD}/items/detailed-{index:03d}")
    for home in (TIES, RANGES, ODD, SCENES):
        yield Query("GET", f"/collections/{home}/items/shared-03")
    for home, item in (("models", MODELS[6]), ("datasets", "burn-scars-v1-0-0"), ("burn-scars-labels", "label-7")):
        yield Query("GET", f"/collections/{home}/items/{item}")
    yield Query("GET", f"/collections/{SCENES}/items/nothing")
    yield Query("GET", "/collections/nothing/items/nothing")
    yield Query("GET", f"/collections/{SCENES}/items/{quote('odd 1')}")


def _pages(_random: Random) -> Iterator[Query]:
    """Walks over all pages by `next`, where ties make the order hang on the ids."""
    tied = "2023-06-01T12:00:00Z/2023-06-05T12:00:00Z"
    bodies: list[dict[str, Any]] = [
        {"collections": [TIES], "limit": 7},
        {"datetime": tied, "limit": 13},
        {"collections": [RANGES], "limit": 11},
        {"collections": [ODD], "limit": 17, "sortby": [{"field": "eo:cloud_cover", "direction": "desc"}]},
        {"collections": [SCENES, ODD], "limit": 60, "sortby": [{"field": "eo:cloud_cover", "direction": "asc"}]},
        {"collections": [TIES, SCENES], "datetime": tied, "limit": 9, "sortby": [{"field": "id", "direction": "asc"}]},
        {
            "collections": [TIES, CHIPS],
            "datetime": tied,
            "limit": 9,
            "sortby": [{"field": "datetime", "direction": "asc"}],
        },
        {"collections": [TIES], "limit": 10, "sortby": [{"field": "platform", "direction": "asc"}]},
        {"bbox": list(HOT_BOX), "limit": 23},
        {
            "collections": [CHIPS],
            "limit": 100,
            "filter": compare("=", "ml-aoi:split", "test"),
            "filter-lang": "cql2-json",
        },
        {"ids": [f"shared-{index:02d}" for index in range(20)], "limit": 9},
        {
            "collections": [PREDICTIONS],
            "limit": 40,
            "sortby": [{"field": "mlm:name", "direction": "desc"}, {"field": "lab:metrics.iou", "direction": "asc"}],
        },
    ]
    for body in bodies:
        yield Query("POST", "/search", body, compare="walk")
    for path in (f"/collections/{TIES}/items?limit=8", f"/search?collections={RANGES},{TIES}&limit=31"):
        yield Query("GET", path, compare="walk")
    yield Query("GET", f"/search?datetime={tied}&limit=14&sortby=-datetime,+id", compare="walk")


def _counts(random: Random) -> Iterator[Query]:
    """`numberMatched`, which stock gives where its setting `context` is on."""
    bodies: list[dict[str, Any]] = [
        {"collections": [TIES]},
        {"collections": [SCENES], "bbox": [-60, -40, 60, 50]},
        {"datetime": "2022-01-01T00:00:00Z/2022-12-31T00:00:00Z"},
        {"collections": [CHIPS], "filter": compare("=", "ml-aoi:split", "train"), "filter-lang": "cql2-json"},
        {"ids": ["shared-01", "tie-001"]},
        {"intersects": polygon(random, 100)},
        {"collections": [SCENES], "datetime": "1990-01-01T00:00:00Z"},
    ]
    for body in bodies:
        yield Query("POST", "/search", {**body, "limit": 3}, stock_body=_COUNTED, compare="matched")


def _lists(_random: Random) -> Iterator[Query]:
    """Ids and collections: many, none, unknown, of one id in several collections."""
    yield search(ids=["shared-05"], limit=10)
    yield search(ids=["shared-05", "shared-06", "nothing"], collections=[TIES, ODD], limit=10)
    yield search(ids=[f"tie-{index:03d}" for index in range(0, 400, 3)], limit=200)
    yield search(ids=["tie-001", "tie-002"], datetime=f"{TIED_TIMES[0]}/{TIED_TIMES[4]}")
    yield search(ids=["hot-001"], bbox=list(HOT_BOX))
    yield search(collections=["nothing"], limit=10)
    yield search(collections=["nothing", TIES], limit=10)
    yield search(collections=[TIES, RANGES, ODD, SCENES, CHIPS, PREDICTIONS], limit=100)
    yield search(collections=[], limit=5)
    yield search(ids=[], limit=5)
    yield search()
    yield search(limit=1)
    yield search(limit=1000, collections=[TIES, RANGES])


def _queries(_random: Random) -> Iterator[Query]:
    """The older query extension."""
    yield search(query={"eo:cloud_cover": {"lt": 10}}, limit=20)
    yield search(query={"eo:cloud_cover": {"gte": 10, "lte": 11}, "platform": {"eq": "sentinel-2a"}}, limit=20)
    yield search(query={"mlm:name": {"in": list(MODELS[4:])}}, limit=20, collections=[PREDICTIONS])
    yield search(query={"platform": {"startsWith": "sentinel"}}, limit=10)
    yield search(query={"ml-aoi:split": {"neq": "train"}}, limit=20, collections=[CHIPS])
    text = orjson.dumps({"eo:cloud_cover": {"lt": 3}}).decode()
    yield Query("GET", "/search?" + urlencode({"query": text, "limit": 10}))
