import json
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Geod, Transformer

from terralab.catalog.errors import AssetCorrupt, InvalidInput, InvalidRaster, UnknownName
from terralab.catalog.inbox import stage
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.extensions.item import item_href
from terralab.extensions.raster import Grid
from terralab.flows.in_lab import checked_request
from terralab.flows.inference.resolution import pixel_areas
from terralab.flows.predict import PredictRequest

UTM = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (150, 220))
DEGREES = Grid("EPSG:4326", (0.0001, 0, -3.0, 0, -0.0001, 37.9), (130, 170))


def links(item: dict, rel: str) -> list[str]:
    return [link["href"] for link in item["links"] if link["rel"] == rel]


@pytest.mark.parametrize("grid", [UTM, DEGREES], ids=["utm", "degrees"])
def test_map_equals_the_network_on_whole_bands(lab, grid) -> None:
    scene, model = lab.add_scene(grid=grid), lab.add_model()
    outcome = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])
    (item,) = lab.made(outcome)
    classes, facts = lab.raster(item)
    pixels = lab.pixels(grid, ("B03", "B8A", "B11"))
    assert (classes == lab.expected(pixels)).all()
    assert (classes[:20, :30] == 255).all()
    assert facts["transform"] == grid.transform
    assert facts["crs"] == grid.crs
    assert facts["nodata"] == 255
    assert facts["colours"][2][:3] == (0x00, 0x72, 0xB2)
    assert facts["colours"][255][3] == 0 or facts["nodata"] == 255
    assert facts["tags"]["class_2"] == "Water"
    assert facts["compression"].endswith("zstd")
    assert item["collection"] == "flood-tiny-predictions"
    assert links(item, "derived_from") == [item_href("models", model["id"]), item_href("floods-scenes", scene["id"])]
    assert links(item, "processing-execution") == [item_href("runs", outcome.run)]
    counts = item["properties"]["lab:class_counts"]
    assert counts == {"land": int((classes == 0).sum()), "water": int((classes == 2).sum())}
    assert item["properties"]["renders"]["default"]["colormap"]["2"] == [0, 0x72, 0xB2, 255]
    rows = lab.progress.tables["areas"]
    assert sum(row["pixels"] for row in rows) == sum(counts.values())
    assert rows[0]["ha"] == pytest.approx(100 * rows[0]["km2"], rel=1e-3)
    if grid is UTM:
        assert outcome.metrics["km2_water"] == pytest.approx(counts["water"] * 1e-4)
    assert lab.progress.ticks[-1] == (grid.shape[0], grid.shape[0])
    assert lab.progress.images == [item["assets"]["thumbnail"]["href"]]


def test_run_says_what_was_done(lab) -> None:
    lab.add_scene(), lab.add_model()
    outcome = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])
    run = lab.workspace.catalog.item("runs", outcome.run)
    assert run["properties"]["lab:status"] == "succeeded"
    assert run["properties"]["lab:run_type"] == "predict"
    assert set(run["properties"]["processing:software"]) >= {"terralab", "torch", "terratorch", "gdal"}
    assert links(run, "derived_from") == [
        "collections/models/items/flood-tiny-1",
        "collections/floods-scenes/items/scene-1",
    ]
    assert links(run, "lab:produced") == [item_href(*outcome.produced[0])]
    assert outcome.details["crop"] == 64
    assert outcome.details["overlap"] == 16
    assert outcome.details["warnings"] == []


def test_rerun_gives_the_same_and_does_nothing(lab) -> None:
    lab.add_scene(), lab.add_model()
    first = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])
    again = lab.predict(model="models/flood-tiny-1", items=["floods-scenes/scene-1"], batch_size=3)
    assert not first.reused
    assert again.produced == first.produced
    assert again.details["predictions"] == first.details["predictions"]
    assert lab.loaded == 1
    other = lab.predict(model="flood-tiny-1", items=["floods-scenes/scene-1"])
    assert other.reused or other.details["reused"]


def test_same_bytes_when_all_is_done_again(lab) -> None:
    lab.add_scene(), lab.add_model()
    first = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], probability=True)
    before = lab.made(first)[0]
    with lab.workspace.catalog.connection() as connection:
        connection.execute("SELECT delete_item(%s, %s)", (before["id"], before["collection"]))
    again = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], probability=True, batch_size=1)
    after = lab.made(again)[0]
    assert not again.reused
    assert (again.run, after["id"]) == (first.run, before["id"])
    assert after["assets"] == before["assets"]


