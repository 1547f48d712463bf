"""Areas: boxes, outlines and points, and the places they make."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box, unary_union
from shapely.geometry import shape

from terralab.catalog.errors import InvalidInput, TooLarge
from terralab.datasets.imagery.area import area_of_box, area_of_file, places_of

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
BOWTIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
METRES = {"type": "Polygon", "coordinates": [[[5e5, 5e6], [5.1e5, 5e6], [5.1e5, 5.1e6], [5e5, 5e6]]]}


def written(folder: Path, content: Any, name: str = "area.geojson") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_box_across_180_degrees_is_two_places() -> None:
    places = places_of(area_of_box([179, -17, -179, -16]), 0, 10)
    assert [place.box for place in places] == [(-180, -17, -179, -16), (179, -17, 180, -16)]


@pytest.mark.parametrize("numbers", [[1, 2, 3], [0, 5, 1, 5], [0, 9, 1, 5], [-200, 0, 1, 1], [0, float("nan"), 1, 1]])
def test_wrong_boxes_are_refused(numbers: list[float]) -> None:
    with pytest.raises(InvalidInput, match="box"):
        area_of_box(numbers)


@pytest.mark.parametrize("content", [SQUARE, {"type": "Feature", "geometry": SQUARE, "properties": {}}])
def test_geojson_of_any_sort_is_read(tmp_path: Path, content: Any) -> None:
    for wrapped in (content, {"type": "FeatureCollection", "features": [content]}):
        assert shape(area_of_file(written(tmp_path, wrapped))).equals(shape(SQUARE))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOWTIE, "not valid"),
        (METRES, "degrees"),
        ({**SQUARE, "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}}, "reproject"),
        ({"type": "FeatureCollection", "features": []}, "no geometry"),
        ({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}, "no area"),
        ({"type": "Polygon", "coordinates": "elsewhere"}, "not a GeoJSON geometry"),
        ("<OGRVRTDataSource><OGRVRTLayer/></OGRVRTDataSource>", "not JSON"),
        ("[1, 2]", "not a GeoJSON object"),
        ({"type": "FeatureCollection", "features": [SQUARE, {"type": "Point", "coordinates": [1, 2]}]}, "together"),
    ],
)
def test_what_is_no_area_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        area_of_file(written(tmp_path, content))


def test_points_of_a_csv_make_boxes_that_are_joined_where_they_overlap(tmp_path: Path) -> None:
    area = area_of_file(written(tmp_path, "id,Lon,LAT\na,10,50\nb,10.005,50\nc,11,50\n", "points.csv"))
    places = places_of(area, 500, 10)
    assert len(places) == 2
    west, south, east, north = places[1].box
    assert (east - west) / (north - south) == pytest.approx(1 / 0.6428, rel=0.01)
    with pytest.raises(InvalidInput, match="buffer"):
        places_of(area, 0, 10)
    with pytest.raises(TooLarge, match="TERRALAB_IMAGERY_MAX_PLACES"):
        places_of(area, 500, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x1,y1\n1,2\n", "no columns"),
        ("lon,lat\n1,here\n", "line 2"),
        ("lon,lat\n", "no points"),
        ("lon,lat\nnan,1\n", "line 2"),
    ],
)
def test_what_is_no_list_of_points_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        area_of_file(written(tmp_path, text, "points.csv"))


boxes = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 10), st.integers(1, 10)).map(
    lambda numbers: box(numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3])
)


@settings(deadline=None)
@given(st.lists(boxes, min_size=1, max_size=8))
def test_places_cover_the_area_and_do_not_overlap(outlines: list[Any]) -> None:
    whole = unary_union(outlines)
    places = places_of(json.loads(json.dumps(whole.__geo_interface__)), 0, 100)
    covered = [box(*place.box) for place in places]
    assert unary_union(covered).buffer(1e-9).covers(whole)
    for number, one in enumerate(covered):
        assert all(one.intersection(other).area < 1e-12 for other in covered[number + 1 :])
