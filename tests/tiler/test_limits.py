"""Whatever is asked, the answer is an image or a problem document, and never large work or a server error."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TILE = "WebMercatorQuad/14/{x}/{y}"


REFUSED = [
    ("preview.png", {"max_size": 2049}, "max_size"),
    ("preview.png", {"width": 20000, "height": 20000}, "width"),
    ("preview.png", {"bidx": 9}, "band 9"),
    ("preview.png", {"bidx": 0}, "bidx"),
    ("preview.png", {"bidx": [1] * 17}, "bidx"),
    ("preview.png", {"expression": "b1"}, "expression"),
    ("preview.png", {"url": "/etc/passwd"}, "url"),
    ("preview.png", {"algorithm": "hillshade"}, "algorithm"),
    ("preview.png", {"color_formula": "gamma r 1"}, "color_formula"),
    ("preview.png", {"rescale": "nan,inf"}, "rescale"),
    ("preview.png", {"rescale": "5"}, "rescale"),
    ("preview.png", {"rescale": "9,1"}, "rescale"),
    ("preview.png", {"rescale": ["0,1", "0,2"]}, "rescale"),
    ("preview.png", {"colormap_name": "no-such"}, "colormap_name"),
    ("preview.png", {"nodata": -1}, "nodata"),
    ("preview.png", {"resampling": "gauss"}, "resampling"),
    ("preview.png", {"render": "x" * 9000}, "8192"),
    ("preview.exe", {}, "format"),
    ("statistics", {"histogram_bins": 1025}, "histogram_bins"),
    ("statistics", {"max_size": 100000}, "max_size"),
    (f"{TILE}.png", {"tilesize": 1025}, "tilesize"),
    (f"{TILE}.png", {"buffer": 64.5}, "buffer"),
    (f"{TILE}.png", {"buffer": 0.3}, "buffer"),
    (f"{TILE}@5x.png", {}, "scale"),
    ("Unknown/1/1/1.png", {}, "tms"),
    ("bbox/-3,37.9,-2.9,38/8000x8000.png", {}, "width"),
    ("bbox/-2.9,37.9,-3,38.png", {}, "bbox"),
    ("bbox/nan,37.9,-2.9,38.png", {}, "bbox"),
    ("bbox/-2.96,37.8,-2.95999,38/2048x1.png", {"max_size": 0}, "max_size"),
    ("bbox/-3,37.9,-2.9,38.png", {"coord_crs": "/etc/passwd"}, "coord_crs"),
    ("bbox/-3,37.9,-2.9,38.png", {"dst_crs": "EPSG:1"}, "dst_crs"),
    ("bbox/-3,37.9,-2.9,38.png", {"dst_crs": "EPSG:999999"}, "dst_crs"),
    ("point/0,500", {}, "lat"),
    ("point/nan,0", {}, "lon"),
]


def test_refused_with_the_parameter_named(lab) -> None:
    tile = lab.centre(lab.LABELS, 14)
    for path, params, word in REFUSED:
        response = lab.get(f"{lab.LABELS}/{path.format(x=tile.x, y=tile.y)}", **params)
        assert response.status_code == 422, (path, params, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        assert word in response.json()["detail"]


ABSENT = [
    ("WebMercatorQuad/14/0/0.png", "tile_outside_bounds"),
    ("WebMercatorQuad/99/0/0.png", "tile_outside_bounds"),
    ("WebMercatorQuad/-1/0/0.png", "tile_outside_bounds"),
    ("WebMercatorQuad/2/9/0.png", "tile_outside_bounds"),
    (f"WebMercatorQuad/24/{10**40}/-5.png", "tile_outside_bounds"),
    ("point/0,0", "point_outside_bounds"),
    ("preview.png?render=night", "unknown_name"),
]


def test_absent(lab) -> None:
    for path, code in ABSENT:
        response = lab.client.get(f"{lab.LABELS}/{path}")
        assert (response.status_code, response.json()["code"]) == (404, code), path


UNKNOWN = [
    "/collections/labels/items/nothing/assets/raster_labels/info",
    "/collections/nothing/items/label-1/assets/raster_labels/info",
    "/collections/labels/items/label-1/assets/nothing/info",
    "/collections/labels/items/..%2f..%2fetc/assets/passwd/info",
    "/collections/labels/items/label-1%00/assets/raster_labels/info",
    "/collections/LABELS/items/%E2%80%AE/assets/x/info",
    "/collections/labels/items/" + "a" * 5000 + "/assets/x/info",
    "/cog/info?url=/etc/passwd",
]


def test_what_the_catalog_does_not_have_is_not_found(lab) -> None:
    for path in UNKNOWN:
        assert lab.client.get(path).status_code == 404, path


def test_thin_box_cannot_become_a_huge_image(lab) -> None:
    response = lab.get(f"{lab.SCENE}/bbox/-2.96,37.89,-2.9599999,37.94.png", width=2048)
    assert response.status_code == 422
    assert "at most 2048" in response.json()["detail"]


@pytest.mark.timeout(60)
def test_box_far_larger_than_the_raster_is_no_work(lab) -> None:
    for box in ("0,80,170,90", "-180,-90,180,90", "-4,-80,-2,80"):  # rio-tiler warps these for many minutes
        for method in ("nearest", "bilinear", "average"):
            response = lab.get(f"{lab.SCENE}/bbox/{box}/64x64.webp", resampling=method)
            assert response.status_code in (200, 404, 422)


NUMBERS = st.one_of(
    st.integers(-5, 40), st.integers(), st.floats(), st.sampled_from(["", "nan", "1e999", "0x1", "١", "\x00", "5,6"])
)
VALUES = {
    "render": st.sampled_from(["default", "", "nope", "\x00", "𝔡"]),
    "bidx": st.lists(NUMBERS, max_size=5),
    "rescale": st.lists(
        st.one_of(st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{pair[0]},{pair[1]}"), st.text(max_size=8)), max_size=3
    ),
    "colormap_name": st.sampled_from(["viridis", "gray", "cfastie", "terrain", "nope", ""]),
    "nodata": NUMBERS,
    "resampling": st.sampled_from(["nearest", "bilinear", "cubic", "average", "mode", "lanczos", "rms", ""]),
    "return_mask": st.sampled_from(["true", "false", "maybe"]),
    "max_size": NUMBERS,
    "width": NUMBERS,
    "height": NUMBERS,
    "tilesize": NUMBERS,
    "buffer": NUMBERS,
    "coord_crs": st.sampled_from(["EPSG:4326", "EPSG:3857", "EPSG:32630", "EPSG:4979", "EPSG:5773", "nope"]),
    "dst_crs": st.sampled_from(["EPSG:4326", "EPSG:3857", "EPSG:32701", "EPSG:4978", "EPSG:3031", "EPSG:0000"]),
    "categorical": st.booleans(),
    "histogram_bins": NUMBERS,
    "tile_format": st.sampled_from(["png", "tif", "npy"]),
    "expression": st.just("b1/b2"),
}
SMALL = st.integers(-3, 30)
PATHS = st.one_of(
    st.tuples(SMALL, NUMBERS, NUMBERS).map(lambda parts: "WebMercatorQuad/{}/{}/{}.png".format(*parts)),
    st.tuples(st.integers(9, 16), st.sampled_from(["png", "webp", "jpg", "tif"])).map(lambda parts: ("tile", *parts)),
    st.sampled_from(["png", "webp", "jpg", "jpeg", "tif", "npy"]).map("preview.{}".format),
    st.tuples(*[NUMBERS] * 4).map(lambda parts: "bbox/{},{},{},{}.png".format(*parts)),
    st.sampled_from(["bbox/-3,37.9,-2.95,37.93.png", "bbox/-180,-90,180,90.png", "bbox/0,80,170,90/64x64.webp"]),
    st.tuples(NUMBERS, NUMBERS).map(lambda parts: "point/{},{}".format(*parts)),
    st.sampled_from(
        ["statistics", "info", "legend.json", "legend.png", "tilejson.json", "WMTSCapabilities.xml", "map"]
    ),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=PATHS,
    params=st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
    ),
    layer=st.sampled_from(["SCENE", "LABELS"]),
)
def test_no_request_makes_a_server_error(lab, path, params: dict, layer: str) -> None:
    root = getattr(lab, layer)
    if isinstance(path, tuple):
        _, zoom, suffix = path
        tile = lab.centre(root, zoom)
        path = f"WebMercatorQuad/{zoom}/{tile.x}/{tile.y}.{suffix}"
    response = lab.get(f"{root}/{path}".replace("\x00", "%00"), **params)
    assert response.status_code in (200, 404, 422), (path, params, response.text)
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
