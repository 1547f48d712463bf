"""Every rule is broken once and named with its field and remedy; nothing that comes from outside breaks the checks."""

import copy
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from terralab.extensions.checks.geometry import _is_star, geometry_problems
from terralab.extensions.checks.hrefs import PLAIN_HREF, SUSPICIOUS_QUERY, href_problem
from terralab.extensions.ids import is_valid_id
from terralab.extensions.lab import SCHEMA_URI
from terralab.extensions.problem import Problem, path_of
from terralab.extensions.rules import MAX_VERTICES, RULES
from terralab.extensions.schema_store import InvalidSchemaStore, SchemaStore
from terralab.extensions.validation import check, check_collection, check_item, is_stored_id
from tests.extensions.test_profile import every_collection, every_kind

PACKAGED = SchemaStore()
# Kinds in the order of `every_kind`.
SCENE, LABEL, CHIP, DATASET, MODEL, RUN, PREDICTION = range(7)
FOREIGN = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "stac_extensions": [],
    "id": "S2B_MSIL2A_20240828.T13TEF",
    "collection": "sentinel-2-l2a",
    "geometry": mapping(box(10, 50, 11, 51)),
    "bbox": [10, 50, 11, 51],
    "properties": {"datetime": "2024-08-28T17:49:09.024Z", "nested": {"list": [1]}},
    "links": [],
    "assets": {"B02": {"href": "https://example.org/B02.tif", "roles": ["data"]}},
}


def foreign(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(FOREIGN)), **changes}


def asset_at(href: str) -> dict[str, Any]:
    return foreign(assets={"B02": {"href": href}})


def with_ring(*ring: list[float], **changes: Any) -> dict[str, Any]:
    return foreign(geometry={"type": "Polygon", "coordinates": [list(ring)]}, **changes)


