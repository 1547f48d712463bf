"""Datasets made out of the catalog: pixels and labels lie where they belong; what is lost comes back the same."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

from terralab.catalog.errors import AlreadyExists, InvalidInput, InvalidLabels, TooFewChips
from terralab.catalog.inbox import stage
from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.chipping.chip_request import ChipRequest
from terralab.datasets.cog import cog_writer
from terralab.datasets.raster_file import read_facts
from terralab.extensions.chips import ChipRecord, Task
from terralab.extensions.imagery import imagery_collection, scene_item
from terralab.extensions.item import Footprint
from terralab.extensions.raster import BandRecord, ClassDefinition, Grid
from terralab.flows.chip import make_dataset
from terralab.flows.progress import LogProgress
from terralab.flows.recorded_run import Outcome

WHEN = datetime(2020, 5, 1, 10, 30, tzinfo=UTC)
UTM = Grid("EPSG:32630", (10.0, 0.0, 699_960.0, 0.0, -10.0, 4_224_960.0), (200, 240))
TO_UTM = Transformer.from_crs("EPSG:4326", "EPSG:32630", always_xy=True)
TO_DEGREES = Transformer.from_crs("EPSG:32630", "EPSG:4326", always_xy=True)
CLASSES = [
    ClassDefinition(value=0, name="land", color="D2B48C"),
    ClassDefinition(value=1, name="water", color="0072B2"),
]
Publish = Callable[..., dict[str, Any]]


@pytest.fixture
def scene(workspace: Workspace) -> Publish:
    """Return the function that catalogues a scene."""

    def make(
        id: str, pixels: np.ndarray, grid: Grid = UTM, when: datetime = WHEN, collection: str = "s2", nodata: float = 0,
        cloud: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        bands = [BandRecord(f"B{number + 2:02d}", str(pixels.dtype), nodata) for number in range(len(pixels))]
        with workspace.store.scratch() as folder:
            target = folder / f"{id}.tif"
            with cog_writer(
                target,
                count=len(pixels),
                data_type=str(pixels.dtype),
                grid=grid,
                nodata=nodata,
                names=[band.name for band in bands],
                labels=False,
            ) as cog:
                cog.write(pixels)
            image = workspace.store.put(target)
        footprint = grid.footprint(when)
        item = scene_item(
            id=id,
            collection_id=collection,
            footprint=footprint,
            grid=grid,
            image=image,
            bands=bands,
            properties={} if cloud is None else {"eo:cloud_cover": cloud},
        )
        known = workspace.catalog.find_collection(collection)
        area = footprint if known is None else Footprint.union([footprint, Footprint(
            shapely.box(*known["extent"]["spatial"]["bbox"][0]), when, when)])  # fmt: skip
        described = imagery_collection(id=collection, title=collection, description="x", footprint=area, bands=bands)
        publish(workspace, [described], [item])
        return item

    return make


def positions(grid: Grid) -> np.ndarray:
    """Return pixels (2, rows, columns) that hold their own row and column, from 1."""
    rows, columns = np.indices(grid.shape)
    return np.stack([rows + 1, columns + 1]).astype(np.uint16)


def make(workspace: Workspace, labels: Path | list[Path] | None = None, **values: Any) -> Outcome:
    if labels is not None:
        values["labels"] = stage(workspace.settings, [labels] if isinstance(labels, Path) else labels)
    values = {"name": "made", "imagery": [{"name": "S2", "collection": "s2"}], "engine": "serial", **values}
    return make_dataset(workspace, ChipRequest(**values), LogProgress())


def chips(workspace: Workspace, name: str = "made") -> list[ChipRecord]:
    found = workspace.catalog.search(collections=[f"{name}-v1"])
    return sorted((ChipRecord.of_item(item) for item in found), key=lambda chip: chip.id)


def pixels(workspace: Workspace, href: str) -> np.ndarray:
    with rasterio.open(workspace.store.open_path(href)) as dataset:
        return np.asarray(dataset.read())


def csv(folder: Path, rows: list[tuple[Any, ...]], header: str = "x,y,date,label") -> Path:
    path = folder / "points.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def geojson(folder: Path, shapes: list[tuple[Any, str]], name: str = "labels.geojson") -> Path:
    features = [
        {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": {"class": label}}
        for shape, label in shapes
    ]
    path = folder / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def box(left: float, bottom: float, right: float, top: float) -> shapely.Polygon:
    """Return a box of the scene's metres in degrees."""
    return shapely.transform(shapely.box(left, bottom, right, top), TO_DEGREES.transform, interleaved=False)


