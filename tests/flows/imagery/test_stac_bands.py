"""Bands in the items of real catalogs, and in all the ways that catalogs write them."""

from pathlib import Path
from typing import Any

import pytest

from terralab.datasets.imagery.modalities import ProviderCollection, imagery_table
from terralab.flows.imagery.stac_bands import band_sources, cloud_cover, item_grid, period

S2 = imagery_table().modality("S2L2A")
TIFF = "image/tiff; application=geotiff"


@pytest.fixture(scope="module")
def real_items(data_folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet
    from stac_geoparquet.arrow import stac_table_to_items

    return list(stac_table_to_items(pyarrow.parquet.read_table(data_folder / "stac" / "1000-sentinel-2-items.parquet")))


@pytest.mark.parametrize("connector", ["stac", "sentinel_aws"])
def test_every_band_of_a_thousand_real_items_is_its_own_file(real_items: list[dict[str, Any]], connector: str) -> None:
    collection = imagery_table().collection(connector, "S2L2A")
    for item in real_items:
        found, missing = band_sources(item, S2, collection, [*S2.bands, "SCL"])
        assert missing == []
        assert [source.key for source in found] == [*S2.bands, "SCL"]
        assert all(f"_{source.name}_" in source.href for source in found)
        grid = item_grid(item, found)
        assert grid is not None
        assert (grid.transform[0], grid.shape) == (10.0, (10980, 10980))
        assert grid.crs.startswith(("EPSG:326", "EPSG:327"))
        assert 0 <= (cloud_cover(item) or 0) <= 100
        assert period(item)[0].tzinfo is not None


def bands_of(assets: dict[str, Any], *bands: str, **collection: str) -> list[tuple[str, str, int]]:
    named = ProviderCollection(name="x", bands=collection)
    found, _ = band_sources({"assets": assets, "properties": {}}, S2, named, bands)
    return [(source.name, source.key, source.index) for source in found]


def test_a_band_has_many_names() -> None:
    one = {"href": "https://a/1.tif", "type": TIFF}
    assert bands_of({"B04": one}, "B04") == [("B04", "B04", 1)]
    assert bands_of({"red": one}, "B04") == [("B04", "red", 1)]
    assert bands_of({"band4": one}, "B04", B04="band4") == [("B04", "band4", 1)]
    assert bands_of({"x": {**one, "eo:bands": [{"name": "b4", "common_name": "red"}]}}, "B04") == [("B04", "x", 1)]
    several = {"x": {**one, "bands": [{"name": "B03"}, {"name": "B04", "eo:common_name": "red"}]}}
    assert bands_of(several, "B04", "B03") == [("B04", "x#2", 2), ("B03", "x#1", 1)]


def test_pictures_and_other_formats_are_no_bands() -> None:
    listed = {"href": "https://a/1.tif", "type": TIFF, "bands": [{"name": "B04"}]}
    assert bands_of({"visual": listed}, "B04") == []
    assert bands_of({"x": {**listed, "roles": ["thumbnail"]}}, "B04") == []
    assert bands_of({"B04": {**listed, "type": "image/jp2"}}, "B04") == []
    assert bands_of({"B04": {"type": TIFF}}, "B04") == []


def test_values_of_a_band_are_kept_and_nonsense_is_not() -> None:
    asset = {
        "href": "https://a/1.tif",
        "raster:bands": [{"data_type": "uint16", "nodata": 0, "scale": 0.0001, "offset": -0.1}],
        "file:size": 12,
    }
    (source,), _ = band_sources({"assets": {"B04": asset}}, S2, ProviderCollection(name="x"), ["B04"])
    assert (source.data_type, source.nodata, source.size) == ("uint16", 0, 12)
    assert source.values == {"raster:scale": 0.0001, "raster:offset": -0.1}
    wrong = {**asset, "raster:bands": [{"data_type": "words", "nodata": "none", "scale": {}}], "file:size": "much"}
    (source,), _ = band_sources({"assets": {"B04": wrong}}, S2, ProviderCollection(name="x"), ["B04"])
    assert (source.data_type, source.nodata, source.size, source.values) == (None, None, None, {})


@pytest.mark.parametrize(
    "fields", [{}, {"proj:code": "EPSG:32632"}, {"proj:epsg": 32632, "proj:shape": [1, 1]}, {"proj:transform": [1, 0]}]
)
def test_an_item_without_its_grid_has_none(fields: dict[str, Any]) -> None:
    item = {"assets": {"B04": {"href": "https://a/1.tif", **fields}}, "properties": {}}
    assert item_grid(item, band_sources(item, S2, ProviderCollection(name="x"), ["B04"])[0]) is None