def at_time(**times: Any) -> dict[str, Any]:
    return foreign(properties=times)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def lab(kind: int, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    item = copy.deepcopy(every_kind()[kind])
    change(item)
    return item


def without(key: str, *path: str) -> Callable[[dict[str, Any]], Any]:
    def change(item: dict[str, Any]) -> None:
        holder = item
        for part in path:
            holder = holder[part]
        holder.pop(key)

    return change


def put(value: Any, key: str, *path: str) -> Callable[[dict[str, Any]], Any]:
    def change(item: dict[str, Any]) -> None:
        holder = item
        for part in path:
            holder = holder[part]
        holder[key] = value

    return change


def unscale(item: dict[str, Any]) -> None:
    item["properties"]["mlm:input"][0]["value_scaling"] = []


CLASSES = "classification:classes"
OTHER_SUM = "1220" + "b" * 64
SQUARE = [[10, 50], [11, 50], [11, 51], [10, 51], [10, 50]]
GARBAGE: list[tuple[str, str, Any]] = [
    ("not_an_object", "$", [1]),
    ("type", "type", foreign(type="feature")),
    ("type", "type", {}),
    ("stac_version", "stac_version", foreign(stac_version="9.9.9")),
    ("stac_version", "stac_version", lab(SCENE, lambda item: item.update(stac_version="1.0.0"))),
    ("id_form", "id", foreign(id="..")),
    ("id_form", "id", foreign(id="a" * 10_000)),
    ("id_form", "id", foreign(id="\u202egnp.exe")),
    ("id_form", "id", foreign(id="a\n")),
    ("id_form", "id", foreign(id="a/b")),
    ("id_form", "id", foreign(id="model:v1")),
    ("id_form", "collection", foreign(collection="a b")),
    ("too_deep", "properties.deep[0]", foreign(properties={**FOREIGN["properties"], "deep": nested(60)})),
    ("too_deep", "properties.deep[0]", foreign(properties={**FOREIGN["properties"], "deep": nested(5_000)})),
    ("nul_character", "properties.note", foreign(properties={**FOREIGN["properties"], "note": "a\0b"})),
    ("nul_character", 'properties["a\\x00"]', foreign(properties={**FOREIGN["properties"], "a\0": 1})),
    ("not_unicode", "properties.note", foreign(properties={**FOREIGN["properties"], "note": "\ud800"})),
    ("not_json", "properties.cloud", foreign(properties={**FOREIGN["properties"], "cloud": math.nan})),
    ("not_json", "properties.cloud", foreign(properties={**FOREIGN["properties"], "cloud": 10**30})),
    ("not_json", "properties.cloud", foreign(properties={**FOREIGN["properties"], "cloud": {1}})),
    ("not_json", "properties", foreign(properties={**FOREIGN["properties"], 1: 1})),
    ("geometry_missing", "geometry", foreign(geometry=None)),
    ("geometry_form", "geometry", foreign(geometry={"type": "Circle", "coordinates": [1, 2]})),
    ("geometry_form", "geometry.coordinates[0]", foreign(geometry={"type": "Polygon", "coordinates": [[]]})),
    ("position_form", "geometry.coordinates", foreign(geometry={"type": "Point", "coordinates": ["NaN", 1]})),
    ("position_form", "geometry.coordinates[0][1]", with_ring([10, 50], [11], [11, 51], [10, 50])),
    ("position_out_of_range", "geometry.coordinates", foreign(geometry={"type": "Point", "coordinates": [999, 1]})),
    ("position_out_of_range", "geometry.coordinates[0][0]", with_ring(*[[lat, lon + 90] for lon, lat in SQUARE])),
    ("ring_open", "geometry.coordinates[0]", with_ring(*SQUARE[:4])),
    ("ring_short", "geometry.coordinates[0]", with_ring([10, 50], [11, 50], [10, 50])),
    ("polygon_invalid", "geometry.coordinates", with_ring([10, 50], [11, 51], [11, 50], [10, 51], [10, 50])),
    (
        "crosses_180",
        "geometry.coordinates[0][0]",
        with_ring([179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0], bbox=[179, 0, -179, 1]),
    ),
    (
        "too_many_vertices",
        "geometry",
        foreign(geometry={"type": "MultiPoint", "coordinates": [[10, 50]] * (MAX_VERTICES + 1)}),
    ),
    ("bbox_missing", "bbox", foreign(bbox=None)),
    ("bbox_form", "bbox", foreign(bbox=[10, 50, 11])),
    ("bbox_form", "bbox", foreign(bbox=[10, 50, "11", 51])),
    ("bbox_out_of_range", "bbox", foreign(bbox=[10, 50, 11, 510])),
    ("bbox_upside_down", "bbox", foreign(bbox=[10, 51, 11, 50])),
    ("bbox_differs_from_geometry", "bbox", foreign(bbox=[10, 50, 11.02, 51])),
    ("bbox_differs_from_geometry", "bbox", foreign(bbox=[11, 50, 10, 51])),
    ("datetime_missing", "properties.datetime", at_time(datetime=None)),
    ("datetime_missing", "properties.datetime", at_time(datetime=None, start_datetime="2024-01-01T00:00:00Z")),
    ("datetime_form", "properties.datetime", at_time(datetime="yesterday")),
    ("datetime_form", "properties.datetime", at_time(datetime="2024-02-30T00:00:00Z")),
    ("datetime_form", "properties.datetime", at_time(datetime=20240101)),
    ("datetime_naive", "properties.datetime", at_time(datetime="2024-01-01T00:00:00")),
    ("datetime_naive", "properties.datetime", at_time(datetime="2024-01-01")),
    (
        "start_after_end",
        "properties.start_datetime",
        at_time(datetime=None, start_datetime="2024-01-02T00:00:00Z", end_datetime="2024-01-01T00:00:00Z"),
    ),
    ("href_scheme", "assets.B02.href", asset_at("javascript:alert(1)")),
    ("href_scheme", "assets.B02.href", asset_at("JaVaScRiPt:alert(1)")),
    ("href_scheme", "assets.B02.href", asset_at("data:text/html,<script>")),
    ("href_scheme", "assets.B02.href", asset_at("file:///etc/passwd")),
    ("href_scheme", "assets.B02.href", asset_at("GTIFF_DIR:1:a.tif")),
    ("href_scheme", "assets.B02.href", asset_at("vrt://https://example.org/a.tif")),
    ("href_scheme", "links[0].href", foreign(links=[{"rel": "via", "href": "javascript:alert(1)"}])),
    ("href_reference", "assets.B02.href", asset_at("asset://../../etc/passwd")),
    ("href_reference", "assets.B02.href", asset_at(f"asset://{OTHER_SUM}/a/b.tif")),
    ("href_reference", "assets.B02.href", asset_at(f"asset://{OTHER_SUM}/..")),
    ("href_reference", "assets.B02.href", asset_at(f"Asset://{OTHER_SUM}/a.tif")),
    ("href_local_path", "assets.B02.href", asset_at("/data/a.tif")),
    ("href_local_path", "assets.B02.href", asset_at("/vsicurl/https://example.org/a.tif")),
    ("href_local_path", "assets.B02.href", asset_at("C:\\data\\a.tif")),
    ("href_local_path", "assets.B02.href", asset_at("<VRTDataset/>")),
    ("href_local_path", "assets.B02.href", asset_at("//example.org/a.tif")),
    ("href_characters", "assets.B02.href", asset_at(" https://example.org/a.tif")),
    ("href_characters", "assets.B02.href", asset_at("java\nscript:alert(1)")),
    ("href_characters", "assets.B02.href", asset_at("https://example.org\\@evil.org/a.tif")),
    ("href_credentials", "assets.B02.href", asset_at("https://user:pass@example.org/a.tif")),
    ("href_credentials", "assets.B02.href", asset_at("s3://key:secret@bucket/a.tif")),
    ("href_credentials", "assets.B02.href", asset_at("https://example.org/a.tif?X-Amz-Signature=ab&x=1")),
    ("href_credentials", "assets.B02.href", asset_at("https://example.org/a.tif?se=1&sig=ab")),
    ("href_credentials", "assets.B02.href", asset_at("https://example.org/a.tif?s%69g=ab")),
    ("href_credentials", "assets.B02.href", asset_at("https://example.org/a.tif#token=ab")),
    ("lab_extension_undeclared", "stac_extensions", lab(SCENE, lambda i: i["stac_extensions"].remove(SCHEMA_URI))),
    ("lab_id_form", "id", lab(SCENE, lambda item: item.update(id="Scene.1"))),
    ("asset_fields_missing", "assets.image", lab(SCENE, without("file:size", "assets", "image"))),
    ("asset_fields_missing", "assets.image", lab(SCENE, without("type", "assets", "image"))),
    ("asset_checksum", "assets.image.file:checksum", lab(SCENE, put(OTHER_SUM, "file:checksum", "assets", "image"))),
    ("asset_checksum", "assets.image.file:checksum", lab(SCENE, put("1e20aa", "file:checksum", "assets", "image"))),
    ("asset_href_relative", "assets.image.href", lab(SCENE, lambda item: item["assets"]["image"].update(href="a.tif"))),
    ("provenance_missing", "links", lab(CHIP, lambda item: item.update(links=item["links"][:2]))),
    ("provenance_missing", "links", lab(LABEL, lambda item: item.update(links=item["links"][:1]))),
    ("provenance_missing", "links", lab(DATASET, lambda item: item.update(links=item["links"][:1]))),
    ("provenance_missing", "links", lab(PREDICTION, lambda item: item.update(links=item["links"][:2]))),
    ("provenance_missing", "links", lab(PREDICTION, lambda item: item.update(links=item["links"][2:]))),
    ("provenance_href", "links[1].href", lab(CHIP, lambda item: item["links"][1].update(href="../x.json"))),
    ("split_value", "properties.ml-aoi:split", lab(CHIP, put("val", "ml-aoi:split", "properties"))),
    ("role_asset_missing", "assets", lab(SCENE, without("image", "assets"))),
    ("role_asset_missing", "assets", lab(CHIP, without("mask", "assets"))),
    ("role_asset_missing", "assets", lab(LABEL, without("raster_labels", "assets"))),
    ("role_asset_missing", "assets", lab(MODEL, lambda item: item["assets"]["weights"].update(roles=["mlm:weights"]))),
    ("role_asset_missing", "assets", lab(PREDICTION, without("prediction", "assets"))),
    ("bands_missing", "assets.image.bands", lab(SCENE, without("bands", "assets", "image"))),
    ("bands_missing", "assets.image.bands", lab(CHIP, without("bands", "assets", "image"))),
    ("classes_missing", "assets.mask.classification:classes", lab(CHIP, without(CLASSES, "assets", "mask"))),
    ("chip_labels", "properties.lab:labels", lab(CHIP, put("multilabel", "lab:task", "properties"))),
    ("model_bands", "assets.weights.bands", lab(MODEL, without("bands", "assets", "weights"))),
    ("model_bands", "properties.mlm:input[0].bands", lab(MODEL, without("bands", "properties"))),
    ("model_scaling", "properties.mlm:input[0].value_scaling", lab(MODEL, unscale)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "where", "document"), GARBAGE, ids=[f"{number}-{entry[0]}" for number, entry in enumerate(GARBAGE)]
)
def test_garbage_is_refused_with_the_field_the_rule_and_the_remedy(rule: str, where: str, document: Any) -> None:
    found = check(document, PACKAGED)
    assert (rule, where) in [(problem.rule, problem.where) for problem in found], [str(problem) for problem in found]
    for problem in found:
        assert problem.message
        assert problem.fix
        assert len(str(problem)) < 1200
        assert str(problem).isprintable()


def test_every_rule_is_broken_by_a_test() -> None:
    elsewhere = {"unknown_extension", "item_assets_missing", "collection_link_missing"}
    assert {entry[0] for entry in GARBAGE} | elsewhere == set(RULES)


def test_what_comes_from_elsewhere_is_taken(schemas: SchemaStore) -> None:
    assert check_item(foreign(), schemas) == []
    assert check_item(foreign(stac_version="1.0.0"), schemas) == []
    assert is_stored_id(foreign()["id"])
    assert not is_valid_id(foreign()["id"])


@pytest.mark.parametrize(
    "href",
    [
        "https://example.org/a b.tif",
        "https://example.org/a.tif?token_type=x&page=2",
        "s3://bucket/key",
        "gs://bucket/key",
        "abfss://container@account.dfs.core.windows.net/key",
        "asset://1220" + "a" * 64 + "/a.tif",
        "asset://d50110" + "a" * 32 + "/a b.tif",
        "./a.tif",
        "../catalog.json",
        "collections/x/items/y",
        "https://example.org/{z}/{x}/{y}.png?assets=a",
        "https://example.org/zürich.tif",
    ],
)
def test_addresses_that_open_are_taken(href: str) -> None:
    assert href_problem(["href"], href) is None


@given(
    st.lists(
        st.sampled_from(
            [*"aZ09:/?#@&;=%.\\ \n<-_~", "https://", "asset://", OTHER_SUM, "s3:", "sig", "token", "%73ig"]
        ),
        max_size=12,
    )
)
def test_the_fast_check_of_addresses_accepts_nothing_that_the_slow_one_refuses(parts: list[str]) -> None:
    from jsonschema_rs import Draft7Validator

    href = "".join(parts)
    fast = Draft7Validator({"pattern": PLAIN_HREF, "not": {"pattern": SUSPICIOUS_QUERY}})
    if fast.is_valid(href):
        assert href_problem(["href"], href) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in below for place in places(part, (*path, key)))]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_no_json_breaks_the_checks(data: st.DataObject) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from([FOREIGN, *every_kind(), *every_collection()]))))
    for place in data.draw(st.lists(st.sampled_from(places(document)[1:]), min_size=1, max_size=2)):
        holder = document
        try:
            for part in place[:-1]:
                holder = holder[part]
            holder[place[-1]] = data.draw(JSON)
        except (TypeError, KeyError, IndexError):
            continue  # the first change removed that place
    for problem in check(document, PACKAGED):
        assert isinstance(problem, Problem)
        assert problem.rule in RULES or problem.rule.startswith("https://")


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=8))
def test_a_ring_that_is_seen_whole_from_its_middle_is_valid(corners: list[tuple[int, int]]) -> None:
    ring = [*corners, corners[0]]
    if _is_star([ring]):
        assert Polygon(ring).is_valid


