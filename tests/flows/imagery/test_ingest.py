"""Getting imagery from a real STAC API: a second lab on loopback that serves real chips."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from terralab.catalog.errors import InvalidInput, ServiceUnavailable, TooManyRequests
from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.datasets.imagery.area import area_of_box
from terralab.datasets.imagery.request import ImageryRequest
from terralab.extensions.imagery import SceneRecord
from terralab.flows.imagery.finding import find_imagery
from tests.flows.imagery.conftest import Provider, ingest
from tests.flows.imagery.provider_lab import PLACE

MAY = "2024-05-01/2024-05-31"


def files_of(provider: Provider) -> int:
    return provider.door.requests["file"]


def test_found_scenes_say_dates_bytes_and_what_was_left_out(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    request = ImageryRequest(
        modalities=["S2L2A", "S1RTC", "DEM"], area=area_of_box(box), dates=MAY, connector="other", cloud=50
    )
    selection = find_imagery(lab_here.settings, request)
    optical, radar, heights = selection.summary(request.modalities)
    assert (optical["scenes"], optical["dates"]) == (2, ["2024-05-05", "2024-05-25"])
    assert (radar["scenes"], heights["scenes"], heights["dates"]) == (2, 1, [])
    assert selection.left_out == {"cloudy": 1}
    window = selection.wanted[0].window()
    assert window is not None
    assert 105 <= window.height <= 125
    assert optical["estimated_bytes"] == 2 * 12 * 2 * window.height * window.width
    assert files_of(provider) == 0


def test_fetched_scenes_have_the_providers_pixels_on_their_own_grid(
    provider: Provider, lab_here: Workspace, box: list[float], data_folder: Path
) -> None:
    outcome = ingest(lab_here, modalities=["S2L2A", "S1RTC", "DEM"], area=area_of_box(box), dates=MAY)
    assert outcome.metrics == {"scenes": 6, "empty": 0, "failed": 0}
    assert {collection for collection, _ in outcome.produced} == {
        "sentinel-2-l2a-here",
        "sentinel-1-rtc-here",
        "dem-30-here",
    }
    item = next(iter(lab_here.catalog.search(collections=["sentinel-2-l2a-here"])))
    record = SceneRecord.of_item(item)
    assert record.band_names[:3] == ("B01", "B02", "B03")
    assert record.platform == "sentinel-2a"
    rels = {link["rel"]: link["href"] for link in item["links"] if link["rel"] in ("derived_from", "via")}
    assert rels["via"] == rels["derived_from"]
    assert rels["via"].startswith(f"{provider.url}/stac/collections/sentinel-2-l2a/items/s2l2a-")
    assert provider_answers(provider, rels["via"])
    assert item["properties"]["lab:params"]["provider"]["name"] == "other"
    assert set(item["assets"]) == {"image", "thumbnail"}
    # Files are read by several threads: each scene must have the pixels of its own.
    for item in lab_here.catalog.search(collections=["sentinel-2-l2a-here"]):
        day = int(item["properties"]["datetime"][8:10])
        with rasterio.open(lab_here.store.verify(item["assets"]["image"]["href"])) as fetched:
            assert fetched.nodata == 0
            assert fetched.descriptions[1] == "B02"
            pixels, transform, shape = fetched.read(), fetched.transform, fetched.shape
        with rasterio.open(data_folder / "terramesh" / "S2L2A" / f"{PLACE}.tif") as source:
            column, row = ~source.transform @ (transform.c, transform.f)
            assert abs(column - round(column)) < 1e-6
            window = rasterio.windows.Window(round(column), round(row), shape[1], shape[0])
            np.testing.assert_array_equal(pixels, source.read(window=window) + day)


def provider_answers(provider: Provider, url: str) -> bool:
    import httpx

    return httpx.get(url).json()["type"] == "Feature"


def test_nothing_is_fetched_twice(provider: Provider, lab_here: Workspace, box: list[float]) -> None:
    wanted: dict[str, Any] = {"modalities": ["S2L2A", "DEM"], "area": area_of_box(box), "dates": MAY}
    first = ingest(lab_here, **wanted)
    fetched = files_of(provider)
    assert fetched >= 4
    assert len(provider.door.files) == len(set(provider.door.files)), "a range was asked for twice"
    again = ingest(lab_here, **wanted)
    assert again.reused
    assert again.produced == first.produced
    assert files_of(provider) == fetched
    other = ingest(lab_here, **{**wanted, "name": "elsewhere", "bands": {"S2L2A": ["B04", "B03", "B02"]}})
    assert not other.reused
    assert files_of(provider) == fetched, "bands of another request were fetched again"


def test_a_run_that_broke_off_goes_on_where_it_was(
    provider: Provider, lab_here: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRALAB_IMAGERY_PARALLEL", "1")
    monkeypatch.setenv("TERRALAB_IMAGERY_ATTEMPTS", "1")
    lab = Workspace(Settings())
    wanted: dict[str, Any] = {"modalities": ["S2L2A"], "area": area_of_box(box), "dates": MAY}
    provider.door.answer = lambda kind, number: (503, {}, b"") if kind == "file" and number > 3 else None
    with pytest.raises(ServiceUnavailable, match="503"):
        ingest(lab, **wanted)
    assert [run["properties"]["lab:status"] for run in lab.catalog.search(collections=["runs"])] == ["failed"]
    assert lab.catalog.find_collection("sentinel-2-l2a-here") is None
    provider.door.answer = lambda kind, number: None
    before = set(provider.door.files[:-1])
    provider.door.files.clear()
    outcome = ingest(lab, **wanted)
    assert outcome.metrics["scenes"] == 3
    whole = {path for path, _ in before} - {path for path, _ in provider.door.files}
    assert whole, "a scene that was there already was fetched again"


def test_a_process_that_is_killed_leaves_what_it_fetched(
    provider: Provider, lab_here: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRALAB_IMAGERY_PARALLEL", "1")
    wanted: dict[str, Any] = {"modalities": ["S2L2A"], "area": area_of_box(box), "dates": MAY}
    reached, killed = threading.Event(), threading.Event()

    def hold(kind: str, number: int) -> None:
        if kind == "file" and len({path for path, _ in provider.door.files}) == 3:
            reached.set()
            killed.wait(20)

    provider.door.answer = hold
    request = json.dumps({"name": "here", "connector": "other", **wanted})
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("killed_ingest.py")), request])
    try:
        assert reached.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.set()
    before = {path for path, _ in provider.door.files}
    statuses = [run["properties"]["lab:status"] for run in lab_here.catalog.search(collections=["runs"])]
    assert statuses == ["running"], "the worker that starts next closes it as crashed"
    assert lab_here.catalog.find_collection("sentinel-2-l2a-here") is None
    provider.door.answer = lambda kind, number: None
    provider.door.files.clear()
    outcome = ingest(Workspace(Settings()), **wanted)
    assert outcome.metrics["scenes"] == 3
    after = {path for path, _ in provider.door.files}
    assert len(before) == 3
    assert len(after) == 1
    assert after < before


def test_a_busy_provider_is_waited_for_and_then_answers(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    provider.door.answer = lambda kind, number: (429, {"retry-after": "1"}, b"") if number in (1, 2) else None
    import time

    started = time.monotonic()
    outcome = ingest(lab_here, modalities=["DEM"], area=area_of_box(box))
    assert outcome.metrics["scenes"] == 1
    assert time.monotonic() - started >= 4, "Retry-After was not honoured"


def test_a_provider_that_asks_for_too_long_a_wait_is_told_at_once(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    provider.door.answer = lambda kind, number: (429, {"retry-after": "86400"}, b"")
    with pytest.raises(TooManyRequests, match="86400 s"):
        ingest(lab_here, modalities=["DEM"], area=area_of_box(box))
    assert sum(provider.door.requests.values()) == 1


def test_a_provider_that_is_away_is_named(
    provider: Provider, workspace: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRALAB_IMAGERY_PROVIDERS", "other=http://127.0.0.1:9/stac")
    monkeypatch.setenv("TERRALAB_IMAGERY_PRIVATE_HOSTS", "127.0.0.1:9")
    monkeypatch.setenv("TERRALAB_IMAGERY_ATTEMPTS", "2")
    with pytest.raises(ServiceUnavailable, match="stac/search cannot be reached"):
        ingest(Workspace(Settings()), modalities=["DEM"], area=area_of_box(box))


def test_nothing_found_says_why(provider: Provider, lab_here: Workspace, box: list[float]) -> None:
    with pytest.raises(InvalidInput, match="look at the dates"):
        ingest(lab_here, modalities=["S2L2A"], area=area_of_box(box), dates="2019-01-01/2019-02-01")
    with pytest.raises(InvalidInput, match="3 cloudy"):
        ingest(lab_here, modalities=["S2L2A"], area=area_of_box(box), dates=MAY, cloud=1)
    assert files_of(provider) == 0


def test_part_of_an_answer_is_no_answer(provider: Provider, lab_here: Workspace, box: list[float]) -> None:
    def first_only(answer: dict[str, Any]) -> dict[str, Any]:
        links = [link for link in answer["links"] if link["rel"] != "next"]
        return {**answer, "features": answer["features"][:1], "links": links, "numberMatched": 3}

    provider.door.change = first_only
    with pytest.raises(ServiceUnavailable, match="1 of 3 scenes"):
        ingest(lab_here, modalities=["S2L2A"], area=area_of_box(box), dates=MAY)


def test_all_pages_are_read(
    provider: Provider, lab_here: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terralab.flows.imagery.stac_search._PAGE", 1)
    request = ImageryRequest(modalities=["S2L2A"], area=area_of_box(box), dates=MAY, connector="other")
    assert len(find_imagery(lab_here.settings, request).wanted) == 3
    assert provider.door.requests["search"] >= 3


def test_a_page_that_was_read_already_ends_the_search(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    def again(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "links": [{"rel": "next", "href": f"{provider.url}/stac/search?limit=1"}]}

    provider.door.change = again
    request = ImageryRequest(modalities=["S2L2A"], area=area_of_box(box), dates=MAY, connector="other")
    with pytest.raises(ServiceUnavailable, match="read already"):
        find_imagery(lab_here.settings, request)


def test_an_answer_that_was_cut_off_is_asked_for_again(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    provider.door.answer = lambda kind, number: (
        (200, {"content-type": "application/json"}, b'{"type": "FeatureColl')
        if (kind, number) == ("search", 1)
        else None
    )
    request = ImageryRequest(modalities=["DEM"], area=area_of_box(box), connector="other")
    assert len(find_imagery(lab_here.settings, request).wanted) == 1


def test_dates_of_two_modalities_are_aligned(provider: Provider, lab_here: Workspace, box: list[float]) -> None:
    outcome = ingest(
        lab_here,
        modalities=["S2L2A", "S1RTC", "DEM"],
        area=area_of_box(box),
        dates=MAY,
        align_days=2,
        bands={"S2L2A": ["B04"]},
    )
    assert [entry["times"] for entry in outcome.details["aligned"]] == [
        {"S2L2A": "2024-05-05T10:00:00Z", "S1RTC": "2024-05-06T10:00:00Z"}
    ]
    assert outcome.details["left_out"] == {"no date of another modality near": 3}
    assert outcome.metrics["scenes"] == 3


def test_what_cannot_be_had_is_told_and_tried_again(
    provider: Provider, lab_here: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRALAB_IMAGERY_PARALLEL", "1")
    monkeypatch.setenv("TERRALAB_IMAGERY_ATTEMPTS", "1")
    lab = Workspace(Settings())
    wanted: dict[str, Any] = {"modalities": ["S2L2A"], "area": area_of_box(box), "dates": MAY, "allow_partial": True}
    provider.door.answer = lambda kind, number: (404, {}, b"") if (kind, number) == ("file", 1) else None
    first = ingest(lab, **wanted)
    assert first.metrics == {"scenes": 2, "empty": 0, "failed": 1}
    assert "could not be had" in first.details["warnings"][0]
    provider.door.answer = lambda kind, number: None
    second = ingest(lab, **wanted)
    assert (second.reused, second.metrics["scenes"]) == (False, 3)


def test_a_file_for_each_band_and_coarser_bands_become_one_grid(
    provider: Provider, workspace: Workspace, box: list[float], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_image(answer: dict[str, Any]) -> dict[str, Any]:
        for item in answer["features"]:
            del item["assets"]["image"]
        return answer

    provider.door.change = without_image
    monkeypatch.setenv("TERRALAB_IMAGERY_ENDPOINTS", f"sentinel_aws={provider.url}/stac")
    lab = Workspace(Settings())
    wanted: dict[str, Any] = {"modalities": ["S2L2A"], "area": area_of_box(box), "dates": "2024-05-05"}
    outcome = ingest(lab, connector="sentinel_aws", bands={"S2L2A": ["B11", "B04"]}, **wanted)
    item = lab.catalog.item(*outcome.produced[0])
    assert item["properties"]["lab:params"]["provider"]["bands"]["B11"] == {"key": "swir16", "index": 1}
    with rasterio.open(lab.store.verify(item["assets"]["image"]["href"])) as fetched:
        swir, red = fetched.read()
        place = fetched.transform
    with rasterio.open(data_folder / "terramesh" / "S2L2A" / f"{PLACE}.tif") as source:
        column, row = (round(number) for number in ~source.transform @ (place.c, place.f))
        part = np.s_[row : row + red.shape[0], column : column + red.shape[1]]
        np.testing.assert_array_equal(red, source.read(4)[part] + 5)
        np.testing.assert_array_equal(swir, source.read(11)[::2, ::2].repeat(2, 0).repeat(2, 1)[part] + 5)
    with pytest.raises(InvalidInput, match="has no B02 of S2L2A"):
        ingest(lab, connector="sentinel_aws", bands={"S2L2A": ["B02"]}, **wanted)


def test_points_are_places_of_their_own(provider: Provider, lab_here: Workspace, box: list[float]) -> None:
    points = {"type": "MultiPoint", "coordinates": [[box[0], box[1]], [box[2], box[3]]]}
    outcome = ingest(lab_here, modalities=["DEM"], area=points, buffer=100)
    items = [lab_here.catalog.item(*pair) for pair in outcome.produced]
    assert len(items) == 2
    assert all(20 <= side <= 22 for item in items for side in item["properties"]["proj:shape"])


def test_pixels_without_data_stay_so_and_a_window_of_them_is_no_scene(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    wanted: dict[str, Any] = {"modalities": ["S2L1C"], "dates": "2024-05-05", "bands": {"S2L1C": ["B02", "B10"]}}
    outcome = ingest(lab_here, area=area_of_box(box), **wanted)
    item = lab_here.catalog.item(*outcome.produced[0])
    assert item["properties"]["lab:valid_share"] == pytest.approx(0.5, abs=0.02)
    assert item["bbox"][0] > (box[0] + box[2]) / 2 - 0.001
    west = [box[0], box[1], box[0] + (box[2] - box[0]) / 3, box[3]]
    with pytest.raises(InvalidInput, match="has nothing"):
        ingest(lab_here, area=area_of_box(west), name="west", **wanted)


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_is_asked_for_at_once_than_the_settings_allow(
    provider: Provider, lab_here: Workspace, box: list[float], monkeypatch: pytest.MonkeyPatch, parallel: int
) -> None:
    monkeypatch.setenv("TERRALAB_IMAGERY_PARALLEL", str(parallel))
    provider.door.pause_s = 0.05
    ingest(Workspace(Settings()), modalities=["S2L2A", "S1RTC", "DEM"], area=area_of_box(box), dates=MAY)
    assert provider.door.most_at_once == parallel


def test_files_that_the_provider_says_are_elsewhere_are_not_read(
    provider: Provider, lab_here: Workspace, box: list[float]
) -> None:
    def elsewhere(answer: dict[str, Any]) -> dict[str, Any]:
        for item in answer["features"]:
            item["assets"]["image"]["href"] = "http://127.0.0.1:5432/secret.tif"
        return answer

    provider.door.change = elsewhere
    with pytest.raises(InvalidInput, match="not at an address that may be read"):
        ingest(lab_here, modalities=["DEM"], area=area_of_box(box))
    assert files_of(provider) == 0