def test_every_point_label_lies_on_the_pixel_that_holds_it(
    workspace: Workspace, scene: Publish, tmp_path: Path
) -> None:
    scene("a", positions(UTM))
    random = np.random.default_rng(1)
    x, y = random.uniform(699_965, 702_355, 400), random.uniform(4_222_965, 4_224_955, 400)
    longitude, latitude = TO_DEGREES.transform(x, y)
    rows = [
        (lon, lat, "2020-05-02", number % 2) for number, (lon, lat) in enumerate(zip(longitude, latitude, strict=True))
    ]
    outcome = make(workspace, csv(tmp_path, rows), chip_size=64)
    assert outcome.details["chips"] == len(chips(workspace)) == 20  # 4 x 5 chips hold the scene and its remainders
    found = 0
    for chip in chips(workspace):
        image, mask = pixels(workspace, chip.image.href), pixels(workspace, chip.target.file.href)[0]  # type: ignore[union-attr]
        a, _, c, _, e, f = chip.grid.transform
        for number, (east, north) in enumerate(zip(*TO_UTM.transform(longitude, latitude), strict=True)):
            column, row = int(np.floor((east - c) / a)), int(np.floor((north - f) / e))
            if 0 <= row < 64 and 0 <= column < 64:
                found += 1
                assert image[0, row, column] == int(np.floor((4_224_960 - north) / 10)) + 1
                assert image[1, row, column] == int(np.floor((east - 699_960) / 10)) + 1
                assert mask[row, column] in (number % 2, 255)
    assert found == 400
    labelled = sum(sum(chip.class_counts.values()) for chip in chips(workspace))
    assert labelled > 380  # pixels with two points of different classes have no label


def test_edges_are_padded_and_every_pixel_of_the_scene_is_in_one_chip(
    workspace: Workspace, scene: Publish, tmp_path: Path
) -> None:
    scene("a", positions(UTM))
    make(workspace, geojson(tmp_path, [(box(699_000, 4_222_000, 703_000, 4_225_900), "all")]), chip_size=64)
    seen = np.zeros(UTM.shape, int)
    for chip in chips(workspace):
        image = pixels(workspace, chip.image.href)
        inside = image[0] > 0
        seen[image[0][inside] - 1, image[1][inside] - 1] += 1
        assert chip.valid_share == pytest.approx(inside.mean(), abs=1e-6)
    assert (seen == 1).all()


def test_what_is_deleted_comes_back_with_the_same_bytes_and_nothing_else_changes(
    workspace: Workspace, scene: Publish, tmp_path: Path
) -> None:
    scene("a", positions(UTM))
    labels = geojson(tmp_path, [(box(700_100, 4_223_100, 702_000, 4_224_500), "a")])
    first = make(workspace, labels, chip_size=64)
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in workspace.store.folder.rglob("files/*/*/*")
    }
    items = {item["id"]: item for item in workspace.catalog.search(collections=["made-v1"])}
    lost = chips(workspace)[5]
    workspace.store.remove([lost.image.checksum])
    again = make(workspace, labels, chip_size=64)
    assert again.run == first.run
    for path, (time, content) in before.items():
        assert path.read_bytes() == content
        if lost.image.checksum[6:] not in path.parent.name + path.name and "md5" in str(path):
            mask = lost.target.file.checksum  # type: ignore[union-attr]
            assert path.stat().st_mtime_ns == time or mask[6:] == path.parent.name + path.name
    assert {item["id"]: item for item in workspace.catalog.search(collections=["made-v1"])} == items
    assert make(workspace, labels, chip_size=64).reused


def test_another_dataset_of_the_name_is_refused(workspace: Workspace, scene: Publish, tmp_path: Path) -> None:
    scene("a", positions(UTM))
    labels = geojson(tmp_path, [(box(700_100, 4_223_100, 702_000, 4_224_500), "a")])
    make(workspace, labels, chip_size=64)
    with pytest.raises(AlreadyExists):
        make(workspace, labels, chip_size=32)