@given(st.integers(3, 40), st.floats(0.001, 20), st.floats(-150, 150), st.floats(-60, 60))
def test_the_fast_check_knows_ordinary_footprints(corners: int, size: float, lon: float, lat: float) -> None:
    angles = [2 * math.pi * number / corners for number in range(corners)]
    ring = [[lon + size * math.cos(angle), lat + size * math.sin(angle)] for angle in angles]
    assert _is_star([[*ring, ring[0]]])


def test_a_footprint_divided_at_180_has_a_bbox_whose_west_is_greater() -> None:
    halves = mapping(MultiPolygon([box(178, -5, 180, 5), box(-180, -5, -177, 5)]))
    geometry = json.loads(json.dumps(halves))
    assert geometry_problems({"geometry": geometry, "bbox": [178, -5, -177, 5]}) == []
    assert geometry_problems({"geometry": geometry, "bbox": [-180, -5, 180, 5]}) == []
    wrong = geometry_problems({"geometry": geometry, "bbox": [170, -5, -177, 5]})
    assert [(problem.rule, problem.fix) for problem in wrong] == [
        ("bbox_differs_from_geometry", "write [178.0, -5.0, -177.0, 5.0]")
    ]


def test_the_whole_world_and_a_long_way_with_corners_between_are_taken() -> None:
    world = foreign(geometry=mapping(box(-180, -90, 180, 90)), bbox=[-180, -90, 180, 90])
    assert check_item(world, PACKAGED) == []
    ring = [[-170, 0], [0, 0], [170, 0], [170, 10], [0, 10], [-170, 10], [-170, 0]]
    assert check_item(with_ring(*ring, bbox=[-170, 0, 170, 10]), PACKAGED) == []


