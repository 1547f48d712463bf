"""What the builders write goes through other readers and comes back: pystac, MLM, stac-geoparquet, odc-stac."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from shapely import MultiPolygon, box

from terralab.catalog.served_items import restore_nulls
from terralab.extensions.chips import Feature, Target, chip_item
from terralab.extensions.imagery import scene_item
from terralab.extensions.item import Footprint, StoredFile
from terralab.extensions.lab import SCHEMA_URI, load_schema
from terralab.extensions.labels import label_item
from terralab.extensions.prediction import prediction_item
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid
from terralab.extensions.records import read_record
from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import check_item
from tests.extensions.test_profile import BANDS, STORED, WHEN, every_collection, every_kind

MODEL = 4
PACKAGED = SchemaStore()


def as_json(document: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(document))


def bare(value: Any) -> Any:
    """Return a value without nulls and empty lists and objects, which tables and typed readers do not tell apart."""
    if isinstance(value, dict):
        kept = {key: bare(part) for key, part in value.items()}
        return {key: part for key, part in kept.items() if part is not None and part != {} and part != []}
    return [bare(part) for part in value] if isinstance(value, list) else value


def comparable(item: dict[str, Any]) -> Any:
    """Return an item in a form in which equal times are equal texts."""
    found = bare(as_json(item))
    for name in ("datetime", "start_datetime", "end_datetime", "lab:started", "lab:finished", "processing:datetime"):
        if name in found["properties"]:
            moment = datetime.fromisoformat(found["properties"][name].replace("Z", "+00:00"))
            found["properties"][name] = moment.timestamp()
    return found


# -- pystac --


@pytest.fixture(scope="module")
def validator(schemas: SchemaStore) -> JsonSchemaSTACValidator:
    """Return pystac's own validator with the schemas at hand, so that it asks no network."""
    assert schemas.folder is not None
    index = json.loads((schemas.folder / "index.json").read_text())
    found = JsonSchemaSTACValidator()
    found.schema_cache.update({url: json.loads((schemas.folder / name).read_text()) for url, name in index.items()})
    found.schema_cache[SCHEMA_URI] = load_schema()
    return found


@pytest.mark.parametrize("item", every_kind(), ids=lambda item: item["id"])
def test_items_through_pystac(item: dict[str, Any], validator: JsonSchemaSTACValidator) -> None:
    read = pystac.Item.from_dict(as_json(item))
    assert read.to_dict(include_self_link=False, transform_hrefs=False) == as_json(item)
    assert len(read.validate(validator)) == 1 + len(item["stac_extensions"])


@pytest.mark.parametrize("collection", every_collection(), ids=lambda collection: collection["id"])
def test_collections_through_pystac(collection: dict[str, Any], validator: JsonSchemaSTACValidator) -> None:
    read = pystac.Collection.from_dict(as_json(collection))
    assert read.to_dict(include_self_link=False, transform_hrefs=False) == as_json(collection)
    assert len(read.validate(validator)) == 1 + len(collection["stac_extensions"])


def test_pystac_and_we_find_the_same_faults(schemas: SchemaStore, validator: JsonSchemaSTACValidator) -> None:
    for item in (every_kind()[number] for number in (1, 2, MODEL)):
        for name in [*item["properties"], *item]:
            changed = as_json(item)
            holder = changed["properties"] if name in item["properties"] else changed
            holder[name] = 5
            if changed.get("type") != "Feature" or changed.get("stac_version") != "1.1.0":
                continue
            if not isinstance(changed["stac_extensions"], list):
                continue
            assert is_valid_by_pystac(changed, validator) is (schemas.problems(changed) == []), name


def is_valid_by_pystac(document: dict[str, Any], validator: JsonSchemaSTACValidator) -> bool:
    kind, version = pystac.STACObjectType.ITEM, document["stac_version"]
    try:
        validator.validate_core(document, kind, version)
        for uri in document["stac_extensions"]:
            validator.validate_extension(document, kind, version, uri)
    except pystac.errors.STACValidationError:
        return False
    return True


# -- MLM --


def test_a_model_through_the_mlm_extension_of_pystac() -> None:
    from pystac.extensions.mlm import MLMExtension

    mlm = MLMExtension.ext(pystac.Item.from_dict(as_json(every_kind()[MODEL])))
    assert (mlm.mlm_name, mlm.architecture, mlm.framework) == ("flood-resnet18", "resnet18", "PyTorch")
    assert mlm.tasks == ["semantic-segmentation"]
    assert mlm.input[0].bands == ["B02", "B03"]
    assert mlm.input[0].input.shape == [-1, 2, 64, 64]
    # `value_scaling` of pystac-ext-mlm 1.4.1 wraps the whole list in one object, so the list itself is looked at.
    assert [step["mean"] for step in mlm.input[0].to_dict()["value_scaling"]] == [1.0, 2.0]
    assert mlm.output[0].classes is not None
    assert [entry.name for entry in mlm.output[0].classes] == ["land", "water"]


