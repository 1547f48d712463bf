"""Labels come out of every vector format at the same place, whatever its coordinate system."""

from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from terralab.catalog.errors import InvalidInput, InvalidLabels
from terralab.datasets.chipping.shape_files import read_shapes

SHAPES = [shapely.Point(500_100, 4_200_100), shapely.box(500_000, 4_200_000, 500_500, 4_200_900)]
FRAME = gpd.GeoDataFrame(
    {"class": ["water", "land"], "score": [1.5, 2.0], "date": ["2020-05-01", "2020-06-02T10:00:00+02:00"]},
    geometry=SHAPES,
    crs="EPSG:32630",
)
DEGREES = FRAME.to_crs("EPSG:4326")


def written(folder: Path, suffix: str, frame: gpd.GeoDataFrame) -> Path:
    path = folder / f"labels.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, driver={"gpkg": "GPKG", "fgb": "FlatGeobuf", "geojson": "GeoJSON"}[suffix])
    return path


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson", "parquet"])
@pytest.mark.parametrize("crs", ["EPSG:32630", "EPSG:4326", "EPSG:3857"])
def test_every_format_gives_the_same_shapes(tmp_path: Path, suffix: str, crs: str) -> None:
    path = written(tmp_path, suffix, FRAME.to_crs(crs))
    found = sorted(read_shapes(path), key=lambda shape: shape.geometry.geom_type)
    assert [shape.label for shape in found] == ["water", "land"]
    assert [shape.time for shape in found] == [datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 6, 2, 8, tzinfo=UTC)]
    for shape, expected in zip(found, DEGREES.geometry, strict=True):
        assert shape.geometry.geom_type == expected.geom_type
        assert shape.geometry.hausdorff_distance(expected) < 1e-6
    numbers = sorted(shape.label for shape in read_shapes(path, label_field="score"))  # type: ignore[type-var]
    assert numbers == [1.5, 2.0]


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
def test_times_of_the_format_itself(tmp_path: Path, suffix: str) -> None:
    moments = pd.to_datetime(["2020-05-01T10:30:00Z", "2021-01-02T00:00:00Z"])
    frame = DEGREES.assign(date=moments)
    found = {shape.label: shape.time for shape in read_shapes(written(tmp_path, suffix, frame))}
    assert found == {"water": datetime(2020, 5, 1, 10, 30, tzinfo=UTC), "land": datetime(2021, 1, 2, tzinfo=UTC)}


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
def test_values_that_are_missing_are_no_label(tmp_path: Path, suffix: str) -> None:
    frame = DEGREES.assign(**{"class": [None, "land"]}, score=[np.nan, 3.0])
    path = written(tmp_path, suffix, frame)
    assert {shape.label for shape in read_shapes(path)} == {None, "land"}
    assert {shape.label for shape in read_shapes(path, label_field="score")} == {None, 3.0}


def test_parquet_without_geometry_is_a_table_of_points(tmp_path: Path) -> None:
    path = tmp_path / "points.parquet"
    pq.write_table(pa.table({"lon": [-3.0, -2.5], "lat": [37.0, 38.0], "label": [1, 0]}), path)
    found = read_shapes(path)
    assert [(shape.geometry.x, shape.geometry.y, shape.label) for shape in found] == [(-3, 37, 1.0), (-2.5, 38, 0.0)]


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix, DEGREES)
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(InvalidInput, match=r"labels\."):
        read_shapes(path)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_off_is_never_read_in_part(tmp_path: Path, suffix: str, share: float) -> None:
    points = shapely.points(np.linspace(-3, -2, 5000), np.linspace(37, 38, 5000))
    frame = gpd.GeoDataFrame({"class": [f"name {number}" for number in range(5000)]}, geometry=points, crs="EPSG:4326")
    path = written(tmp_path, suffix, frame)
    assert len(read_shapes(path)) == 5000
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InvalidInput, match=r"labels\."):
        read_shapes(path)


def test_several_layers_are_told(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    for layer in ("roads", "lakes"):
        DEGREES.to_file(path, layer=layer, driver="GPKG")
    with pytest.raises(InvalidInput, match="2 layers with geometries: roads, lakes"):
        read_shapes(path)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "gpkg", DEGREES)
    with pytest.raises(InvalidInput, match="has no field 'kind'; its fields are class, date, score"):
        read_shapes(path, label_field="kind")
    with pytest.raises(InvalidLabels, match="no features"):
        read_shapes(written(tmp_path, "fgb", DEGREES.iloc[:0]))
    nowhere = gpd.GeoDataFrame({"class": ["a"]}, geometry=[SHAPES[1]])
    with pytest.raises(InvalidInput, match="coordinate"):
        read_shapes(written(tmp_path, "gpkg", nowhere))


def test_a_table_of_a_header_alone_has_no_features(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x,y,date,label\n")
    with pytest.raises(InvalidLabels, match="no features"):
        read_shapes(path)


def test_a_database_without_shapes_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "labels.gpkg"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (class text)")
        connection.execute("insert into t values ('a')")
    with pytest.raises(InvalidInput, match=r"labels\.gpkg"):
        read_shapes(path)


def test_features_without_shape_are_told(tmp_path: Path) -> None:
    frame = DEGREES.copy()
    frame.loc[1, "geometry"] = None
    for suffix in ("gpkg", "parquet"):
        with pytest.raises(InvalidInput, match="empty geometry"):
            read_shapes(written(tmp_path, suffix, frame))