def test_holes_and_several_polygons_are_looked_at_by_shapely() -> None:
    hole_outside = mapping(Polygon(box(10, 50, 11, 51).exterior, [box(20, 50, 21, 51).exterior]))
    found = geometry_problems({"geometry": hole_outside, "bbox": [10, 50, 21, 51]})
    assert [problem.rule for problem in found] == ["polygon_invalid"]
    overlapping = {"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE]]}
    found = geometry_problems({"geometry": overlapping, "bbox": [10, 50, 11, 51]})
    assert [problem.rule for problem in found] == ["polygon_invalid"]


def test_collections_are_checked_too() -> None:
    for collection in every_collection():
        assert check_collection(collection, PACKAGED) == []
    bad = copy.deepcopy(every_collection()[0])
    bad["item_assets"] = {}
    bad["id"] = "Scenes"
    bad["extent"] = {
        "spatial": {"bbox": [[0, 0, 999, 1]]},
        "temporal": {"interval": [["2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"]]},
    }
    found = {(problem.rule, problem.where) for problem in check_collection(bad, PACKAGED)}
    assert {
        ("item_assets_missing", "item_assets"),
        ("lab_id_form", "id"),
        ("bbox_out_of_range", "extent.spatial.bbox[0]"),
        ("start_after_end", "extent.temporal.interval[0]"),
    } <= found


def test_unknown_extensions_are_named_and_refused_where_asked(schemas: SchemaStore) -> None:
    item = foreign(stac_extensions=["https://stac-extensions.github.io/nothing/v9.9.9/schema.json"])
    assert schemas.missing(item) == item["stac_extensions"]
    assert check_item(item, schemas) == []
    assert [problem.rule for problem in check_item(item, schemas, known_extensions=True)] == ["unknown_extension"]


def test_schema_problems_name_the_missing_field_and_what_to_write(schemas: SchemaStore) -> None:
    run = lab(RUN, without("lab:status", "properties"))
    assert [(p.where, p.fix) for p in check_item(run, schemas)] == [("properties.lab:status", 'add "lab:status"')]
    scene = lab(SCENE, lambda item: item["properties"].update({"eo:cloud_cover": 120, "lab:knid": "x"}))
    found = {problem.where: problem for problem in check_item(scene, schemas)}
    assert found["properties.eo:cloud_cover"].fix == "write 100 or less"
    assert found["properties.lab:knid"].message == 'the schema knows no field "lab:knid"'
    metrics = lab(MODEL, lambda item: item["properties"].update({"lab:metrics": {"test.miou": 1}}))
    assert check_item(metrics, schemas)[0].where == 'properties.lab:metrics["test.miou"]'


def test_a_static_catalog_may_have_relative_addresses_but_needs_its_links() -> None:
    scene = lab(
        SCENE, lambda item: item["assets"]["image"].update(href="./a.tif", **{"file:checksum": "1220" + "a" * 64})
    )
    assert [problem.rule for problem in check_item(scene, PACKAGED)] == ["asset_href_relative"]
    assert check_item(scene, PACKAGED, files=True) == []
    assert check_item(foreign(), PACKAGED) == []
    assert [problem.rule for problem in check_item(foreign(), PACKAGED, files=True)] == ["collection_link_missing"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read as JSON"),
        ('["a"]', "must be one JSON object"),
        ('{"https://x/y": 1}', "must be one JSON object"),
    ],
)
def test_a_wrong_index_of_schemas_is_an_error_with_its_file_name(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(InvalidSchemaStore, match=says) as caught:
        SchemaStore(tmp_path)
    assert str(tmp_path / "index.json") in str(caught.value)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"type": 5}', '{"$ref": "#/nowhere"}'])
