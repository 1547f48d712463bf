"""Real chips of three modalities (TerraMesh): what is plain is not blamed, and what is planted is found."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import encode_chip
from terralab.datasets.statistics import BandSums
from terralab.extensions.chips import Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.item import Footprint
from terralab.extensions.raster import MASK_NODATA, BandRecord, ClassDefinition, Grid
from terralab.flows.progress import LogProgress
from terralab.flows.quality import QualityRequest, judge_dataset

S2 = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
MODALITIES = {"S2L2A": S2, "S1RTC": ("VV", "VH"), "DEM": ("height",)}
NAMES = {1: "water", 2: "trees", 3: "flooded", 4: "crops", 5: "built", 6: "bare", 7: "snow", 9: "rangeland"}
CLASSES = [ClassDefinition(value=value, name=name, color=f"{value * 25:02x}8080") for value, name in NAMES.items()]
SIZE = 48


def feature(workspace: Workspace, name: str, pixels: np.ndarray, grid: Grid) -> Feature:
    pixels = np.ascontiguousarray(pixels.astype("float32") if pixels.dtype.kind == "f" else pixels)
    bands = MODALITIES[name]
    stored = workspace.store.put_bytes(encode_chip(pixels, grid, None, bands), f"{name}.tif", "md5")
    valid = np.ones(pixels.shape[1:], bool)
    records = [
        BandRecord(band, str(pixels.dtype), None, BandSums.of_pixels(values, valid).statistics())
        for band, values in zip(bands, pixels, strict=True)
    ]
    return Feature(name.lower(), stored, records, name)


def chips_of_place(workspace: Workspace, folder: Path, stem: str, day: int, swapped: set[int]) -> list[dict[str, Any]]:
    read = {}
    for name in (*MODALITIES, "LULC"):
        with rasterio.open(folder / name / f"{stem}.tif") as file:
            read[name], code, transform = file.read(), file.crs.to_epsg(), tuple(file.transform)[:6]
    a, _, left, _, e, top = transform
    made = []
    for number in range(16):
        row, column = (SIZE * part for part in divmod(number, 4))
        window = np.s_[:, row : row + SIZE, column : column + SIZE]
        grid = Grid(f"EPSG:{code}", (a, 0, left + a * column, 0, e, top + e * row), (SIZE, SIZE))
        images = {name: read[name][window] for name in MODALITIES}
        if number in swapped:
            order = list(range(12))
            order[3], order[10] = order[10], order[3]
            images["S2L2A"] = images["S2L2A"][order]
        mask = np.where(read["LULC"][window][0] == 0, MASK_NODATA, read["LULC"][window][0]).astype(np.uint8)
        stored = workspace.store.put_bytes(encode_chip(mask[None], grid, MASK_NODATA, ["mask"]), "mask.tif", "md5")
        counts = {entry.name: int((mask == entry.value).sum()) for entry in CLASSES}
        made.append(
            chip_item(
                id=f"{stem.lower()}-{number:02d}",
                collection_id="mesh-v1",
                dataset="mesh",
                footprint=grid.footprint(datetime(2020, 5, day, tzinfo=UTC)),
                grid=grid,
                features=[feature(workspace, name, images[name], grid) for name in MODALITIES],
                target=Target.mask(stored, CLASSES, counts),
                valid_share=1.0,
                scenes=[{"collection": "mesh-scenes", "id": stem.lower()}],
                label={"collection": "mesh-labels", "id": stem.lower()},
                split_group=f"{stem.lower()}-{number // 4}",
            )
        )
    return made


def judged(workspace: Workspace, folder: Path, swapped: set[int]) -> dict[str, Any]:
    stems = sorted(path.stem for path in (folder / "S2L2A").glob("*.tif"))
    chips = [
        chip
        for day, stem in enumerate(stems, 1)
        for chip in chips_of_place(workspace, folder, stem, day, swapped if day == 1 else set())
    ]
    features = [
        Feature(name.lower(), None, [BandRecord(band, "float32") for band in bands], name)
        for name, bands in MODALITIES.items()
    ]
    collection = chips_collection(
        id="mesh-v1",
        dataset="mesh",
        description="Real chips",
        footprint=Footprint.union(Footprint.of_item(chip) for chip in chips),
        features=features,
        target=Target(Task.SEGMENTATION, classes=CLASSES),
        summaries={},
        fields={"lab:dataset": "mesh", "license": "CC-BY-SA-4.0"},
    )
    publish(workspace, [collection], chips)
    outcome = judge_dataset(workspace, QualityRequest(name="mesh"), LogProgress())
    found: dict[str, Any] = json.loads(workspace.store.open_path(outcome.details["report"]).read_text())
    return found


def test_plain_real_chips_are_not_blamed(workspace: Workspace, data_folder: Path) -> None:
    report = judged(workspace, data_folder / "terramesh", set())
    about_chips = {"much_cloud", "much_saturated", "much_nodata", "blurred", "bands_exchanged", "georeference"}
    about_chips |= {"chip_labels_shifted", "labels_shifted", "exact_duplicates", "near_duplicates", "unusable_files"}
    assert not about_chips & {entry["id"] for entry in report["findings"]}
    assert len(report["bands"]) == 15
    assert {entry["feature"] for entry in report["bands"]} == {"s2l2a", "s1rtc", "dem"}
    assert report["coverage"]["space"]["clusters"] == 4
    assert report["labels"]["judged"]
    snow = report["labels"]["confusion"][6]
    assert snow[6] / sum(snow) > 0.7  # what is plain to see, a model sees


def test_exchanged_bands_of_a_real_chip_are_found(workspace: Workspace, data_folder: Path) -> None:
    """Sixty-four chips of four very different places leave a wide margin: not every chip would be found."""
    report = judged(workspace, data_folder / "terramesh", {9})
    found = next(entry for entry in report["findings"] if entry["id"] == "bands_exchanged")
    assert [chip[-2:] for chip in found["chips"]] == ["09"]
    assert "B04 and B11" in found["text"]
