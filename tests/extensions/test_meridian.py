"""What crosses 180 degrees is divided there, keeps its ground, and is then valid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, box, mapping, shape

from terralab.extensions.meridian import split_at_180
from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import check_item
from tests.extensions.test_validation import foreign, with_ring

SCHEMAS = SchemaStore()


@given(st.floats(170, 179.9), st.floats(0.2, 20), st.floats(-60, 60), st.booleans())
def test_boxes_across_180_are_two_valid_halves(west: float, width: float, south: float, wrapped: bool) -> None:
    east = west + width
    crossing = east > 180.01
    far = east - 360 if wrapped and crossing else east
    ring = [[west, south], [far, south], [far, south + 5], [west, south + 5], [west, south]]
    item = split_at_180(with_ring(*ring, bbox=[west, south, far, south + 5]))
    assert [str(problem) for problem in check_item(item, SCHEMAS)] == []
    assert (item["geometry"]["type"] == "MultiPolygon") is (east > 180)
    assert shape(item["geometry"]).area == pytest.approx(width * 5, rel=1e-5)
    if crossing:
        assert item["bbox"][0] > item["bbox"][2]
        assert not shape(item["geometry"]).intersects(Point(0, south + 1))


def test_lines_are_divided_too_and_points_stay() -> None:
    line = split_at_180(foreign(geometry={"type": "LineString", "coordinates": [[179, 0], [-178, 3]]}))
    assert line["bbox"] == [179.0, 0.0, -178.0, 3.0]
    assert check_item(line, SCHEMAS) == []
    point = foreign(geometry={"type": "Point", "coordinates": [180, 0]}, bbox=[180, 0, 180, 0])
    assert split_at_180(point) == point


@given(st.floats(-180, 179), st.floats(-90, 89))
def test_what_does_not_cross_comes_back_as_it_is(west: float, south: float) -> None:
    item = foreign(geometry=mapping(box(west, south, west + 1, south + 1)))
    assert split_at_180(item) is item


@pytest.mark.parametrize("coordinates", [None, 1, [1], [[1, 2]], [[["a", 1], [2, 3], [1, 1], ["a", 1]]]])
def test_what_is_no_geometry_is_an_error(coordinates: object) -> None:
    with pytest.raises(ValueError, match="is not GeoJSON"):
        split_at_180(foreign(geometry={"type": "Polygon", "coordinates": coordinates}))
