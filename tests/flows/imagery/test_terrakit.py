"""TerraKit's connectors, in their own process, against a second lab on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from terralab.catalog.errors import InvalidInput, ServiceUnavailable, SetupProblem, TooLarge
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.datasets.imagery.area import area_of_box, places_of
from terralab.datasets.imagery.modalities import imagery_table
from terralab.datasets.imagery.request import ImageryRequest
from terralab.flows.imagery.finding import find_imagery
from terralab.flows.imagery.providers import provider_of
from terralab.flows.imagery.terrakit_reads import TerrakitReads
from tests.flows.imagery.conftest import Provider, ingest
from tests.flows.imagery.plain_web import Answer, Web, reply
from tests.flows.imagery.provider_lab import PLACE

WITH_CREDENTIALS = [name for name, entry in imagery_table().connectors.items() if entry.credentials]


@pytest.mark.parametrize("name", WITH_CREDENTIALS)
def test_missing_credentials_are_named(name: str, monkeypatch: pytest.MonkeyPatch, box: list[float]) -> None:
    connector = imagery_table().connectors[name]
    for variable in connector.credentials:
        monkeypatch.delenv(variable, raising=False)
    modality = next(iter(connector.collections), "S2L2A")
    request = ImageryRequest(
        modalities=[modality], area=area_of_box(box), dates="2024-05-01", connector=name, collections={modality: "some"}
    )
    with pytest.raises(SetupProblem) as caught:
        find_imagery(Settings(), request)
    assert all(variable in str(caught.value) for variable in connector.credentials)
    monkeypatch.setenv(connector.credentials[0], "there")
    if len(connector.credentials) > 1:
        with pytest.raises(SetupProblem) as caught:
            provider_of(Settings().imagery, name)
        assert f"{connector.credentials[0]}," not in str(caught.value)


def test_all_of_terrakits_connectors_of_the_table_are_terrakits() -> None:
    """The table's names are those that TerraKit knows, and its collections and bands are in TerraKit's list."""
    check = """
import json, sys
from terralab.datasets.imagery.modalities import imagery_table
from terrakit.validate.data_connector import ConnectorType
from terrakit.download.geodata_utils import load_and_list_collections
known = ConnectorType.model_fields["connector_type"].annotation.__args__
wrong = []
for name, entry in imagery_table().connectors.items():
    if name == "stac":
        continue
    if name not in known:
        wrong.append(name)
    theirs = {c["collection_name"]: {b["band_name"] for b in c["bands"]}
              for c in load_and_list_collections(as_json=True, connector_type=name)}
    for modality, collection in entry.collections.items():
        bands = {collection.bands.get(b, b) for b in imagery_table().modality(modality).bands}
        wrong += [f"{name}/{collection.name}/{b}" for b in bands - theirs.get(collection.name, set())]
sys.exit(", ".join(wrong) or None)
"""
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]


def test_flow_and_command_line_do_not_load_terrakit() -> None:
    check = "import sys, terralab.flows.ingest, terralab.infra.cli.imagery; sys.exit(int('terrakit' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True).returncode == 0


def test_the_labs_connector_is_one_of_terrakits(
    provider: Provider, lab_here: Workspace, box: list[float], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_LAB", "not for TerraKit")
    before = {name: value for name, value in os.environ.items() if name.startswith(("GDAL", "CPL", "AWS"))}
    outcome = ingest(
        lab_here,
        modalities=["S2L2A"],
        area=area_of_box(box),
        dates="2024-05-05",
        bands={"S2L2A": ["B04", "B03"]},
        engine="terrakit",
    )
    assert {name: value for name, value in os.environ.items() if name.startswith(("GDAL", "CPL", "AWS"))} == before
    item = lab_here.catalog.item(*outcome.produced[0])
    assert item["properties"]["lab:params"]["provider"]["items"] == ["s2l2a-05"]
    assert item["properties"]["eo:cloud_cover"] == 10
    with rasterio.open(lab_here.store.verify(item["assets"]["image"]["href"])) as fetched:
        pixels, transform, crs = fetched.read(), fetched.transform, fetched.crs
    with rasterio.open(data_folder / "terramesh" / "S2L2A" / f"{PLACE}.tif") as source:
        assert crs == source.crs
        column, row = (round(number) for number in ~source.transform @ (transform.c, transform.f))
        window = rasterio.windows.Window(column, row, pixels.shape[2], pixels.shape[1])
        np.testing.assert_array_equal(pixels, source.read([4, 3], window=window) + 5)


def earth_search(answer: dict[str, Any]) -> dict[str, Any]:
    """Make the provider's items look like those of Earth Search: an asset for a band, and `proj:epsg`."""
    for item in answer["features"]:
        item["assets"].pop("image")
        properties = item["properties"]
        properties["proj:epsg"] = int(properties["proj:code"].removeprefix("EPSG:"))
    return answer