def test_a_wrong_schema_file_is_an_error_with_its_name(tmp_path: Path, content: str | None) -> None:
    url = "https://stac-extensions.github.io/x/v1.0.0/schema.json"
    (tmp_path / "index.json").write_text(json.dumps({url: "x.json"}))
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(InvalidSchemaStore, match=r"x\.json|x/v1\.0\.0"):
        SchemaStore(tmp_path).problems(foreign(stac_extensions=[url]))


def test_what_a_schema_refers_to_and_the_store_lacks_is_reported(tmp_path: Path) -> None:
    url, other = (f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in "xy")
    (tmp_path / "index.json").write_text(json.dumps({url: "x.json"}))
    (tmp_path / "x.json").write_text(json.dumps({"properties": {"id": {"$ref": other}}}))
    item = foreign(stac_extensions=[url])
    store = SchemaStore(tmp_path)
    assert check_item(item, store) == []
    assert store.missing(item) == [other]


def test_real_items_of_another_provider_are_valid(schemas: SchemaStore, data_folder: Path) -> None:
    items = real_items(data_folder)
    assert len(items) == 1000
    assert [str(problem) for item in items for problem in check_item(item, schemas)] == []


def test_a_typical_item_is_checked_in_microseconds(schemas: SchemaStore, data_folder: Path) -> None:
    item = dict(real_items(data_folder)[0])
    item["assets"] = dict(list(item["assets"].items())[:13])
    assert not check_item(item, schemas)
    best = math.inf
    for _ in range(100):
        started = perf_counter()
        for _ in range(5):
            check_item(item, schemas)
        best = min(best, (perf_counter() - started) / 5)
    assert best < 300e-6  # 95 µs on a quiet core; the machine may be busy