def test_several_scenes_make_one_run_and_known_predictions_are_kept(lab) -> None:
    lab.add_model()
    for number in (1, 2):
        lab.add_scene(id=f"scene-{number}", pixels=lab.pixels(UTM, "abc", seed=number))
    one = lab.predict(model="flood-tiny", items=["floods-scenes/scene-2"])
    both = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1", "floods-scenes/scene-2"])
    assert len(both.produced) == 2
    assert both.produced[1] == one.produced[0]
    assert both.details["reused"] == [one.produced[0][1]]
    assert lab.progress.ticks[-1] == (150, 150)


def test_bands_are_found_by_name_in_any_order_and_asset(lab) -> None:
    names = ("B02", "B11", "B04", "B8A", "B12", "B03", "B08")
    pixels = lab.pixels(UTM, names)
    lab.add_scene(names=names, pixels=pixels, asset_key="reflectance"), lab.add_model()
    (item,) = lab.made(lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"]))
    assert (lab.raster(item)[0] == lab.expected(pixels, index=1)).all()


def test_pixel_without_data_in_any_band_stays_without(lab) -> None:
    pixels = lab.pixels(UTM, "abc").astype(np.float32)
    pixels[0, 70, 70] = np.nan
    pixels[1, 71, 71] = NODATA = -9999.0
    pixels[pixels == 0] = NODATA
    lab.add_scene(pixels=pixels, nodata=-9999.0), lab.add_model()
    (item,) = lab.made(lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"]))
    classes = lab.raster(item)[0]
    assert classes[70, 70] == classes[71, 71] == 255
    assert (classes == 255).sum() == 600 + 2


@pytest.mark.parametrize("shape", [(40, 30), (100, 512), (333, 65), (64, 64)])
def test_small_thin_and_odd_images(lab, shape) -> None:
    grid = Grid(UTM.crs, UTM.transform, shape)
    pixels = lab.pixels(grid, "abc")
    lab.add_scene(grid=grid, pixels=pixels), lab.add_model()
    (item,) = lab.made(lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"]))
    assert (lab.raster(item)[0] == lab.expected(pixels)).all()
    assert {seen[1:] for seen in lab.seen} == {(3, 64, 64)}


def test_probability_is_a_second_asset(lab) -> None:
    lab.add_scene(), lab.add_model()
    (item,) = lab.made(lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], probability=True))
    percent, facts = lab.raster(item, "confidence")
    assert (percent[:20, :30] == 255).all()
    assert 50 <= percent[percent != 255].min() <= percent[percent != 255].max() <= 100
    assert facts["nodata"] == 255


def test_box_is_clipped_to_whole_pixels_of_the_scene(lab) -> None:
    lab.add_scene(), lab.add_model()
    to_degrees = Transformer.from_crs(UTM.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(500503, 4199007, 501204, 4199496)
    outcome = lab.predict(model="flood-tiny", bbox=[west, south, east, north], datetime="2020-05-01/2020-05-02")
    (item,) = lab.made(outcome)
    classes, facts = lab.raster(item)
    row, column, rows, columns = item["properties"]["lab:params"]["window"]
    assert facts["transform"] == (10, 0, 500000 + 10 * column, 0, -10, 4200000 - 10 * row)
    assert column == 50
    assert column + columns >= 121
    whole = lab.expected(lab.pixels(UTM, "abc"))
    assert (classes == whole[row : row + rows, column : column + columns]).all()
    assert classes.shape == (rows, columns) != UTM.shape
    left, bottom, right, top = item["bbox"]
    assert left <= west
    assert bottom <= south
    assert right >= east
    assert top >= north


def test_box_takes_the_least_cloudy_then_the_newest(lab) -> None:
    lab.add_model()
    for name, day, clouds in (("old", 1, 5.0), ("cloudy", 9, 80.0), ("new", 8, 5.0), ("unknown", 9, None)):
        when = datetime(2020, 5, day, tzinfo=UTC)
        lab.add_scene(id=name, pixels=lab.pixels(UTM, "abc", seed=day), when=when, clouds=clouds)
    lab.add_scene(id="other-bands", names=("B02", "B03"), pixels=lab.pixels(UTM, "ab"), collection="rgb")
    box = list(UTM.footprint(datetime(2020, 5, 1, tzinfo=UTC)).geometry.centroid.buffer(0.001).bounds)
    outcome = lab.predict(model="flood-tiny", bbox=box, datetime="2020-05-01/2020-05-31")
    assert outcome.details["scenes"] == ["floods-scenes/new"]
    with pytest.raises(InvalidInput, match="no scene with the bands B03, B8A, B11"):
        lab.predict(model="flood-tiny", bbox=box, datetime="2021-01-01")
    with pytest.raises(InvalidInput, match="1 scenes there lack a band"):
        lab.predict(model="flood-tiny", bbox=box, datetime="2020-05-01T10:00:00Z/2020-05-01T10:00:00Z")


def test_file_becomes_a_scene_of_its_own(lab, tmp_path: Path) -> None:
    lab.add_model()
    names = ("B8A", "B11", "B03")
    pixels = lab.pixels(DEGREES, names)
    path = lab.write(tmp_path / "My scene_20200607.tif", pixels, DEGREES, ("nir08", "swir16", "green"))
    pattern = stage(lab.workspace.settings, [path])
    outcome = lab.predict(model="flood-tiny", file=pattern)
    (item,) = lab.made(outcome)
    assert (lab.raster(item)[0] == lab.expected(pixels, index=1)).all()
    assert item["properties"]["datetime"] == "2020-06-07T00:00:00Z"
    scene = lab.workspace.catalog.item("uploads", links(item, "derived_from")[1].rsplit("/", 1)[1])
    assert [band["name"] for band in scene["assets"]["image"]["bands"]] == list(names)
    assert scene["properties"]["lab:params"]["source"]["file"] == path.name
    assert links(scene, "processing-execution") == [item_href("runs", outcome.run)]
    run = lab.workspace.catalog.item("runs", outcome.run)
    assert item_href("uploads", scene["id"]) in links(run, "derived_from")
    assert lab.predict(model="flood-tiny", file=pattern).reused
    with_names = lab.predict(model="flood-tiny", file=pattern, bands=list(names), probability=True)
    assert links(lab.made(with_names)[0], "derived_from")[1] == item_href("uploads", scene["id"])


def test_file_without_band_names_needs_them(lab, tmp_path: Path) -> None:
    lab.add_model()
    path = lab.write(tmp_path / "plain.tif", lab.pixels(UTM, "abc"), UTM, ())
    pattern = stage(lab.workspace.settings, [path])
    with pytest.raises(InvalidInput, match="no names; name them in order with --bands"):
        lab.predict(model="flood-tiny", file=pattern, datetime="2020-05-01")
    with pytest.raises(InvalidInput, match="has 3 bands, --bands names 2"):
        lab.predict(model="flood-tiny", file=pattern, datetime="2020-05-01", bands=["B03", "B11"])
    with pytest.raises(InvalidInput, match="lacks the bands B11"):
        lab.predict(model="flood-tiny", file=pattern, datetime="2020-05-01", bands=["B03", "B8A", "B12"])
    with pytest.raises(InvalidInput, match="no date"):
        lab.predict(model="flood-tiny", file=pattern, bands=["B03", "B8A", "B11"])
    assert lab.workspace.catalog.find_collection("runs") is None
    outcome = lab.predict(model="flood-tiny", file=pattern, datetime="2020-05-01", bands=["green", "B8a", "swir16"])
    assert (lab.raster(lab.made(outcome)[0])[0] == lab.expected(lab.pixels(UTM, "abc"))).all()


def test_bad_files_leave_nothing_visible(lab, tmp_path: Path) -> None:
    lab.add_model()
    text = tmp_path / "text.tif"
    text.write_text("not a raster")
    with pytest.raises(InvalidRaster, match="not a GeoTIFF"):
        lab.predict(model="flood-tiny", file=stage(lab.workspace.settings, [text]), datetime="2020-05-01")
    good = lab.write(tmp_path / "good.tif", lab.pixels(UTM, "abc"), UTM, ("B03", "B8A", "B11"))
    cut = tmp_path / "cut.tif"
    cut.write_bytes(good.read_bytes()[:90000])
    with pytest.raises(InvalidRaster):
        lab.predict(model="flood-tiny", file=stage(lab.workspace.settings, [cut]), datetime="2020-05-01")
    with pytest.raises(InvalidInput, match="names 2 files"):
        lab.predict(model="flood-tiny", file=stage(lab.workspace.settings, [good, text]), datetime="2020-05-01")
    with pytest.raises(InvalidInput, match="outside the folders"):
        lab.predict(model="flood-tiny", file=str(good), datetime="2020-05-01")
    assert lab.workspace.catalog.find_collection("uploads") is None
    assert not list((lab.workspace.settings.store_folder / "tmp").iterdir())


def test_unknown_names_and_missing_bands(lab) -> None:
    lab.add_scene(names=("B03", "B8A", "B12")), lab.add_model()
    with pytest.raises(UnknownName, match="did you mean flood-tiny"):
        lab.predict(model="flod-tiny", items=["floods-scenes/scene-1"])
    with pytest.raises(UnknownName, match="did you mean scene-1"):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-3"])
    with pytest.raises(UnknownName, match="no collection is called 'flood-scenes'"):
        lab.predict(model="flood-tiny", items=["flood-scenes/scene-3"])
    with pytest.raises(InvalidInput, match="write it as"):
        lab.predict(model="flood-tiny", items=["scene-1"])
    with pytest.raises(
        InvalidInput, match="lacks the bands B11: the model reads B03, B8A, B11; there are B03, B8A, B12"
    ):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])
    assert lab.workspace.catalog.find_collection("runs") is None