def test_sentinel_aws_through_terrakit(
    provider: Provider, workspace: Workspace, box: list[float], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRALAB_IMAGERY_ENDPOINTS", f"sentinel_aws={provider.url}/stac")
    provider.door.change = earth_search
    outcome = ingest(
        Workspace(Settings()),
        connector="sentinel_aws",
        engine="terrakit",
        modalities=["S2L2A"],
        area=area_of_box(box),
        dates="2024-05-01/2024-05-10",
        bands={"S2L2A": ["B04"]},
    )
    item = workspace.catalog.item(*outcome.produced[0])
    assert item["properties"]["datetime"] == "2024-05-05T10:00:00Z"
    assert item["properties"]["proj:code"] == "EPSG:4326"
    # TerraKit's pixels are where the lab says they are: each has the value of the provider's pixel at its centre.
    with rasterio.open(workspace.store.verify(item["assets"]["image"]["href"])) as fetched:
        pixels, place = fetched.read(1), fetched.transform
    rows, columns = np.indices(pixels.shape)
    with rasterio.open(data_folder / "terramesh" / "S2L2A" / f"{PLACE}.tif") as source:
        xs, ys = transform("EPSG:4326", source.crs, *(place @ (columns.ravel() + 0.5, rows.ravel() + 0.5)))
        theirs = source.read(4) + 5
        column, row = ~source.transform @ (np.array(xs), np.array(ys))
    agree = theirs[np.floor(row).astype(int), np.floor(column).astype(int)] == pixels.ravel()
    assert agree.mean() > 0.98
    west, south, east, north = item["bbox"]
    assert west <= box[0] + 1e-4
    assert east >= box[2] - 1e-4
    assert south <= box[1] + 1e-4
    assert north >= box[3] - 1e-4
    statistics = item["assets"]["image"]["bands"][0]["statistics"]
    assert 0 < statistics["mean"] < 10_000


def test_terrakit_opens_no_other_file_of_this_machine(data_folder: Path, tmp_path: Path) -> None:
    check = """
import shutil, sys, rasterio
from terralab.flows.imagery.terrakit_worker import keep_to_provider
outside, folder = sys.argv[1:]
shutil.copy(outside, folder + "/own.tif")
keep_to_provider("http://127.0.0.1:9/stac", folder)
rasterio.open(folder + "/own.tif").close()
for path in (outside, "/vsicurl/https://a/b.tif", folder + "/../x.tif", "<VRTDataset/>", "file:///a", "http://b/c.tif", "s3://b/c"):
    try:
        rasterio.open(path)
    except ValueError as error:
        assert "is no https address" in str(error), error
    else:
        sys.exit(path)
"""
    outside = data_folder / "terramesh" / "DEM" / f"{PLACE}.tif"
    found = subprocess.run([sys.executable, "-c", check, str(outside), str(tmp_path)], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]


def test_a_provider_of_terrakit_that_is_away_is_named(box: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBMRESEARCH_STAC_URL", "http://127.0.0.1:9")
    request = ImageryRequest(
        modalities=["S2L2A"],
        area=area_of_box(box),
        dates="2024-05-01",
        connector="IBMResearchSTAC",
        collections={"S2L2A": "some"},
    )
    with pytest.raises(ServiceUnavailable, match="IBMResearchSTAC cannot be reached"):
        find_imagery(Settings(), request)


def test_terrakit_is_stopped_when_it_hangs(box: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBMRESEARCH_STAC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TERRALAB_IMAGERY_TERRAKIT_TIMEOUT_S", "0.2")
    request = ImageryRequest(
        modalities=["S2L2A"],
        area=area_of_box(box),
        dates="2024-05-01",
        connector="IBMResearchSTAC",
        collections={"S2L2A": "some"},
    )
    with pytest.raises(ServiceUnavailable, match=r"did not answer within 0\.2 s"):
        find_imagery(Settings(), request)


def terrakit_that(answer: Callable[[dict[str, Any]], dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> TerrakitReads:
    """Return reads whose TerraKit process is the given function."""
    monkeypatch.setenv("NASA_EARTH_BEARER_TOKEN", "s3cret-token")
    monkeypatch.setattr("terralab.flows.imagery.terrakit_reads.run_terrakit", lambda job, *_: answer(job))
    monkeypatch.setattr("terralab.flows.imagery.terrakit_reads.time.sleep", lambda seconds: None)
    settings = Settings()
    return TerrakitReads(settings, provider_of(settings.imagery, "nasa_earthdata"))


def found_by(reads: TerrakitReads, box: list[float]) -> list[str]:
    from terralab.datasets.dates import parse_period

    place = places_of(area_of_box(box), 0, 1)[0]
    collection = imagery_table().collection("nasa_earthdata", "HLS_S30")
    return [
        scene.id for scene in reads.find("HLS_S30", collection, ("B04",), place, parse_period("2024-05-01/2024-05-31"))
    ]


def test_a_full_page_is_asked_for_in_halves(box: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def one_page(job: dict[str, Any]) -> dict[str, Any]:
        asked.append((job["start"], job["end"]))
        days = [f"2024-05-{day:02d}" for day in range(1, 32)]
        items = [
            {"id": f"{day}-{number}", "datetime": f"{day}T10:00:00Z", "cloud_cover": None}
            for day in days
            if job["start"] <= day <= job["end"]
            for number in range(20)
        ]
        return {"dates": [], "items": items[:250]}

    assert len(found_by(terrakit_that(one_page, monkeypatch), box)) == 31
    assert len(asked) > 3


def test_terrakits_errors_show_no_secret(box: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    message = "GET request failed with status code 401 headers={'Authorization': 'Bearer s3cret-token'}"
    reads = terrakit_that(lambda job: {"error": "TerrakitValueError", "message": message}, monkeypatch)
    with pytest.raises(SetupProblem, match="NASA_EARTH_BEARER_TOKEN") as caught:
        found_by(reads, box)
    assert "s3cret" not in str(caught.value)


def test_terrakit_that_is_too_busy_is_asked_again(box: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(
        [
            {"error": "TerrakitValueError", "message": "POST request failed with status code 429"},
            {"dates": [], "items": [{"id": "a", "datetime": "2024-05-02T10:00:00Z", "cloud_cover": 3}]},
        ]
    )
    assert found_by(terrakit_that(lambda job: next(answers), monkeypatch), box) == ["2024-05-02"]


def test_a_place_that_is_too_large_for_the_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SH_CLIENT_ID", "a")
    monkeypatch.setenv("SH_CLIENT_SECRET", "b")
    request = ImageryRequest(
        modalities=["S2L2A"], area=area_of_box([9, 50, 9.5, 50.1]), dates="2024-05-01", connector="sentinelhub"
    )
    with pytest.raises(TooLarge, match="25 km"):
        find_imagery(Settings(), request)


def test_ibm_research_stac_is_searched_and_may_not_name_files_of_this_machine(
    web: Callable[[Answer], Web], workspace: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {
        "type": "Feature",
        "id": "one",
        "collection": "some",
        "bbox": box,
        "geometry": area_of_box(box),
        "properties": {
            "datetime": "2024-05-02T10:00:00Z",
            "cube:variables": {"B04": {}},
            "cube:dimensions": {
                "x": {"type": "spatial", "axis": "x", "extent": [box[0], box[2]], "reference_system": 4326},
                "y": {"type": "spatial", "axis": "y", "extent": [box[1], box[3]], "reference_system": 4326},
                "t": {"type": "temporal", "extent": ["2024-05-02T10:00:00Z", "2024-05-02T10:00:00Z"]},
            },
        },
        "assets": {"data": {"href": "/etc/secret.nc", "type": "application/netcdf", "roles": ["data"]}},
    }

    def answer(handler: Any) -> None:
        content = {"features": [item]} if "items" in handler.path or handler.command == "POST" else {}
        reply(handler, 200, json.dumps(content or {"collections": [{"id": "some"}]}).encode())

    server = web(answer)
    monkeypatch.setenv("IBMRESEARCH_STAC_URL", server.url)
    wanted: dict[str, Any] = {"collections": {"S2L2A": "some"}, "bands": {"S2L2A": ["B04"]}, "dates": "2024-05-02"}
    with pytest.raises(InvalidInput, match=r"IBMResearchSTAC: ValueError: '/etc/secret.nc' is no https address"):
        ingest(
            Workspace(Settings()), connector="IBMResearchSTAC", modalities=["S2L2A"], area=area_of_box(box), **wanted
        )
    assert {path for path, _ in server.asked} >= {"/collections", "/search"}
