"""What other programs make of our files and we of theirs, and what a file says of itself."""

import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from terralab.catalog.errors import InvalidInput, UnsupportedMedia
from terralab.catalog.geoparquet.reader import open_file, read_geoparquet, read_rows
from terralab.catalog.geoparquet.writer import ROW_GROUP, Written, write_geoparquet
from tests.extensions.test_profile import every_collection, every_kind

KINDS = json.loads(json.dumps(every_kind()))
SCENE = KINDS[0]


def numbered(count: int, item: dict[str, Any] = SCENE) -> list[dict[str, Any]]:
    return [{**item, "id": f"scene-{number}"} for number in range(count)]


def write(path: Path, items: list[dict[str, Any]], collections: dict[str, Any] | None = None) -> Written:
    return write_geoparquet(path, lambda: iter(items), collections or {})


def canonical(items: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in items]


def common(value: Any) -> Any:
    """Leave out what Parquet has no form for: nulls, and objects without fields, which in ours are the text `{}`."""
    if isinstance(value, dict):
        return {key: common(part) for key, part in value.items() if part not in (None, {}, "{}")}
    return [common(part) for part in value] if isinstance(value, list) else value


def test_every_kind_of_the_profile_comes_back(tmp_path: Path) -> None:
    for item in KINDS:
        path = tmp_path / f"{item['id']}.parquet"
        assert write(path, [item]) == Written(1, 0)
        assert canonical(list(read_geoparquet(path))) == canonical([item])
    write(tmp_path / "all.parquet", KINDS)
    assert canonical(list(read_geoparquet(tmp_path / "all.parquet"))) == canonical(KINDS)


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    collections = {one["id"]: one for one in every_collection()[:2]}
    write(path, numbered(3), collections)
    metadata = pq.read_metadata(path).metadata
    geo, stac = json.loads(metadata[b"geo"]), json.loads(metadata[b"stac-geoparquet"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert column["geometry_types"] == [SCENE["geometry"]["type"]]
    assert column["bbox"] == SCENE["bbox"]
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert stac == {"version": "1.1.0", "collections": collections}
    assert open_file(path).collections == collections
    schema = pq.read_schema(path)
    assert schema.field("datetime").type == pa.timestamp("us", "UTC")
    assert schema.field("id").type == pa.string()
    assert pa.types.is_struct(schema.field("assets").type)


def test_the_same_items_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", numbered(300))
    write(tmp_path / "b.parquet", [dict(reversed(item.items())) for item in numbered(300)])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_rows_can_be_read_in_pieces(tmp_path: Path) -> None:
    path, items = tmp_path / "a.parquet", numbered(ROW_GROUP + 700)
    write(path, items)
    assert open_file(path).row_groups == (ROW_GROUP, 700)
    assert [item["id"] for item in read_rows(path, 1, 600, 50)] == [f"scene-{ROW_GROUP + n}" for n in range(600, 650)]
    assert [item["id"] for item in read_rows(path, 0, 990, 20)] == [f"scene-{n}" for n in range(990, 1010)]
    assert sum(1 for _ in read_geoparquet(path)) == ROW_GROUP + 700


def test_what_columns_cannot_hold_is_beside_them(tmp_path: Path) -> None:
    odd = {**SCENE, "properties": {**SCENE["properties"], "id": "an id", "gsd": 10, "note": None}, "more": 1}
    other = {**SCENE, "properties": {**SCENE["properties"], "gsd": 10.0, "when": [1, "a"]}}
    assert write(tmp_path / "a.parquet", [odd, other]).exceptional == 1
    assert canonical(list(read_geoparquet(tmp_path / "a.parquet"))) == canonical([odd, other])


def test_stac_geoparquet_reads_ours(tmp_path: Path) -> None:
    from stac_geoparquet.arrow import stac_table_to_items

    for item in KINDS:
        path = tmp_path / f"{item['id']}.parquet"
        write(path, [item])
        (found,) = stac_table_to_items(pq.read_table(path))
        assert found["properties"].pop("terralab:exact") is None
        for name in ("datetime", "created", "updated", "start_datetime", "end_datetime"):
            if (text := found["properties"].get(name)) is not None:
                found["properties"][name] = text.replace(".000000Z", "Z")  # it always writes six digits
        assert common(found) == common(item)


def test_we_read_those_of_stac_geoparquet(tmp_path: Path) -> None:
    from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

    for item in KINDS:
        path = tmp_path / f"{item['id']}.parquet"
        to_parquet(parse_stac_items_to_arrow([item]), path)
        (found,) = read_geoparquet(path)
        assert common(found) == common(item)


def test_geopandas_and_duckdb_read_ours(tmp_path: Path) -> None:
    import duckdb
    import geopandas

    path = tmp_path / "a.parquet"
    write(path, numbered(20))
    frame = geopandas.read_parquet(path)
    assert frame.crs == "OGC:CRS84"
    assert list(frame["id"]) == [f"scene-{number}" for number in range(20)]
    assert frame.total_bounds.tolist() == pytest.approx(SCENE["bbox"])
    west = SCENE["bbox"][0]
    query = f"SELECT count(*), min(bbox.xmin), min(datetime) FROM '{path}' WHERE bbox.xmin <= {west}"
    count, least, when = duckdb.connect().execute(query).fetchone()  # type: ignore[misc]
    assert (count, least) == (20, west)
    assert when.isoformat().startswith(SCENE["properties"]["datetime"][:10])


def test_real_items_of_another_program(data_folder: Path) -> None:
    path = data_folder / "stac" / "1000-sentinel-2-items.parquet"
    items = list(read_geoparquet(path))
    assert len(items) == len({item["id"] for item in items}) == 1000
    first = items[0]
    assert first["properties"]["datetime"] == "2024-08-28T17:49:09.024Z"
    assert "s2:dark_features_percentage" not in first["properties"]
    assert "title" not in first["links"][0]
    assert first["assets"]["B06"]["proj:shape"] == [5490, 5490]
    assert first["bbox"] == [-105.0002398, 40.5573359, -103.6837996, 41.5518447]


@pytest.mark.parametrize("content", [b"", b"PAR1 no", b"{}"])
def test_what_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"a\.parquet"):
        open_file(path)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UnsupportedMedia, match="geometry"):
        open_file(tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="no items"):
        write(tmp_path / "b.parquet", [])
    assert not (tmp_path / "b.parquet").exists()
