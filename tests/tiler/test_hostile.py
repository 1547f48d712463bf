"""Files that want more than to be looked at. They cannot come through onboarding; here they are stored past it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from starlette.testclient import TestClient

from terralab.catalog.access.secret_files import TOKEN, kept_secret
from terralab.catalog.app import create_app
from terralab.catalog.errors import InvalidRaster
from terralab.datasets.raster_file import open_raster
from terralab.extensions.item import StoredFile
from tests.tiler.conftest import publish_scene, scene_bands, scene_raster

SECRET = 201
RAW_VRT = """<VRTDataset rasterXSize="4" rasterYSize="4"><SRS>EPSG:32630</SRS>
<GeoTransform>500000,10,0,4200000,0,-10</GeoTransform>
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativetoVRT="0">{path}</SourceFilename>
<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>4</LineOffset></VRTRasterBand></VRTDataset>"""
MRF = """<MRF_META><CachedSource><Source>{path}</Source></CachedSource><Raster><Size x="256" y="256" c="1"/>
<DataFile>{canary}</DataFile><IndexFile>{canary}.idx</IndexFile></Raster></MRF_META>"""


def tiff(path: Path, lab, values: np.ndarray | None = None, **tags: dict) -> Path:
    """Write a GeoTIFF, by default 600 × 600 of 7, with tags by metadata domain."""
    data = np.full((1, 600, 600), 7, "uint8") if values is None else values
    profile = {"driver": "GTiff", "count": len(data), "height": data.shape[1], "width": data.shape[2]}
    place = {"crs": lab.UTM.crs, "transform": Affine(*lab.UTM.transform)}
    with rasterio.open(path, "w", dtype=data.dtype, **profile, **place) as dataset:
        dataset.write(data)
        for domain, items in tags.items():
            dataset.update_tags(ns=domain, **items)
    return path


def secret_raster(lab) -> Path:
    return tiff(lab.folder / "secret.tif", lab, np.full((1, 600, 600), SECRET, "uint8"))


def asked_everything(lab, root: str) -> list:
    """Ask for all that reads pixels, in full and reduced."""
    paths = ["preview.png?max_size=64&bidx=1", "preview.tif?bidx=1", "WebMercatorQuad/8/125/98.png", "info", "map"]
    paths += ["statistics?max_size=32", "point/-2.99,37.94", "bbox/-3,37.9,-2.95,37.94/16x16.png", "tilejson.json"]
    return [lab.client.get(f"{root}/{path}") for path in paths]


def assert_refused(lab, root: str, statuses: tuple[int, ...] = (404, 422)) -> None:
    for response in asked_everything(lab, root):
        assert response.status_code in statuses, (response.url, response.text[:300])
        assert response.headers["content-type"] == "application/problem+json"
        assert str(lab.folder) not in response.text


def test_text_named_tif(lab) -> None:
    path = lab.folder / "text.tif"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n" * 100)
    root = lab.add_file(path, "text")
    assert_refused(lab, root)
    assert "not a TIFF" in lab.get(f"{root}/info").json()["detail"]


@pytest.mark.parametrize("content", [RAW_VRT, MRF, "GTIFF_DIR:1:{path}", "vrt://{path}", "<GDAL_WMS></GDAL_WMS>"])
def test_instructions_instead_of_pixels(lab, content: str) -> None:
    secret, canary = secret_raster(lab), lab.folder / "canary"
    path = lab.folder / "evil.tif"
    path.write_text(content.format(path=secret, canary=canary))
    assert_refused(lab, lab.add_file(path, "evil"))
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["tiff", "vrt file", "vrt text", "address", "mrf"])
def test_overviews_in_other_files_are_not_followed(lab, kind: str) -> None:
    secret, canary = secret_raster(lab), lab.folder / "canary"
    vrt = lab.folder / "other.vrt"
    vrt.write_text(RAW_VRT.format(path=secret))
    small = tiff(lab.folder / "small.tif", lab, np.full((1, 300, 300), SECRET, "uint8"))
    named = {
        "tiff": str(small),
        "vrt file": str(vrt),
        "vrt text": RAW_VRT.format(path=secret),
        "address": "/vsicurl/http://127.0.0.1:9/x.tif",
        "mrf": MRF.format(path=secret, canary=canary),
    }[kind]
    evil = tiff(lab.folder / "evil.tif", lab, OVERVIEWS={"OVERVIEW_FILE": named})
    if kind == "tiff":  # what is refused is a real danger: a plain reduced read shows the other file
        with rasterio.open(evil, driver="GTiff") as dataset:
            assert (dataset.read(1, out_shape=(64, 64)) == SECRET).all()
    root = lab.add_file(evil, "evil")
    assert_refused(lab, root)
    assert "refers to other files" in lab.get(f"{root}/info").json()["detail"]
    assert not canary.exists()


def test_an_uploaded_file_is_opened_as_any_strangers(lab) -> None:
    evil = tiff(lab.folder / "evil.tif", lab, OVERVIEWS={"OVERVIEW_FILE": str(secret_raster(lab))})
    settings = lab.workspace.settings
    token = {"Authorization": f"Bearer {kept_secret(settings.secrets_folder, TOKEN)}"}
    with TestClient(create_app(settings)) as web:
        answer = web.post("/files?name=image.tif", content=evil.read_bytes(), headers=token)
        assert answer.status_code == 201, answer.text
    stored = StoredFile(**answer.json())
    publish_scene(lab.workspace, stored, scene_bands(scene_raster(50)), "evil")
    assert_refused(lab, "/collections/imagery/items/evil/assets/image")
    with pytest.raises(InvalidRaster, match="other files"), open_raster(lab.workspace.store.verify(stored.href)):
        pass


def test_geolocation_arrays_in_other_files_are_not_followed(lab) -> None:
    domain = {"X_DATASET": str(secret_raster(lab)), "Y_DATASET": str(secret_raster(lab)), "X_BAND": "1", "Y_BAND": "1"}
    assert_refused(lab, lab.add_file(tiff(lab.folder / "evil.tif", lab, GEOLOCATION=domain), "evil"))


def test_sidecar_files_are_not_read(lab) -> None:
    root = lab.add_file(tiff(lab.folder / "plain.tif", lab), "plain")
    stored = lab.workspace.store.open_path(lab.workspace.catalog.item("imagery", "plain")["assets"]["image"]["href"])
    domain = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{secret_raster(lab)}</MDI></Metadata>'
    Path(f"{stored}.aux.xml").write_text(f"<PAMDataset>{domain}</PAMDataset>")
    Path(f"{stored}.ovr").write_text(RAW_VRT.format(path=secret_raster(lab)))
    found = lab.get(f"{root}/statistics", max_size=32).json()["b1"]
    assert (found["min"], found["max"]) == (7, 7)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "removed"])
def test_damaged_bytes_are_never_shown(lab, damage: str) -> None:
    # uncompressed, so that GDAL would read a flipped byte without a word
    root = lab.add_file(tiff(lab.folder / "plain.tif", lab), "plain")
    assert lab.get(f"{root}/preview.png", bidx=1).status_code == 200
    stored = lab.workspace.store.open_path(lab.workspace.catalog.item("imagery", "plain")["assets"]["image"]["href"])
    content = stored.read_bytes()
    stored.unlink()
    if damage != "removed":
        middle = len(content) // 2
        half = content[:middle]
        stored.write_bytes(
            half if damage == "truncated" else half + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        )
    for response in asked_everything(lab, root):
        assert (response.status_code, response.json()["code"]) == (502, "asset_corrupt"), response.url
        assert str(lab.folder) not in response.text


def test_file_that_was_incomplete_when_it_was_stored(lab) -> None:
    whole = tiff(lab.folder / "whole.tif", lab, np.random.default_rng(0).integers(0, 255, (1, 600, 600), "uint8"))
    cut = lab.folder / "cut.tif"
    cut.write_bytes(whole.read_bytes()[:200_000])
    root = lab.add_file(cut, "cut")
    assert lab.get(f"{root}/preview.png", bidx=1).json()["code"] in ("asset_corrupt", "invalid_raster")


@pytest.mark.parametrize(
    ("dtype", "fill", "status"),
    [
        ("float32", np.nan, 200),
        ("float32", np.inf, 200),
        ("float64", -9999, 200),
        ("complex64", 1, 422),
        ("int8", -3, 200),
    ],
)
def test_odd_values(lab, dtype: str, fill: float, status: int) -> None:
    path = tiff(lab.folder / "odd.tif", lab, np.full((1, 100, 100), fill, dtype))
    root = lab.add_file(path, "odd")
    for name in (
        "preview.png?bidx=1",
        "preview.webp?bidx=1&rescale=0,1",
        "statistics?bidx=1",
        "point/-2.999,37.9470?bidx=1",
    ):
        response = lab.client.get(f"{root}/{name}")
        assert response.status_code == status, (name, response.text)


def test_raster_without_a_place_on_earth(lab) -> None:
    path = lab.folder / "nowhere.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=50, width=50, dtype="uint8") as dataset:
        dataset.write(np.ones((1, 50, 50), "uint8"))
    assert_refused(lab, lab.add_file(path, "nowhere"))


def test_degrees_that_claim_to_be_metres_and_places_beyond_the_world(lab) -> None:
    for id, crs, transform in [
        ("tagged-utm", "EPSG:32630", Affine(0.001, 0, -3, 0, -0.001, 38)),
        ("beyond", "EPSG:3857", Affine(1e6, 0, 1e8, 0, -1e6, 1e8)),
        ("polar", "EPSG:4326", Affine(3.6, 0, -180, 0, -1.8, 90)),
        ("pacific", "EPSG:32701", Affine(10000, 0, 100000, 0, -10000, 9000000)),
    ]:
        path = lab.folder / f"{id}.tif"
        profile = {"driver": "GTiff", "count": 1, "height": 100, "width": 100, "dtype": "uint8"}
        with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as dataset:
            dataset.write(np.ones((1, 100, 100), "uint8"))
        root = lab.add_file(path, id)
        for response in [*asked_everything(lab, root), lab.get(f"{root}/WebMercatorQuad/0/0/0.png", bidx=1)]:
            assert response.status_code in (200, 404, 422), (id, response.url, response.text)


def test_asset_that_is_no_raster_or_not_in_the_store(lab) -> None:
    item = lab.workspace.catalog.item("labels", "label-1")
    item["assets"]["raster_labels"]["type"] = "image/png"
    lab.workspace.catalog.write([], [item])
    assert lab.get(f"{lab.LABELS}/info").status_code == 422
    for href in (
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:9/x.tif",
        "asset://../../etc/passwd",
        "asset://12/x",
    ):
        evil = {**item, "id": "evil"}
        evil["assets"] = {"raster_labels": {**item["assets"]["raster_labels"], "type": "image/tiff", "href": href}}
        lab.workspace.catalog.write([], [evil])
        lab.client.app.state.lookup.forget()
        response = lab.get(lab.LABELS.replace("label-1", "evil") + "/info")
        assert response.status_code == 422, (href, response.text)
        assert "passwd" not in response.text