def test_a_model_through_stac_model() -> None:
    from stac_model.schema import MLModelProperties

    written = {key: value for key, value in every_kind()[MODEL]["properties"].items() if key.startswith("mlm:")}
    read = MLModelProperties(**as_json(written))
    assert bare(json.loads(read.model_dump_json(by_alias=True))) == bare(as_json(written))


# -- stac-geoparquet --


def through_parquet(items: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet
    from stac_geoparquet.arrow import parse_stac_items_to_arrow, stac_table_to_items, to_parquet

    to_parquet(parse_stac_items_to_arrow([as_json(item) for item in items]), path)
    return [as_json(item) for item in stac_table_to_items(pyarrow.parquet.read_table(path))]


@pytest.mark.parametrize("item", every_kind(), ids=lambda item: item["id"])
def test_items_through_stac_geoparquet(item: dict[str, Any], tmp_path: Path, schemas: SchemaStore) -> None:
    other = as_json(item)
    other["id"] = "other"
    other["properties"]["title"] = "Another"
    back = through_parquet([item, other], tmp_path / "items.parquet")
    assert [comparable(found) for found in back] == [comparable(item), comparable(other)]
    found = {"assets": {}, **bare(back[0])}
    restore_nulls(found)
    faults = check_item(found, schemas)
    # A table cannot hold an empty object, so a field that must be there although it is empty is lost.
    assert {fault.where for fault in faults} <= {
        f"properties.{name}" for name, part in item["properties"].items() if part == {}
    }


# -- odc-stac --


def test_a_scene_through_odc_stac(tmp_path: Path) -> None:
    import odc.stac
    import rasterio
    from affine import Affine

    values = np.arange(3 * 64 * 64, dtype="uint16").reshape(3, 64, 64)
    grid = Grid("EPSG:32630", (10, 0, 5e5, 0, -10, 4.2e6), (64, 64))
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=64,
        height=64,
        count=3,
        dtype="uint16",
        crs=grid.crs,
        transform=Affine(*grid.transform),
    ) as target:
        target.write(values)
    item = scene_item(
        id="scene", collection_id="scenes", footprint=grid.footprint(datetime(2020, 5, 1, tzinfo=UTC)), grid=grid,
        image=StoredFile(path.as_uri(), path.stat().st_size, STORED.checksum), bands=BANDS,
    )  # fmt: skip
    read = pystac.Item.from_dict(as_json(item))
    parsed = odc.stac.parse_item(read)
    assert [band for band in parsed.bands if band[0] == "image"] == [("image", 1), ("image", 2), ("image", 3)]
    cube = odc.stac.load([read], bands=["image.1", "image.3"], chunks=None)
    assert cube.odc.crs.epsg == 32630
    np.testing.assert_array_equal(cube["image.1"].values[0], values[0])
    np.testing.assert_array_equal(cube["image.3"].values[0], values[2])


@pytest.mark.parametrize("item", every_kind(), ids=lambda item: item["id"])
def test_odc_stac_parses_every_kind(item: dict[str, Any]) -> None:
    import odc.stac

    parsed = odc.stac.parse_item(pystac.Item.from_dict(as_json(item)))
    rasters = {key for key, asset in item["assets"].items() if "geotiff" in asset["type"]}
    assert {name for name, _ in parsed.bands} == rasters


# -- any place, any time, any classes --

