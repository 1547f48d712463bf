"""Pixels: the right colours in the right places, and no seams."""

from io import BytesIO

import morecantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer

TMS = morecantile.tms.get("WebMercatorQuad")
TO_UTM = Transformer.from_crs("EPSG:3857", "EPSG:32630", always_xy=True)


def expected_classes(lab, tile, size: int = 256) -> np.ndarray:
    """Return the class under every pixel centre of a tile by the exact transform, 255 outside."""
    left, bottom, right, top = TMS.xy_bounds(tile)
    xs = left + (np.arange(size) + 0.5) * (right - left) / size
    ys = top - (np.arange(size) + 0.5) * (top - bottom) / size
    east, north = TO_UTM.transform(*np.meshgrid(xs, ys))
    columns, rows = np.floor((east - 500000) / 10).astype(int), np.floor((4200000 - north) / 10).astype(int)
    inside = (columns >= 0) & (columns < lab.SIDE) & (rows >= 0) & (rows < lab.SIDE)
    values = lab.class_raster()[np.where(inside, rows, 0), np.where(inside, columns, 0)]
    return np.where(inside, values, 255)


def test_tile_has_the_class_colours_where_the_raster_has_the_classes(lab) -> None:
    middle = lab.centre(lab.LABELS, 14)
    for column, row in ((0, 0), (-1, -1), (1, 1)):  # the middle, and corners with nodata and the raster's edge
        tile = morecantile.Tile(middle.x + column, middle.y + row, 14)
        found = lab.picture(f"{lab.LABELS}/WebMercatorQuad/14/{tile.x}/{tile.y}.png")
        wanted = lab.COLOURS[expected_classes(lab, tile)]
        assert (found == wanted).all(-1).mean() > 0.998  # the transform is exact to a fiftieth of a pixel
        assert found[..., 3].min() in (0, 255)


def test_aligned_raster_comes_back_pixel_by_pixel(lab) -> None:
    values = lab.class_raster(seed=11)
    path = lab.add_labels(values, lab.MERCATOR, "aligned")
    found = lab.picture(f"{path}/WebMercatorQuad/15/16001/12501.png")
    assert np.array_equal(found, lab.COLOURS[values[256:512, 256:512]])
    twice = lab.picture(f"{path}/WebMercatorQuad/15/16001/12501@2x.png")
    assert np.array_equal(twice, np.kron(found, np.ones((2, 2, 1), "uint8")))


@pytest.mark.parametrize("zoom", [13, 14, 16])
@pytest.mark.parametrize("layer", ["LABELS", "SCENE"])
def test_neighbouring_tiles_equal_one_large_image(lab, zoom: int, layer: str) -> None:
    path = getattr(lab, layer)
    first = lab.centre(path, zoom)
    rows = [
        [lab.picture(f"{path}/WebMercatorQuad/{zoom}/{first.x + dx}/{first.y + dy}.png") for dx in (0, 1)]
        for dy in (0, 1)
    ]
    mosaic = np.vstack([np.hstack(row) for row in rows])
    (left, _, _, top), (_, bottom, right, _) = (
        TMS.xy_bounds(morecantile.Tile(first.x + step, first.y + step, zoom)) for step in (0, 1)
    )
    whole = lab.picture(
        f"{path}/bbox/{left},{bottom},{right},{top}/512x512.png", coord_crs="EPSG:3857", dst_crs="EPSG:3857"
    )
    assert np.array_equal(mosaic, whole)
    assert len(np.unique(whole.reshape(-1, 4), axis=0)) > 2


def test_true_colour_is_stretched_by_the_preset_and_nodata_is_transparent(lab) -> None:
    render = lab.workspace.catalog.collection("imagery")["renders"]["default"]
    found = lab.picture(f"{lab.SCENE}/preview.png", width=lab.SIDE, height=lab.SIDE)
    values = lab.scene_raster()[[index - 1 for index in render["bidx"]]].astype(float)
    low, high = np.array(render["rescale"]).T[:, :, None, None]
    wanted = (np.clip(values, low, high) - low) / (high - low) * 255
    assert np.abs(np.moveaxis(found[..., :3], -1, 0) - wanted)[:, :, 9:].max() <= 1
    assert (found[:, :9, 3] == 0).all()
    assert (found[:, 9:, 3] == 255).all()


