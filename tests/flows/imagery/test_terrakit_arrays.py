"""Arrays as TerraKit's connectors give them, as pixels with north up on an even grid."""

from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401  # gives arrays `.rio`
import xarray as xr

from terralab.flows.imagery.terrakit_worker import plain

VALUES = np.arange(24, dtype=float).reshape(2, 1, 3, 4)


def test_weather_has_latitudes_from_south_to_north() -> None:
    found = xr.DataArray(
        VALUES,
        dims=("bands", "time", "latitude", "longitude"),
        coords={"latitude": [50.0, 50.04, 50.08], "longitude": [9.0, 9.04, 9.08, 9.12]},
    )
    pixels, facts = plain(found, "TheWeatherCompany", 0.04)
    np.testing.assert_array_equal(pixels, VALUES[:, 0, ::-1])
    assert facts["crs"] == "EPSG:4326"
    assert facts["transform"] == pytest.approx([0.04, 0, 8.98, 0, -0.04, 50.1])
    assert facts["nodata"] is None


@pytest.mark.parametrize(("connector", "corner"), [("sentinelhub", (8.5, 50.5)), ("sentinel_aws", (9.0, 50.0))])
def test_places_are_centres_but_for_stackstac(connector: str, corner: tuple[float, float]) -> None:
    found = xr.DataArray(
        VALUES.transpose(1, 0, 2, 3),
        dims=("time", "band", "y", "x"),
        coords={"y": [50.0, 49.0, 48.0], "x": [9.0, 10.0, 11.0, 12.0]},
    )
    found = found.rio.write_crs("EPSG:32632").rio.write_nodata(-9999)
    pixels, facts = plain(found, connector, None)
    np.testing.assert_array_equal(pixels, VALUES[:, 0])
    assert (facts["transform"][2], facts["transform"][5]) == corner
    assert (facts["crs"], facts["nodata"]) == ("EPSG:32632", "-9999.0")


def array(ys: list[float], xs: list[float]) -> Any:
    shape = (1, len(ys), len(xs))
    return xr.DataArray(np.zeros(shape), dims=("band", "y", "x"), coords={"y": ys, "x": xs})


def test_one_pixel_takes_its_size_from_the_table() -> None:
    assert plain(array([50.0], [9.0]), "TheWeatherCompany", 0.5)[1]["transform"] == [0.5, 0.0, 8.75, 0.0, -0.5, 50.25]
    with pytest.raises(ValueError, match="larger area"):
        plain(array([50.0], [9.0]), "sentinelhub", None)


def test_uneven_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="even grid"):
        plain(array([3.0, 2.0, 0.5], [1.0, 2.0]), "sentinelhub", None)