GRIDS = st.one_of(
    st.builds(
        lambda zone, south, east, north, size, rows, columns: Grid(
            f"EPSG:{(32700 if south else 32600) + zone}",
            (size, 0.0, float(east), 0.0, -size, float(north)),
            (rows, columns),
        ),
        st.integers(1, 60), st.booleans(), st.integers(200_000, 800_000), st.integers(500_000, 9_000_000),
        st.sampled_from([0.5, 10.0, 60.0, 500.0]), st.integers(1, 600), st.integers(1, 600),
    ),
    st.builds(
        lambda west, north, size, rows, columns: Grid(
            "EPSG:4326", (size, 0.0, west, 0.0, -size, north), (rows, columns)
        ),
        st.integers(-180, 180).map(float), st.integers(-60, 85).map(float),
        st.sampled_from([0.0001, 0.01, 0.1]), st.integers(1, 200), st.integers(1, 200),
    ),
    st.builds(
        lambda code, x, y, rows, columns: Grid(code, (1000.0, 0.0, float(x), 0.0, -1000.0, float(y)), (rows, columns)),
        st.sampled_from(["EPSG:3413", "EPSG:3031"]), st.integers(-1_500_000, 1_500_000),
        st.integers(-1_500_000, 1_500_000), st.integers(1, 900), st.integers(1, 900),
    ),
)  # fmt: skip
TIMES = st.datetimes(datetime(1972, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
SPANS = st.one_of(st.none(), st.timedeltas(timedelta(seconds=1), timedelta(days=400)))
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789_-", min_size=1, max_size=12)
CLASS_SETS = st.lists(
    st.builds(
        ClassDefinition, value=st.integers(0, 254), name=NAMES, color=st.from_regex(r"[0-9A-F]{6}", fullmatch=True),
        title=st.none() | st.text("abc äé漢", min_size=1, max_size=10),
    ),
    min_size=1, max_size=6, unique_by=(lambda entry: entry.value, lambda entry: entry.name),
)  # fmt: skip


@st.composite
def families(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return a scene and what is made of it, anywhere on Earth."""
    grid, start, span, classes = draw(GRIDS), draw(TIMES), draw(SPANS), draw(CLASS_SETS)
    footprint = grid.footprint(start, start + span if span else None)
    bands = [BandRecord(name, "uint16", 0) for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))]
    counts = {entry.name: draw(st.integers(0, 10**9)) for entry in classes}
    scene = scene_item(id="scene", collection_id="scenes", footprint=footprint, grid=grid, image=STORED, bands=bands)
    label = label_item(
        id="label", collection_id="labels", footprint=footprint, grid=grid, raster=STORED, classes=classes,
        class_counts=counts, scene=scene, scene_asset="image", description="By hand",
    )  # fmt: skip
    chip = chip_item(
        id="chip", collection_id="chips-v1", dataset="chips", footprint=footprint, grid=grid,
        features=[Feature("image", STORED, bands)], target=Target.mask(STORED, classes, counts),
        valid_share=draw(st.floats(0, 1)), scenes=[scene], label=label, window=(0, 0),
    )  # fmt: skip
    map_ = prediction_item(
        id="map", collection_id="maps", footprint=footprint, grid=grid, raster=STORED, classes=classes,
        class_counts=counts, model=every_kind()[MODEL], sources=[scene], params={"overlap": 8}, software={"a": "1"},
        processed=start,
    )  # fmt: skip
    return [scene, label, chip, map_]


@pytest.mark.parametrize(
    "grid",
    [
        Grid("EPSG:3413", (1000.0, 0.0, 1.0, 0.0, -1000.0, 1.0), (342, 1)),
        Grid("EPSG:3031", (1000.0, 0.0, -906.0, 0.0, -1000.0, 3830.0), (1, 322)),
        Grid("EPSG:4326", (0.1, 0.0, 180.0, 0.0, -0.1, 0.0), (93, 174)),
        Grid("EPSG:4326", (1.0, 0.0, -180.0, 0.0, -1.0, 90.0), (180, 360)),
        Grid("EPSG:3413", (1000.0, 0.0, -100_000.0, 0.0, -1000.0, 100_000.0), (200, 200)),
    ],
    ids=["thin-north", "thin-south", "at-180", "world", "over-the-pole"],
)
def test_footprints_are_valid_where_maps_end(grid: Grid) -> None:
    footprint = grid.footprint(datetime(2020, 1, 1, tzinfo=UTC))
    assert footprint.geometry.is_valid
    item = scene_item(id="s", collection_id="c", footprint=footprint, grid=grid, image=STORED, bands=BANDS)
    assert [str(problem) for problem in check_item(item, PACKAGED)] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(families())
def test_whatever_is_built_is_valid_and_read_back(items: list[dict[str, Any]]) -> None:
    for item in items:
        assert [str(problem) for problem in check_item(item, PACKAGED)] == []
        assert pystac.Item.from_dict(as_json(item)).to_dict(include_self_link=False, transform_hrefs=False) == as_json(
            item
        )
        record = read_record(as_json(item))
        again = Footprint.of_item(item)
        assert record.footprint.geometry.equals(again.geometry)
        assert (record.footprint.start, record.footprint.end) == (again.start, again.end)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.lists(families(), min_size=1, max_size=3))
def test_whatever_is_built_goes_through_stac_geoparquet(tmp_path: Path, built: list[list[dict[str, Any]]]) -> None:
    chips = [{**items[2], "id": f"chip-{number}"} for number, items in enumerate(built)]
    back = through_parquet(chips, tmp_path / "chips.parquet")
    assert [comparable(item) for item in back] == [comparable(item) for item in chips]


def test_the_bbox_of_parts_on_one_side_of_180_is_their_own() -> None:
    parts = MultiPolygon([box(0, -90, 90, -85), box(100, -88, 180, -86)])
    assert Footprint(parts, WHEN, WHEN).bbox == [0.0, -90.0, 180.0, -85.0]
    sides = MultiPolygon([box(170, 10, 180, 20), box(-180, 10, -170, 20)])
    assert Footprint(sides, WHEN, WHEN).bbox == [170.0, 10.0, -170.0, 20.0]
