"""Presets, legends, caching and the documents around the pixels."""

from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from rio_tiler.models import ImageData
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from terralab.catalog.access.principal import ANONYMOUS
from terralab.tiler.encode import encode
from terralab.tiler.renders import View


def rgba(content: bytes) -> np.ndarray:
    """Return an image whose transparent pixels have no colour."""
    found = np.asarray(Image.open(BytesIO(content)).convert("RGBA")).copy()
    found[found[..., 3] == 0] = 0
    return found


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "uint32"])
@pytest.mark.parametrize("bands", [1, 3])
def test_encoding_equals_titilers(dtype: str, bands: int) -> None:
    values = np.random.default_rng(5).integers(0, 250, (bands, 64, 64)).astype(dtype)
    masked = np.ma.MaskedArray(values, np.broadcast_to(values[:1] < 20, values.shape))
    view = View("x", rescale=((10.0, 200.5),) * bands)
    ours, kind = encode(ImageData(masked.copy()), view, "png")
    theirs, _ = render_image(ImageData(masked.copy()), rescale=view.rescale, output_format=ImageType.png)
    assert kind == "image/png"
    assert np.array_equal(rgba(ours), rgba(theirs))


@pytest.mark.parametrize("classes", [1, 2, 3, 15, 17, 200])
def test_palette_equals_the_colours(classes: int) -> None:
    noise = np.random.default_rng(classes)
    colormap = {value: (*noise.integers(0, 256, 3).tolist(), 255) for value in range(classes)}
    values = noise.integers(0, classes + 3, (1, 40, 40)).astype("uint8")  # some have no colour
    image = np.ma.MaskedArray(values, noise.random(values.shape) < 0.1)
    ours, _ = encode(ImageData(image.copy()), View("x", colormap=colormap), "png")
    theirs, _ = render_image(ImageData(image.copy()), colormap=colormap, output_format=ImageType.png)
    assert np.array_equal(rgba(ours), rgba(theirs))
    assert len(ours) < len(theirs)


def test_request_changes_the_preset(lab) -> None:
    default = lab.picture(f"{lab.SCENE}/preview.png")
    assert np.array_equal(default, lab.picture(f"{lab.SCENE}/preview.png", render="default"))
    grey = lab.picture(f"{lab.SCENE}/preview.png", bidx=4)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert 100 < grey[:, 20:, 0].std() + grey[:, 20:, 0].mean() < 250  # stretched by the band's own statistics
    coloured = lab.picture(f"{lab.SCENE}/preview.png", bidx=4, colormap_name="viridis")
    assert (coloured[..., 0] != coloured[..., 1]).any()
    assert (lab.picture(f"{lab.SCENE}/preview.png", return_mask=False)[..., 3] == 255).all()
    one, three = ({"rescale": given} for given in ("0,3000", ["0,3000"] * 3))
    assert np.array_equal(
        lab.picture(f"{lab.SCENE}/preview.png", **one), lab.picture(f"{lab.SCENE}/preview.png", **three)
    )


def test_item_renders_come_before_the_collections(lab) -> None:
    item = lab.workspace.catalog.item("imagery", "scene-1")
    item["properties"]["renders"] = {
        "infrared": {"title": "Infrared", "assets": ["image"], "bidx": [4], "rescale": [[0, 3000]]},
        "other": {"assets": ["thumbnail"]},
    }
    lab.workspace.catalog.write([], [item])
    lab.client.app.state.lookup.forget()
    assert lab.get(f"{lab.SCENE}/tilejson.json").json()["renders"] == ["default", "infrared"]
    legend = lab.get(f"{lab.SCENE}/legend.json", render="infrared").json()
    assert (legend["type"], legend["band"], legend["maximum"]) == ("ramp", "B08", 3000)
    unknown = lab.get(f"{lab.SCENE}/preview.png", render="other")
    assert unknown.status_code == 404
    assert "default, infrared" in unknown.json()["detail"]
    page = lab.get(f"{lab.SCENE}/map", render="infrared").text
    assert '<option value="infrared" selected>Infrared</option>' in page