def test_processes_make_the_same_chips(workspace: Workspace, scene: Publish, tmp_path: Path) -> None:
    scene("a", positions(UTM))
    labels = geojson(tmp_path, [(box(699_000, 4_222_000, 703_000, 4_225_900), "all")])
    make(workspace, labels, chip_size=32)
    make(workspace, labels, chip_size=32, name="other", engine="processes", workers=2)
    one, two = chips(workspace), chips(workspace, "other")
    assert [chip.id for chip in one] == [chip.id for chip in two]
    assert [chip.image.checksum for chip in one] == [chip.image.checksum for chip in two]


def test_several_dates_and_modalities_share_one_grid(workspace: Workspace, scene: Publish, tmp_path: Path) -> None:
    for number in range(3):
        scene(f"s2-{number}", positions(UTM) + 1000 * number, when=WHEN - timedelta(days=10 * number), cloud=number)
    scene("s1", positions(UTM).astype(np.float32), collection="s1", nodata=-9999, when=WHEN + timedelta(days=1))
    coarse = Grid("EPSG:32630", (30.0, 0.0, 699_960.0, 0.0, -30.0, 4_224_960.0), (67, 80))
    scene("dem", np.full((1, 67, 80), 7, np.int16), coarse, collection="dem", nodata=-1, when=WHEN - timedelta(900))
    make(
        workspace,
        csv(tmp_path, [(*TO_DEGREES.transform(701_000, 4_224_000), "2020-05-02", "water")]),
        imagery=[
            {"name": "S2L2A", "collection": "s2"},
            {"name": "S1RTC", "collection": "s1", "static": True},
            {"name": "DEM", "collection": "dem", "static": True},
        ],
        dates=3, step_days=10, tolerance_days=2, chip_size=64,
    )  # fmt: skip
    (chip,) = chips(workspace)
    assert chip.features[0].key == "s2l2a"
    features = {feature.key: feature for feature in chip.features}
    assert set(features) == {"s2l2a", "s1rtc", "dem"}
    first = chip.features[0]
    assert [band.name for band in first.bands] == ["B02_t0", "B03_t0", "B02_t1", "B03_t1", "B02_t2", "B03_t2"]
    assert first.times == ("2020-04-11T10:30:00Z", "2020-04-21T10:30:00Z", "2020-05-01T10:30:00Z")
    stack = pixels(workspace, first.file.href)  # type: ignore[union-attr]
    assert (stack[0] - stack[4] == 2000).all()
    radar = pixels(workspace, features["s1rtc"].file.href)  # type: ignore[union-attr]
    assert (radar[:2] == stack[4:]).all()
    assert (pixels(workspace, features["dem"].file.href) == 7).all()  # type: ignore[union-attr]
    assert len(chip.sources) == 6


@pytest.mark.parametrize("task", ["classification", "multilabel", "detection", "regression"])
def test_every_task_gives_valid_chips(workspace: Workspace, scene: Publish, tmp_path: Path, task: str) -> None:
    scene("a", positions(UTM))
    if task == "regression":
        labels = csv(tmp_path, [(*TO_DEGREES.transform(701_005, 4_224_005), "2020-05-01", 3.5)])
    else:
        shapes = [
            (box(700_800, 4_223_700, 701_000, 4_223_900), "ship"),
            (box(701_000, 4_223_800, 701_100, 4_223_900), "buoy"),
        ]
        labels = geojson(tmp_path, shapes)
    make(workspace, labels, task=task, chip_size=64)
    found = [chip for chip in chips(workspace) if chip.target.counts or task == "regression"]
    assert found
    assert all(chip.target.task is Task(task) for chip in found)
    if task == "regression":
        values = pixels(workspace, found[0].target.file.href)  # type: ignore[union-attr]
        assert values[np.isfinite(values)].tolist() == [3.5]
    if task == "detection":
        counts = sum((np.array(list(chip.class_counts.values())) for chip in found), np.zeros(2, int))
        assert counts.sum() >= 2