@cache
def real_items(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet
    from stac_geoparquet.arrow import stac_table_to_items

    table = pyarrow.parquet.read_table(folder / "stac" / "1000-sentinel-2-items.parquet")
    return [without_nulls(json.loads(json.dumps(item, default=str))) for item in stac_table_to_items(table)]


def without_nulls(value: Any) -> Any:
    """Leave out the nulls that a table has where one row has a field and another has not."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


def test_paths_read_like_code() -> None:
    assert path_of(["assets", "a b", 0, "eo:bands"]) == 'assets["a b"][0].eo:bands'
    assert path_of([]) == "$"


@pytest.mark.parametrize("position", [[False, False, False], [0, 0, 0, 0], [0, 0, "high"], "00", [0], [True, 1], None])
def test_what_is_no_position_is_named(position: Any) -> None:
    item = every_kind()[0]
    item["geometry"]["coordinates"][0][2] = position
    problems = [problem for problem in check(item, PACKAGED) if problem.rule == "position_form"]
    assert [problem.where for problem in problems] == ["geometry.coordinates[0][2]"]


def test_a_ring_may_have_heights_at_some_positions() -> None:
    item = every_kind()[0]
    ring = item["geometry"]["coordinates"][0]
    ring[1] = [*ring[1], 12.5]
    ring[2], ring[9] = ring[9], ring[2]  # so that it is looked at by shapely
    assert {problem.rule for problem in check(item, PACKAGED)} == {"polygon_invalid"}