def test_model_by_id_name_version_and_alias(lab) -> None:
    lab.add_scene()
    for number, (version, aliases) in enumerate((("1.9.0", ["production"]), ("1.10.0", []), ("1.2.0", []))):
        lab.add_model(id=f"flood-tiny-{number}", version=version, aliases=aliases, slope=1.0 + number)

    def chosen(model: str) -> str:
        return lab.predict(model=model, items=["floods-scenes/scene-1"]).details["model"]

    assert chosen("flood-tiny") == "models/flood-tiny-1"
    assert chosen("flood-tiny@production") == "models/flood-tiny-0"
    assert chosen("models/flood-tiny-2") == chosen("flood-tiny-2") == "models/flood-tiny-2"
    with pytest.raises(UnknownName, match="alias 'staging'"):
        chosen("flood-tiny@staging")


@pytest.mark.parametrize("asset", ["weights", "config"])
def test_tampered_model_is_refused(lab, asset: str) -> None:
    lab.add_scene()
    model = lab.add_model()
    path = lab.workspace.store.open_path(model["assets"][asset]["href"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"1", b"2").replace(b"band", b"bond"))
    with pytest.raises(AssetCorrupt, match="differ from their checksum"):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])
    assert lab.loaded == 0
    (run,) = lab.workspace.catalog.search(collections=["runs"])
    assert run["properties"]["lab:status"] == "failed"
    assert run["properties"]["lab:error"]["code"] == "asset_corrupt"
    assert lab.workspace.catalog.find_collection("flood-tiny-predictions") is None


