"""Which models can look at which data."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from terralab.extensions.bands import SENTINEL_2
from terralab.extensions.matching import WEIGHTS, Need, Offer, OfferedBand, match
from terralab.extensions.matching_items import gsd_of_item, need_of_model, offer_of_item, sensor_family

COMMON = {band.name: band.common_name for band in SENTINEL_2}
NEED = Need((("B02", "blue"), ("B8A", "nir08")), 10, "sentinel-2", ("semantic-segmentation",), box(0, 0, 2, 2), 0.8)
LANDSAT = Offer(
    (OfferedBand("B2", "blue"), OfferedBand("B5", "nir08"), OfferedBand("B8", "pan")), 30, "landsat-8", box(1, 1, 3, 3)
)


def sentinel(*names: str) -> Offer:
    return Offer(tuple(OfferedBand(name, COMMON[name], "image") for name in names), 10, "sentinel-2", box(0, 0, 1, 1))


def test_the_same_sensor_by_name() -> None:
    found = match(NEED, sentinel("B01", "B02", "B8A"))
    assert found.fits
    assert [(pair.needed, pair.offered, pair.by) for pair in found.bands] == [
        ("B02", "B02", "name"),
        ("B8A", "B8A", "name"),
    ]
    assert (found.gsd_ratio, found.overlap, found.one_asset) == (1.0, 1.0, "image")
    assert found.reasons == (
        "has all 2 bands",
        "pixels of 10 m, learned from 10 m",
        "same sensor, sentinel-2",
        "100% of the area is where it learned",
        "test mIoU 0.800",
    )


def test_another_sensor_by_common_name() -> None:
    found = match(NEED, LANDSAT)
    assert [(pair.needed, pair.offered, pair.by) for pair in found.bands] == [
        ("B02", "B2", "name"),
        ("B8A", "B5", "common_name"),
    ]
    assert 0 < found.score < match(NEED, sentinel("B02", "B8A")).score
    assert "another sensor: landsat-8, learned from sentinel-2" in found.reasons
    assert found.overlap == 0.25


def test_one_name_of_two_sensors_is_not_one_band() -> None:
    rededge = replace(NEED, bands=(("B05", "rededge071"),))
    assert match(rededge, LANDSAT).missing == ("B05",)  # Landsat's B5 is near infrared
    unnamed = Offer((OfferedBand("B5"),), 30, "landsat-8")
    assert not match(rededge, unnamed).fits
    assert match(rededge, replace(unnamed, sensor="sentinel-2", gsd=10)).fits
    assert match(rededge, replace(unnamed, sensor=None, gsd=10)).fits


def test_what_is_missing_is_named() -> None:
    found = match(NEED, sentinel("B02", "B03"))
    assert not found.fits
    assert (found.missing, found.reasons, found.score) == (("B8A",), ("lacks B8A",), 0.0)


@pytest.mark.parametrize(("gsd", "fits"), [(2.4, False), (2.5, True), (40, True), (41, False), (None, True)])
def test_pixels_of_quite_another_size_do_not_fit(gsd: float | None, fits: bool) -> None:
    assert match(NEED, replace(sentinel("B02", "B8A"), gsd=gsd)).fits is fits


def test_a_model_that_reads_no_bands_fits_nothing() -> None:
    assert not match(Need(()), sentinel("B02")).fits


def test_what_ranks_higher() -> None:
    offer = sentinel("B02", "B8A")
    plain = match(NEED, offer).score
    assert match(replace(NEED, aliases=("production",)), offer).score > plain
    assert match(replace(NEED, metric=0.9), offer).score > plain > match(replace(NEED, metric=None), offer).score
    assert match(replace(NEED, area=box(5, 5, 6, 6)), offer).score < plain
    assert match(replace(NEED, deprecated=True), offer).score == pytest.approx(plain / 2, abs=1e-3)
    assert sum(WEIGHTS.values()) == pytest.approx(1)


BANDS = st.tuples(
    st.sampled_from(["B02", "b2", "B2", "blue", "B05", "B5", "B8A", "VV", "x"]),
    st.sampled_from([None, "blue", "nir08", "rededge071"]),
)


@given(
    needed=st.lists(BANDS, max_size=5, unique_by=lambda band: band[0]),
    offered=st.lists(BANDS, max_size=6),
    sensors=st.tuples(*[st.sampled_from([None, "sentinel-2", "landsat-8"])] * 2),
    sizes=st.tuples(*[st.none() | st.floats(0.1, 1000)] * 2),
)
def test_a_model_with_a_missing_band_never_fits(needed: list, offered: list, sensors: tuple, sizes: tuple) -> None:
    need = Need(tuple(needed), sizes[0], sensors[0])
    offer = Offer(
        tuple(OfferedBand(*band, asset=str(place)) for place, band in enumerate(offered)), sizes[1], sensors[1]
    )
    found = match(need, offer)
    assert {pair.needed for pair in found.bands} | set(found.missing) == {name for name, _ in needed}
    assert len({pair.asset for pair in found.bands}) == len(found.bands)  # no band feeds two
    assert 0 <= found.score <= 1
    if found.fits:
        assert [pair.needed for pair in found.bands] == [name for name, _ in needed]
        assert needed
    if needed and len(offered) < len(needed):
        assert not found.fits


@given(st.lists(st.sampled_from(sorted(COMMON)), min_size=1, unique=True), st.randoms())
def test_the_bands_that_it_learned_from_always_fit(names: list[str], random: object) -> None:
    need = Need(tuple((name, COMMON[name]) for name in names), 10, "sentinel-2")
    shuffled = sorted(names, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert match(need, sentinel(*shuffled)).fits


def item(assets: dict, **properties: object) -> dict:
    return {"properties": properties, "assets": assets, "geometry": None}


def test_what_an_item_offers() -> None:
    found = offer_of_item(
        item(
            {
                "blue": {"roles": ["data"], "eo:bands": [{"name": "blue", "common_name": "blue"}]},
                "red": {"bands": [{"name": "B04", "eo:common_name": "red"}]},
                "visual": {"roles": ["visual"], "bands": [{"name": "B02"}]},
                "thumbnail": {"roles": ["thumbnail"], "bands": [{"name": "B03"}]},
            },
            platform="Sentinel-2B",
        )
    )
    assert found.bands == (OfferedBand("blue", "blue", "blue"), OfferedBand("B04", "red", "red"))
    assert found.sensor == "sentinel-2"


@pytest.mark.parametrize(
    ("fields", "gsd"),
    [
        ({"gsd": 20, "proj:code": "EPSG:32630", "proj:transform": [10, 0, 0, 0, -10, 0]}, 20),
        ({"proj:code": "EPSG:32630", "proj:transform": [10, 0, 0, 0, -10, 0]}, 10),
        ({"proj:code": "EPSG:4326", "proj:transform": [0.0001, 0, 0, 0, -0.0001, 0]}, pytest.approx(11.132)),
        ({"proj:code": "EPSG:2227", "proj:transform": [10, 0, 0, 0, -10, 0]}, pytest.approx(3.048, abs=1e-3)),
        ({}, None),
    ],
)
def test_size_of_pixels(fields: dict, gsd: object) -> None:
    assert gsd_of_item(item({}, **fields)) == gsd


def test_what_a_model_needs() -> None:
    inputs = [{"bands": ["B02", {"name": "VV"}]}, {"bands": ["B02"]}]
    described = [{"name": "B02", "eo:common_name": "blue", "gsd": 10}]
    model = item({}, **{"mlm:input": inputs, "bands": described})
    assert need_of_model(model).bands == (("B02", "blue"), ("VV", None))
    assert (need_of_model(model).gsd, need_of_model(model).sensor) == (10, None)


def test_families() -> None:
    assert [sensor_family(name) for name in ("Sentinel-1A", "sentinel_2c", "LANDSAT 9")] == [
        "sentinel-1",
        "sentinel-2",
        "landsat-9",
    ]