def test_asset_without_a_preset_is_shown_by_its_classes_or_bands(lab) -> None:
    for name in ("labels", "imagery"):
        collection = lab.workspace.catalog.collection(name)
        lab.workspace.catalog.write([{**collection, "renders": {}}], [])
    lab.client.app.state.lookup.forget()
    assert len(np.unique(lab.picture(f"{lab.LABELS}/preview.png").reshape(-1, 4), axis=0)) == 4
    assert lab.get(f"{lab.SCENE}/legend.json").json()["title"] == "True color"


def test_legends(lab) -> None:
    entries = lab.get(f"{lab.LABELS}/legend.json").json()["entries"]
    assert [(entry["value"], entry["title"], entry["color"]) for entry in entries] == [
        (0, "Land", "#D2B48C"),
        (1, "Water", "#1F6FB2"),
        (2, "forest", "#2E7D32"),
    ]
    picture = lab.picture(f"{lab.LABELS}/legend.png")[..., :3].reshape(-1, 3)
    for entry in entries:
        assert (picture == list(bytes.fromhex(entry["color"][1:]))).all(1).sum() > 100
    composite = lab.get(f"{lab.SCENE}/legend.json").json()
    assert [band["band"] for band in composite["bands"]] == ["B04", "B03", "B02"]
    assert lab.get(f"{lab.SCENE}/legend.png", bidx=1).headers["content-type"] == "image/png"


def test_answers_are_cached_until_something_changes(lab) -> None:
    path = f"{lab.LABELS}/preview.png"
    first = lab.get(path)
    tag = first.headers["etag"]
    assert "max-age" in first.headers["cache-control"]
    same = lab.client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert lab.get(path, max_size=100).headers["etag"] != tag
    collection = lab.workspace.catalog.collection("labels")
    collection["renders"]["default"]["colormap"]["0"] = [1, 2, 3, 255]
    lab.workspace.catalog.write([collection], [])
    lab.client.app.state.lookup.forget()
    changed = lab.client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.content != first.content


def test_changes_are_seen_within_seconds(lab) -> None:
    lookup = lab.client.app.state.lookup
    first = lookup.entry("labels", "label-1", ANONYMOUS)
    assert lookup._remembered("labels", "label-1", 1) is lookup._remembered("labels", "label-1", 1)
    assert lookup._remembered("labels", "label-1", 2) is not first


def test_tilejson_and_wmts_point_at_tiles(lab) -> None:
    document = lab.get(f"{lab.LABELS}/tilejson.json", render="default", tile_format="webp").json()
    tile = lab.centre(lab.LABELS, document["maxzoom"])
    address = document["tiles"][0].format(z=tile.z, x=tile.x, y=tile.y)
    assert address.startswith("http://testserver/collections/")
    assert lab.client.get(address).headers["content-type"] == "image/webp"
    text = lab.get(f"{lab.LABELS}/WMTSCapabilities.xml").text
    assert len(text) < 10_000
    spaces = {"w": "http://www.opengis.net/wmts/1.0"}
    template = ElementTree.fromstring(text).find(".//w:ResourceURL", spaces).get("template")
    address = template.format(TileMatrix=tile.z, TileCol=tile.x, TileRow=tile.y)
    assert lab.client.get(address).status_code == 200


def test_no_catalog_is_unavailable_and_not_an_error(lab) -> None:
    lab.client.app.state.lookup.close()
    response = lab.get(f"{lab.LABELS}/info")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "postgresql" not in response.text


def test_openapi_names_every_parameter(lab) -> None:
    document = lab.get("/openapi.json").json()
    names = {entry["name"] for path in document["paths"].values() for entry in path["get"]["parameters"]}
    assert {"collection", "item", "asset", "render", "bidx", "rescale", "colormap_name"} <= names
    assert not names & {"url", "expression", "algorithm"}