def test_damaged_imagery_is_refused(lab) -> None:
    scene = lab.add_scene()
    lab.add_model()
    path = lab.workspace.store.open_path(scene["assets"]["image"]["href"])
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-100] ^= 255
    path.write_bytes(content)
    with pytest.raises(AssetCorrupt, match="differ from their checksum"):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])


def test_scene_without_any_data_is_refused(lab) -> None:
    lab.add_scene(pixels=np.zeros((3, *UTM.shape), np.uint16)), lab.add_model()
    with pytest.raises(InvalidInput, match="no pixel with data"):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])
    assert not lab.seen


def test_too_many_pixels_are_refused(lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_scene(), lab.add_model()
    monkeypatch.setenv("TERRALAB_INFERENCE_MAX_PIXELS", "30000")
    lab.workspace = Workspace(Settings())
    with pytest.raises(InvalidInput, match=r"33,000 pixels .* TERRALAB_INFERENCE_MAX_PIXELS=30,000"):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "one of items, file and bbox"),
        ({"items": ["a/b"], "file": "x"}, "one of items, file and bbox"),
        ({"bbox": [0, 0, 1, 1]}, "bbox needs a datetime"),
        ({"bbox": [0, 0, 1], "datetime": "2020-01-01"}, "four numbers"),
        ({"bbox": [1, 0, 0, 1], "datetime": "2020-01-01"}, "west < east"),
        ({"bbox": [0, math.nan, 1, 1], "datetime": "2020-01-01"}, "west < east"),
        ({"items": ["a/b"], "bands": ["B02"]}, "bands of a file"),
        ({"items": ["a/b"], "overlap": -1}, "overlap"),
    ],
)
def test_wrong_requests_have_one_message(values, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        checked_request(PredictRequest, model="m", **values)


def test_overlap_is_pixels_or_a_share(lab) -> None:
    lab.add_scene(), lab.add_model()
    made = [
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], overlap=overlap) for overlap in (0, 0.5, 8)
    ]
    assert [outcome.details["overlap"] for outcome in made] == [0, 32, 8]
    bytes_of = {lab.made(outcome)[0]["assets"]["prediction"]["file:checksum"] for outcome in made}
    assert len(bytes_of) == 1
    with pytest.raises(InvalidInput, match="at most half a window"):
        lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], overlap=33)


