"""Whatever valid JSON is in items, it comes back from a file with the same numbers, nulls and texts."""

from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terralab.catalog.geoparquet.reader import read_geoparquet
from terralab.catalog.geoparquet.writer import write_geoparquet

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 0.5]),
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=6)
TIMES = st.sampled_from(
    [
        "2024-05-01T00:00:00Z",
        "2024-05-01T00:00:00.000Z",
        "2024-05-01T01:02:03.5Z",
        "2024-05-01T01:02:03.123456Z",
        "2024-05-01T01:02:03.1234567Z",
        "2024-05-01T01:02:03+00:00",
        "2024-05-01T01:02:03.25+02:00",
        "2016-12-31T23:59:60Z",
        "2024-05-01t01:02:03z",
    ]
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, TIMES)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "c", "proj:geometry", "created", "datetime", "updated", "id", "type", "terralab:exact"]),
    TEXTS.filter(bool),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
POSITIONS = st.lists(
    st.one_of(st.integers(-90, 90), st.floats(-90, 90), st.sampled_from([1.0, 0.1])), min_size=2, max_size=3
)
GEOMETRIES = st.one_of(
    st.builds(lambda position: {"type": "Point", "coordinates": position}, POSITIONS),
    st.builds(lambda line: {"coordinates": line, "type": "LineString"}, st.lists(POSITIONS, min_size=2, max_size=3)),
    st.just({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1.5], [0, 0]]], "note": "more"}),
    st.just({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1.0, 2]}]}),
    st.none(),
)
ASSETS = st.dictionaries(
    NAMES, st.dictionaries(st.one_of(st.just("href"), NAMES), VALUES, min_size=1, max_size=3), max_size=3
)
LINKS = st.lists(
    st.fixed_dictionaries({"rel": TEXTS, "href": TEXTS}, optional={"title": TEXTS, "more": VALUES}), max_size=2
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("Feature"),
            "stac_version": st.just("1.1.0"),
            "id": TEXTS,
            "geometry": GEOMETRIES,
            "properties": st.dictionaries(NAMES, VALUES, max_size=5),
            "links": LINKS,
            "assets": ASSETS,
        },
        optional={
            "collection": TEXTS,
            "stac_extensions": st.lists(TEXTS, max_size=2),
            "bbox": st.one_of(st.none(), st.lists(NUMBERS, min_size=4, max_size=6)),
            "foreign": VALUES,
        },
    ),
    min_size=1,
    max_size=6,
)


def canonical(items: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in items]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=ITEMS)
def test_items_come_back_exactly(tmp_path: Path, items: list[dict[str, Any]]) -> None:
    path = tmp_path / "items.parquet"
    write_geoparquet(path, lambda: iter(items), {})
    assert canonical(list(read_geoparquet(path))) == canonical(items)