def test_bad_labels_are_refused_or_told(workspace: Workspace, scene: Publish, tmp_path: Path) -> None:
    scene("a", positions(UTM))
    bow = shapely.Polygon([TO_DEGREES.transform(*at) for at in (
        (700_000, 4_223_000), (701_000, 4_224_000), (701_000, 4_223_000), (700_000, 4_224_000))])  # fmt: skip
    with pytest.raises(InvalidLabels, match=r"cross themselves.*Self-intersection"):
        make(workspace, geojson(tmp_path, [(bow, "a")]), chip_size=64)
    away = shapely.box(20, 20, 20.001, 20.001)
    with pytest.raises(TooFewChips, match="1 labels are in no chip"):
        make(workspace, geojson(tmp_path, [(away, "a")]), chip_size=64)
    trap = tmp_path / "trap.geojson"
    trap.write_text('<OGRVRTDataSource><OGRVRTLayer name="x"/></OGRVRTDataSource>')
    with pytest.raises(InvalidInput, match="OGR-VRT"):
        make(workspace, trap, chip_size=64)
    overlapping = [
        (box(700_000, 4_223_000, 701_000, 4_224_000), "a"),
        (box(700_500, 4_223_000, 701_500, 4_224_000), "b"),
    ]
    outcome = make(workspace, geojson(tmp_path, [*overlapping, (away, "a")]), chip_size=64)
    told = " ".join(outcome.details["warnings"])
    assert "overlap" in told
    assert "labels.geojson#2" in told
    assert "5000 pixels that several classes claim" in told


def test_real_scene_in_degrees_on_the_global_grid(
    workspace: Workspace, scene: Publish, tmp_path: Path, data_folder: Path
) -> None:
    facts = read_facts(data_folder / "sen1floods11" / "Spain_7370579_S2Hand.tif")
    with rasterio.open(facts.path) as dataset:
        image = dataset.read([2, 3, 4])
    with rasterio.open(data_folder / "sen1floods11" / "Spain_7370579_LabelHand.tif") as dataset:
        label = dataset.read(1)
    scene("spain", image, facts.grid)
    raster = data_folder / "sen1floods11" / "Spain_7370579_LabelHand.tif"
    make(workspace, raster, chip_size=128, classes=[entry.model_dump() for entry in CLASSES], datetime="2020-05-01")
    total = np.zeros(facts.grid.shape, int)
    for chip in chips(workspace):
        a, _, c, _, e, f = chip.grid.transform
        rows, columns = np.indices(chip.grid.shape) + 0.5
        to_degrees = Transformer.from_crs(chip.grid.crs, "EPSG:4326", always_xy=True)
        longitude, latitude = to_degrees.transform(c + a * columns, f + e * rows)
        a, _, c, _, e, f = facts.grid.transform
        row, column = np.floor((latitude - f) / e).astype(int), np.floor((longitude - c) / a).astype(int)
        inside = (row >= 0) & (row < 512) & (column >= 0) & (column < 512)
        row, column = row[inside], column[inside]
        found, mask = pixels(workspace, chip.image.href), pixels(workspace, chip.target.file.href)[0]  # type: ignore[union-attr]
        assert (found[:, inside] == image[:, row, column]).all()
        assert (found[:, ~inside] == 0).all()
        expected = label[row, column]
        assert (mask[inside] == np.where(expected < 0, 255, expected)).all()
        assert (mask[~inside] == 255).all()
        np.add.at(total, (row, column), 1)
    assert (total > 0).mean() > 0.75  # pixels of 10 m in degrees are narrower than 10 m of UTM: some hold no centre


def test_a_scene_may_be_cut_on_its_own_pixels(
    workspace: Workspace, scene: Publish, tmp_path: Path, data_folder: Path
) -> None:
    path = data_folder / "terramesh" / "S2L2A" / "637U_59R_1_3.tif"
    facts = read_facts(path)
    with rasterio.open(path) as dataset:
        image = dataset.read([2, 3, 4])
    scene("tm", image, facts.grid, nodata=-1)
    make(
        workspace,
        data_folder / "terramesh" / "LULC" / "637U_59R_1_3.tif",
        grid="scene",
        chip_size=112,
        datetime="2020-05-01",
    )
    found = chips(workspace)
    assert [chip.window for chip in found] == [(0, 0), (0, 112), (112, 0), (112, 112)]
    for chip in found:
        row, column = chip.window or (0, 0)
        assert (pixels(workspace, chip.image.href) == image[:, row : row + 112, column : column + 112]).all()