def test_other_pixel_size_than_in_training_is_told(lab) -> None:
    trained = lab.add_scene(id="trained", grid=Grid(UTM.crs, (30, 0, 500000, 0, -30, 4200000), (64, 64)))
    lab.add_scene()
    dataset_link = add_dataset(lab, trained)
    lab.add_model(links=[dataset_link])
    outcome = lab.predict(model="flood-tiny", items=["floods-scenes/scene-1", "floods-scenes/trained"])
    assert outcome.details["warnings"] == ["floods-scenes/scene-1 has pixels of 10 m, the model has learnt from 30 m"]


def add_dataset(lab, scene: dict) -> dict:
    from terralab.catalog.publish import publish
    from terralab.extensions.dataset import dataset_item, datasets_collection
    from terralab.extensions.item import derived_from

    store = lab.workspace.store
    manifest = {"collection": "floods-v1", "chips": []}
    item = dataset_item(
        id="floods-v1-0-0",
        dataset="floods",
        chips_collection="floods-v1",
        version="1.0.0",
        footprint=UTM.footprint(datetime(2020, 5, 1, tzinfo=UTC)),
        dvc_rev="0" * 40,
        dvc_tree="0" * 32 + ".dir",
        manifest=store.put_bytes(json.dumps(manifest).encode(), "manifest.json"),
        dvc_file=store.put_bytes(b"outs: []\n", "floods.dvc"),
        class_counts={},
        split_counts={},
        split_report={},
        sources=[derived_from(scene)],
    )
    publish(lab.workspace, [datasets_collection(UTM.footprint(datetime(2020, 5, 1, tzinfo=UTC)))], [item])
    return derived_from(item)


def test_areas_in_degrees_are_those_of_the_ellipsoid() -> None:
    found = pixel_areas(DEGREES, 0, 3)
    a, _, c, _, e, f = DEGREES.transform
    for row in range(3):
        top, bottom = f + e * row, f + e * (row + 1)
        exact = abs(Geod(ellps="WGS84").polygon_area_perimeter([c, c + a, c + a, c], [bottom, bottom, top, top])[0])
        assert found[row] == pytest.approx(exact, rel=1e-6)


def test_outputs_are_cogs(lab) -> None:
    from rio_cogeo.cogeo import cog_validate

    grid = Grid(UTM.crs, UTM.transform, (1100, 700))
    lab.add_scene(grid=grid), lab.add_model()
    (item,) = lab.made(lab.predict(model="flood-tiny", items=["floods-scenes/scene-1"], crop=256))
    path = lab.workspace.store.open_path(item["assets"]["prediction"]["href"])
    valid, errors, _ = cog_validate(str(path), quiet=True)
    assert valid, errors
    assert lab.raster(item)[1]["overviews"]
    with rasterio.open(lab.workspace.store.open_path(item["assets"]["thumbnail"]["href"])) as png:
        assert max(png.shape) <= 512
        assert png.read(4)[0, 0] == 0
