"""Bad datasets: each is refused or told, with what, where and what to do; none is silently accepted."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import InvalidInput, InvalidLabels, InvalidRaster, TooLarge
from terralab.datasets.onboarding.hints import Hints
from terralab.datasets.onboarding.limits import Limits
from tests.datasets.onboarding.sets import SIZE, UTM, codes, image, look, mask, pairs, said, write

LEFT, TOP = UTM.c, UTM.f


def outlines(path: Path, *parts: tuple[list[list[float]], dict[str, Any]], crs: str | None = "EPSG::32630") -> Path:
    """Write GeoJSON of polygons, given by rings in pixels of the first image."""
    features = [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[LEFT + 10 * x, TOP - 10 * y] for x, y in [*ring, ring[0]]]],
            },
        }
        for ring, properties in parts
    ]
    document: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if crs:
        document["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{crs}"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


WATER, LAND = {"class": "water"}, {"class": "land"}


def test_an_honest_folder_has_no_errors(folder: Path) -> None:
    found = look(pairs(folder))
    assert codes(found) == set()
    assert found.plan is not None
    assert [entry.name for entry in found.plan.classes] == ["class_0", "class_1"]


def test_overlapping_labels_are_refused_until_it_is_said_which_wins(folder: Path) -> None:
    image(folder / "s0.tif")
    outlines(folder / "labels.geojson", (box(0, 0, 40, 64), WATER), (box(30, 0, 64, 64), LAND))
    found = look(folder)
    assert codes(found) == {"overlap"}
    assert "labels.geojson, feature 0 (water) and labels.geojson, feature 1 (land) by 29 %" in said(found, "overlap")
    assert "--overlaps last" in said(found, "overlap")
    with pytest.raises(InvalidLabels, match="overlap"):
        found.usable()
    told = look(folder, overlaps="last")
    assert codes(told) == set()
    assert "overlap" in codes(told, "warning")


def test_labels_that_only_touch_do_not_overlap(folder: Path) -> None:
    image(folder / "s0.tif")
    outlines(folder / "labels.geojson", (box(0, 0, 32, 64), WATER), (box(32, 0, 64, 64), LAND))
    assert codes(look(folder)) == set()


def test_self_crossing_outlines_are_refused_or_mended(folder: Path) -> None:
    image(folder / "s0.tif")
    bow = [[0, 0], [40, 40], [40, 0], [0, 40]]
    outlines(folder / "labels.geojson", (bow, WATER), (box(45, 0, 64, 64), LAND))
    found = look(folder)
    assert codes(found) == {"crossing"}
    assert "labels.geojson, feature 0: Self-intersection" in said(found, "crossing")
    assert "--repair" in said(found, "crossing")
    mended = look(folder, repair=True)
    assert mended.plan is not None
    assert "crossing" in codes(mended, "warning")


def test_labels_outside_the_imagery_are_told_and_refused_where_all_are(folder: Path) -> None:
    image(folder / "s0.tif")
    outlines(folder / "labels.geojson", (box(0, 0, 9, 9), WATER), (box(900, 900, 909, 909), LAND))
    found = look(folder)
    assert codes(found) == set()
    assert "1 of 2 outlines lie on no image (1 land)" in said(found, "outside")
    outlines(folder / "labels.geojson", (box(900, 900, 909, 909), LAND))
    assert "none of its 1 outlines lies on an image" in said(look(folder), "outside")
    assert "outside" in codes(look(folder))


def test_metres_without_a_coordinate_system_are_refused(folder: Path) -> None:
    image(folder / "s0.tif")
    outlines(folder / "labels.geojson", (box(0, 0, 9, 9), WATER), crs=None)
    assert "no degrees" in said(look(folder), "crs")


def test_mixed_crs_between_samples_is_told(folder: Path) -> None:
    pairs(folder)
    degrees = {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, -3, 0, -1e-4, 38)}
    image(folder / "images" / "s1.tif", **degrees)
    mask(folder / "masks" / "s1.tif", **degrees)
    assert "EPSG:4326 (1, such as s1)" in said(look(folder), "mixed_crs")
    assert "mixed_crs" in codes(look(folder), "warning")


def test_mixed_crs_within_a_sample_is_refused(folder: Path) -> None:
    pairs(folder)
    mask(folder / "masks" / "s1.tif", crs="EPSG:32631", transform=UTM @ rasterio.Affine.translation(1000, 0))
    found = look(folder)
    assert codes(found) == {"grid"}
    assert "s1.tif" in said(found, "grid")
    assert "EPSG:32630 and EPSG:32631" in said(found, "grid")


def test_mixed_resolutions_are_told_between_samples_and_refused_within(folder: Path) -> None:
    pairs(folder)
    coarse = {"transform": rasterio.Affine(20, 0, 600_000, 0, -20, 4_200_000)}
    image(folder / "images" / "s1.tif", **coarse)
    mask(folder / "masks" / "s1.tif", **coarse)
    assert "10 (1, such as s0), 20 (1, such as s1)" in said(look(folder), "mixed_resolution")
    mask(folder / "masks" / "s1.tif", transform=rasterio.Affine(10, 0, 600_000, 0, -10, 4_200_000))
    assert "grid" in codes(look(folder))


def test_renumbered_classes_are_refused_by_their_colours(folder: Path) -> None:
    pairs(folder)
    for name, colors in (
        ("s0", {0: (9, 9, 9, 255), 1: (0, 0, 255, 255)}),
        ("s1", {0: (0, 0, 255, 255), 1: (9, 9, 9, 255)}),
    ):
        with rasterio.open(folder / "masks" / f"{name}.tif", "r+") as dataset:
            dataset.write_colormap(1, colors)
    found = look(folder)
    assert codes(found) == {"renumbered"}
    assert "s1.tif: its class 0 has the colour of class 1 in s0.tif" in said(found, "renumbered")


def test_renumbered_classes_are_refused_by_their_names(folder: Path) -> None:
    for number in range(2):
        image(folder / "images" / f"s{number}.tif")
        classes = {"class": "water", "class_id": 1 + number}, {"class": "land", "class_id": 2 - number}
        outlines(
            folder / "labels" / f"s{number}.geojson", (box(0, 0, 9, 9), classes[0]), (box(20, 0, 29, 9), classes[1])
        )
    found = look(folder)
    assert "renumbered" in codes(found)
    assert "class 'water' has the number 2, in s0.geojson it has 1" in said(found, "renumbered")


def test_labels_without_a_common_value_are_suspicious(folder: Path) -> None:
    pairs(folder, 3)
    place = UTM @ rasterio.Affine.translation(2000, 0)
    mask(folder / "masks" / "s2.tif", values=(7, 8), transform=place)
    assert "s2.tif: has only values that no other label has (7, 8; the others have 0, 1)" in said(
        look(folder), "numbering"
    )


def test_names_beyond_ascii_are_told_and_those_without_any_letter_refused(folder: Path) -> None:
    image(folder / "images" / "Überflug é.tif")
    mask(folder / "masks" / "Überflug é.tif")
    found = look(folder)
    assert codes(found) == set()
    assert "'Überflug é' → berflug" in said(found, "non_ascii")
    for part, make in (("images", image), ("masks", mask)):
        make(folder / part / "Зерно.tif", transform=UTM @ rasterio.Affine.translation(1000, 0))
    assert "Зерно.tif" in said(look(folder), "name")


def test_accents_written_in_two_ways_are_the_same_name(folder: Path) -> None:
    image(folder / "images" / "e\u0301.tif")
    mask(folder / "masks" / "\u00e9.tif")
    image(folder / "images" / "b.tif", transform=UTM @ rasterio.Affine.translation(1000, 0))
    mask(folder / "masks" / "b.tif", transform=UTM @ rasterio.Affine.translation(1000, 0))
    assert "no_partner" not in codes(look(folder))


def test_a_name_in_no_utf8_is_refused(folder: Path) -> None:
    pairs(folder)
    (folder / "images" / "s0.tif").rename(os.fsdecode(os.fsencode(folder / "images") + b"/caf\xe9.tif"))
    with pytest.raises(InvalidInput, match=r"caf\\xe9.*rename it"):
        look(folder)


def test_an_ogr_vrt_that_is_called_geojson_is_refused_and_opens_nothing(folder: Path) -> None:
    secret = folder.parent / "secret.csv"
    secret.write_text('WKT,class\n"POINT (1 1)",secret\n')
    image(folder / "s0.tif")
    layer = f'<OGRVRTLayer name="secret"><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer>'
    (folder / "labels.geojson").write_text(f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>")
    found = look(folder)
    assert codes(found) == {"unreadable"}
    assert "labels.geojson: no GeoJSON, whatever its name says" in said(found, "unreadable")
    assert "secret" not in str(found.findings)


@pytest.mark.parametrize("name", ["labels.gpkg", "labels.geoparquet"])
def test_no_other_vector_file_may_be_a_virtual_one(folder: Path, name: str) -> None:
    image(folder / "s0.tif")
    (folder / name).write_text("<OGRVRTDataSource></OGRVRTDataSource>")
    assert "no GeoJSON, whatever its name says" in said(look(folder), "unreadable")


def test_a_geotiff_with_overviews_elsewhere_is_refused(folder: Path) -> None:
    pairs(folder)
    with rasterio.open(folder / "images" / "s0.tif", "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/etc/hostname")
    found = look(folder)
    assert codes(found) >= {"unreadable"}
    assert "s0.tif: its metadata sends GDAL to other files" in said(found, "unreadable")
    with pytest.raises(InvalidInput, match=r"s0\.tif"):
        found.usable()


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    pairs(folder)
    (folder / "images" / "s9.tif").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match=r"s9\.tif: a link out of the folder"):
        look(folder)


@pytest.mark.parametrize(
    "content", ["{", '{"type": "Topology"}', "[" * 100_000, '{"type": "FeatureCollection", "features": 3}']
)
def test_broken_geojson_is_one_clear_message(folder: Path, content: str) -> None:
    image(folder / "s0.tif")
    (folder / "labels.geojson").write_text(content)
    assert "labels.geojson" in said(look(folder), "unreadable")


def test_a_geojson_over_the_limit_is_refused(folder: Path) -> None:
    image(folder / "s0.tif")
    outlines(folder / "labels.geojson", (box(0, 0, 9, 9), WATER), (box(20, 0, 29, 9), LAND))
    found = look(folder, hints=Hints(limits=Limits(text=100)))
    assert "at most" in said(found, "unreadable")
    with pytest.raises(TooLarge):
        found.usable()


def test_too_many_files_are_refused(folder: Path) -> None:
    with pytest.raises(TooLarge, match="more than 3 files"):
        look(pairs(folder), hints=Hints(limits=Limits(files=3)))


def truncated(folder: Path) -> None:
    path = folder / "images" / "s0.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_georeference(folder: Path) -> None:
    image(folder / "images" / "s0.tif", crs=None)


def only_nodata(folder: Path) -> None:
    write(folder / "images" / "s0.tif", np.zeros((2, SIZE, SIZE), "uint16"), ("B02", "B03"), nodata=0)
    write(folder / "images" / "s1.tif", np.ones((2, SIZE, SIZE), "uint16"), ("B02", "B03"), nodata=0,
          transform=UTM @ rasterio.Affine.translation(1000, 0))  # fmt: skip


def empty_label(folder: Path) -> None:
    write(folder / "masks" / "s0.tif", np.full((1, SIZE, SIZE), 255, "uint8"))


def text_as_image(folder: Path) -> None:
    (folder / "images" / "s0.tif").write_text("no picture at all")


def other_bands(folder: Path) -> None:
    image(
        folder / "images" / "s1.tif", names=("B02", "B03", "B04"), transform=UTM @ rasterio.Affine.translation(1000, 0)
    )


def no_band_names(folder: Path) -> None:
    for number in range(2):
        path = folder / "images" / f"s{number}.tif"
        with rasterio.open(path) as dataset:
            profile, pixels = dataset.profile, dataset.read()
        write(path, pixels, transform=profile["transform"])


def label_alone(folder: Path) -> None:
    mask(folder / "masks" / "lonely.tif")


def image_alone(folder: Path) -> None:
    image(folder / "images" / "lonely.tif")


def half_a_pixel(folder: Path) -> None:
    mask(folder / "masks" / "s0.tif", transform=UTM @ rasterio.Affine.translation(0.5, 0.5))


def same_id(folder: Path) -> None:
    for part, make in (("images", image), ("masks", mask)):
        make(folder / part / "S0.tif", transform=UTM @ rasterio.Affine.translation(3000, 0))


def fractions(folder: Path) -> None:
    write(folder / "masks" / "s0.tif", np.full((1, SIZE, SIZE), 0.5, "float32"))


def pictures(folder: Path) -> None:
    (folder / "images" / "s7.jpg").write_bytes(b"\xff\xd8\xff")


BAD = {
    truncated: ("unreadable", "s0.tif", "truncated or damaged"),
    no_georeference: ("unreadable", "s0.tif", "no coordinate system"),
    only_nodata: ("unreadable", "s0.tif", "every pixel is nodata (0)"),
    empty_label: ("no_label", "s0.tif", "leave the file out"),
    text_as_image: ("unreadable", "s0.tif", "not a GeoTIFF"),
    other_bands: ("unlike", "s1.tif differs from s0.tif in bands: 3 and 2"),
    no_band_names: ("no_band_names", "2 bands have no names", "--bands"),
    label_alone: ("no_partner", "lonely.tif", "no image belongs to this label"),
    image_alone: ("no_partner", "lonely.tif", "no label belongs to this image"),
    half_a_pixel: ("grid", "position by 0.5 pixels"),
    same_id: ("name", "the same id 's0'"),
    fractions: ("values", "0.5 (4096 pixels)"),
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_bad_files_are_refused(folder: Path, spoil: Any) -> None:
    spoil(pairs(folder))
    found = look(folder)
    code, *words = BAD[spoil]
    assert code in codes(found)
    for word in words:
        assert word in said(found, code)
    assert found.plan is None
    with pytest.raises(InvalidInput):
        found.usable()


def test_pictures_without_georeference_are_told(folder: Path) -> None:
    pictures(pairs(folder))
    assert "images/s7.jpg" in said(look(folder), "no_georeference")


def test_all_problems_are_told_at_once_with_the_kind_of_the_first(folder: Path) -> None:
    pairs(folder, 3)
    text_as_image(folder)
    (folder / "images" / "s1.tif").write_text("nothing")
    with pytest.raises(InvalidRaster, match=r"2 problems in the files:\n- s0.tif.*\n- s1.tif"):
        look(folder).usable()


def test_images_without_a_date_are_refused(folder: Path) -> None:
    assert "give --datetime" in said(look(pairs(folder), period=None), "no_date")


def test_one_class_is_told(folder: Path) -> None:
    image(folder / "s0.tif")
    outlines(folder / "labels.geojson", (box(0, 0, 9, 9), WATER))
    assert "--background NAME" in said(look(folder), "one_class")
    assert "one_class" not in codes(look(folder, background="land"), "warning")