def test_several_bands_without_a_nodata_value(lab) -> None:
    """Every pixel is valid, and outside the raster the picture is transparent."""
    image = lab.store_cog(lab.scene_raster(seed=5)[:, :300, :300], lab.UTM, None, "valid.tif")
    item = {**lab.scene, "id": "valid", "assets": {"image": {**lab.scene["assets"]["image"], "href": image.href}}}
    item["assets"]["image"] |= {"file:size": image.size, "file:checksum": image.checksum}
    lab.workspace.catalog.write([], [item])
    path = lab.SCENE.replace("scene-1", "valid")
    tile = lab.centre(path, 12)
    alpha = lab.picture(f"{path}/WebMercatorQuad/12/{tile.x}/{tile.y}.png")[..., 3]
    assert set(np.unique(alpha)) == {0, 255}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scale_makes_larger_tiles(lab, scale: int) -> None:
    tile = lab.centre(lab.SCENE, 13)
    assert lab.picture(f"{lab.SCENE}/WebMercatorQuad/13/{tile.x}/{tile.y}@{scale}x.png").shape[:2] == (256 * scale,) * 2


@pytest.mark.parametrize(("suffix", "kind"), [("png", "PNG"), ("webp", "WEBP"), ("jpg", "JPEG")])
def test_formats(lab, suffix: str, kind: str) -> None:
    tile = lab.centre(lab.LABELS, 14)
    for path in (lab.LABELS, lab.SCENE):
        response = lab.get(f"{path}/WebMercatorQuad/14/{tile.x}/{tile.y}.{suffix}")
        assert Image.open(BytesIO(response.content)).format == kind


def test_tif_keeps_values_and_place(lab) -> None:
    tile = lab.centre(lab.LABELS, 14)
    path = f"{lab.SCENE}/WebMercatorQuad/14/{tile.x}/{tile.y}.tif"
    content = lab.get(path, bidx=4, rescale="0,255").content
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        assert dataset.crs.to_epsg() == 3857
        assert dataset.bounds == pytest.approx(tuple(TMS.xy_bounds(tile)))


def test_other_tile_matrix_set_and_resampling(lab) -> None:
    tms = morecantile.tms.get("WorldCRS84Quad")
    tile = tms.tile(-2.96, 37.91, 13)
    assert lab.picture(f"{lab.LABELS}/WorldCRS84Quad/13/{tile.x}/{tile.y}.png")[..., 3].any()
    middle = lab.centre(lab.SCENE, 14)
    near, smooth = (
        lab.picture(f"{lab.SCENE}/WebMercatorQuad/14/{middle.x}/{middle.y}.png", resampling=name).astype(int)
        for name in ("nearest", "bilinear")
    )
    assert (near != smooth).any()
    assert np.abs(near - smooth).mean() < 30


def test_point_gives_values_and_class(lab) -> None:
    lon, lat = Transformer.from_crs("EPSG:32630", "EPSG:4326", always_xy=True).transform(500000 + 3505, 4200000 - 4005)
    found = lab.get(f"{lab.LABELS}/point/{lon},{lat}").json()
    value = int(lab.class_raster()[400, 350])
    assert found["values"] == [value]
    assert found["class"]["name"] == ("land", "water", "forest")[value]
    scene = lab.get(f"{lab.SCENE}/point/{lon},{lat}").json()
    assert scene["values"] == lab.scene_raster()[:, 400, 350].tolist()
    assert scene["band_names"] == ["B02", "B03", "B04", "B08"]


def test_point_without_data_is_null(lab) -> None:
    lon, lat = Transformer.from_crs("EPSG:32630", "EPSG:4326", always_xy=True).transform(500015, 4200000 - 15)
    assert lab.get(f"{lab.LABELS}/point/{lon},{lat}").json()["values"] == [None]


def test_statistics_and_info(lab) -> None:
    found = lab.get(f"{lab.LABELS}/statistics", categorical=True).json()["b1"]
    values, counts = np.unique(lab.class_raster(), return_counts=True)
    assert dict(zip(found["histogram"][1], found["histogram"][0], strict=True)) == dict(
        zip(values[:-1].tolist(), counts[:-1].tolist(), strict=True)
    )
    info = lab.get(f"{lab.SCENE}/info").json()
    assert (info["count"], info["width"], info["nodata_value"]) == (4, lab.SIDE, 0)


def test_raster_without_overviews_and_with_a_mask_band(lab) -> None:
    values = lab.scene_raster(300)[:3]
    profile = {"driver": "GTiff", "count": 3, "height": 300, "width": 300, "dtype": "uint16", "crs": lab.UTM.crs}
    plain = lab.folder / "masked.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(plain, "w", transform=rasterio.Affine(*lab.UTM.transform), **profile) as dataset,
    ):
        dataset.write(values)
        dataset.write_mask(np.pad(np.ones((200, 200), bool), 50))
    path = lab.add_file(plain, "masked")
    found = lab.picture(f"{path}/preview.png", bidx=1, width=300)
    assert (found[..., 3] > 0).sum() == 200 * 200
    tile = lab.centre(path, 13)
    seen = lab.picture(f"{path}/WebMercatorQuad/13/{tile.x}/{tile.y}.png", bidx=1)[..., 3]
    assert 0 < (seen > 0).mean() < 0.5
