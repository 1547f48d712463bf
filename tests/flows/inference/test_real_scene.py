"""A real Sentinel-2 scene with hand labels: onboarded, predicted with a threshold on B11, validated."""

from collections.abc import Iterator

import numpy as np
import pytest
import rasterio

from terralab.catalog.settings import Settings
from terralab.catalog.workspace import Workspace
from terralab.flows.onboard import OnboardRequest, onboard_dataset
from terralab.flows.validate import ValidateRequest, validate_model


@pytest.fixture
def folder(data_folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    found = data_folder / "sen1floods11"
    if not found.is_dir():
        pytest.skip(f"{found} is missing")
    monkeypatch.setenv("TERRALAB_SOURCE_FOLDERS", str(found))
    return str(found)


def test_threshold_on_a_real_flood(lab, classes, folder) -> None:
    lab.workspace = Workspace(Settings())
    request = OnboardRequest(
        name="floods",
        images=f"{folder}/*_S2Hand.tif",
        labels=f"{folder}/*_LabelHand.tif",
        datetime="2019-09-18",
        classes=[entry.model_copy(update={"value": value}) for value, entry in enumerate(classes)],
    )
    onboard_dataset(lab.workspace, request, lab.progress)
    lab.add_model()
    outcome = validate_model(
        lab.workspace, ValidateRequest(model="flood-tiny", labels=["floods-labels"]), lab.progress, lab.load
    )
    (prediction,) = lab.workspace.catalog.search(collections=["flood-tiny-predictions"])
    found, facts = lab.raster(prediction)
    with rasterio.open(f"{folder}/Spain_7370579_S2Hand.tif") as image:
        bands = image.read([3, 9, 12])
        assert facts["transform"] == tuple(image.transform)[:6]
        assert facts["crs"] == image.crs.to_string()
    assert (found == lab.expected(bands)).all()
    with rasterio.open(f"{folder}/Spain_7370579_LabelHand.tif") as label:
        truth = label.read(1)
    both = (truth >= 0) & (found != 255)
    assert outcome.details["pixels"] == both.sum()
    assert outcome.metrics["accuracy"] == pytest.approx(((found == 2) == (truth == 1))[both].mean(), abs=1e-6)
    assert outcome.metrics["miou"] > 0.5
    # The file itself gives the same map as the catalogued scene.
    lab.predict(model="flood-tiny", file=f"{folder}/*_S2Hand.tif", datetime="2019-09-18")
    maps = [lab.raster(item)[0] for item in lab.workspace.catalog.search(collections=["flood-tiny-predictions"])]
    assert len(maps) == 2
    assert (maps[0] == maps[1]).all()
    areas = prediction["properties"]["lab:metrics"]
    pixel = areas["km2_land"] * 1e6 / np.count_nonzero(found == 0)
    assert 60 < pixel < 110  # about 10 m, on a grid in degrees
