"""Frozen versions of every task, with real files in a store of their own and without a database."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.folder_store import FolderStore
from terralab.catalog.frozen_items import write_items
from terralab.datasets.cog import encode_chip
from terralab.datasets.exports.subject import Subject
from terralab.datasets.versioning.frozen_version import FrozenVersion
from terralab.datasets.versions import Version, make_manifest, manifest_bytes, tree_hash
from terralab.extensions.chip_parts import Feature, Target, Task
from terralab.extensions.chips import chip_item, chips_collection
from terralab.extensions.dataset import dataset_item
from terralab.extensions.item import Footprint
from terralab.extensions.raster import MASK_NODATA, BandRecord, BandStatistics, ClassDefinition, Grid

SIZE = 32
START = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
CLASSES = (
    ClassDefinition(value=0, name="land", title="Dry land", color="8B5A2B"),
    ClassDefinition(value=1, name="water", color="0072B2"),
    ClassDefinition(value=3, name="ice", color="FFFFFF"),
)
ONE = {"image": ("B04", "B03", "B02", "B08")}
SEVERAL = {"s2l2a": ("B04", "B03", "B02"), "dem": ("elevation",)}
SPLITS = ("train",) * 4 + ("validate",) * 2 + ("test",) * 2


def version(
    folder: Path,
    task: Task = Task.SEGMENTATION,
    modalities: Mapping[str, Sequence[str]] = ONE,
    dates: int = 1,
    splits: Sequence[str | None] = SPLITS,
    nodata: float | None = 0,
) -> Subject:
    """Return a frozen version of random chips, alike for equal arguments.

    Args:
        folder: for the store.
        task: what they teach.
        modalities: names of the bands by asset key.
        dates: of the first modality.
        splits: of the chips.
        nodata: of all bands.
    """
    store = FolderStore(folder / "store")
    chips = [_chip(store, number, split, task, modalities, dates, nodata) for number, split in enumerate(splits)]
    number = Version.parse("v1.0.0")
    manifest = make_manifest("ponds", number, chips)
    footprint = Footprint.union(Footprint.of_item(chip) for chip in chips)
    with store.scratch() as scratch:
        write_items(chips, scratch / "items.zip")
        items = store.put(scratch / "items.zip")
    item = dataset_item(
        id=number.item_id("ponds"),
        dataset="ponds",
        chips_collection="ponds-v1",
        version=str(number),
        footprint=footprint,
        dvc_rev="0" * 40,
        dvc_tree=tree_hash(manifest["files"]),
        manifest=store.put_bytes(manifest_bytes(manifest), "manifest.json"),
        dvc_file=store.put_bytes(b"outs: []\n", "chips.dvc"),
        class_counts={},
        split_counts={},
        split_report={"leaks": False},
        sources=[],
        items=items,
    )
    collection = chips_collection(
        id="ponds-v1",
        dataset="ponds",
        description="Ponds of *made-up* places: 1 | 2.",
        footprint=footprint,
        features=[Feature.all_of(_reader(chips[0]))[0]],
        target=Target(task, classes=CLASSES),
        summaries={},
        fields={"license": "CC-BY-4.0", "keywords": ["water", "ice"]},
    )
    return Subject(FrozenVersion(item, store), collection, "http://127.0.0.1:8000/items/datasets/ponds-v1-0-0")


def _reader(chip: dict[str, Any]) -> Any:
    from terralab.extensions.lab import Kind
    from terralab.extensions.record import ItemReader

    return ItemReader(chip, Kind.CHIPS)


def _chip(
    store: FolderStore,
    number: int,
    split: str | None,
    task: Task,
    modalities: Mapping[str, Sequence[str]],
    dates: int,
    nodata: float | None,
) -> dict[str, Any]:
    random = np.random.default_rng(number)
    grid = Grid("EPSG:32630", (10, 0, 500000 + 1e4 * number, 0, -10, 4.2e6), (SIZE, SIZE))
    when = START + timedelta(days=number)
    features = [
        _feature(store, random, grid, key, names, dates if place == 0 else 1, nodata, len(modalities) > 1, when)
        for place, (key, names) in enumerate(modalities.items())
    ]
    source = {"id": "scene", "collection": "ponds-scenes", "properties": {}, "links": [], "assets": {}}
    return chip_item(
        id=f"ponds-{number}",
        collection_id="ponds-v1",
        dataset="ponds",
        footprint=grid.footprint(when),
        grid=grid,
        features=features,
        target=_target(store, random, grid, task, number),
        valid_share=1.0,
        scenes=[source],
        label=source,
        split=split,
        split_group=f"g{number}",
    )


def _feature(
    store: FolderStore,
    random: np.random.Generator,
    grid: Grid,
    key: str,
    bands: Sequence[str],
    dates: int,
    nodata: float | None,
    named: bool,
    when: datetime,
) -> Feature:
    names = [f"{band}_t{date}" for date in range(dates) for band in bands] if dates > 1 else list(bands)
    pixels = random.integers(1, 3000, (len(names), SIZE, SIZE)).astype(np.uint16)
    file = store.put_bytes(encode_chip(pixels, grid, nodata, names), f"{key}.tif", "md5")
    times = [(when + timedelta(days=30 * date)).strftime("%Y-%m-%dT%H:%M:%SZ") for date in range(dates)]
    records = [BandRecord(name, "uint16", nodata, _statistics(band)) for name, band in zip(names, pixels, strict=True)]
    return Feature(key, file, records, key.upper() if named else None, times if dates > 1 else ())


def _target(store: FolderStore, random: np.random.Generator, grid: Grid, task: Task, number: int) -> Target:
    if task is Task.SEGMENTATION:
        pixels = random.choice([0, 1, 3], (1, SIZE, SIZE)).astype(np.uint8)
        pixels[:, :2] = MASK_NODATA
        file = store.put_bytes(encode_chip(pixels, grid, MASK_NODATA, ["mask"]), "mask.tif", "md5")
        return Target.mask(file, CLASSES, {entry.name: int((pixels == entry.value).sum()) for entry in CLASSES})
    if task is Task.REGRESSION:
        values = random.normal(5, 1, (1, SIZE, SIZE)).astype(np.float32)
        values[:, :2] = np.nan
        file = store.put_bytes(encode_chip(values, grid, float("nan"), ["height"]), "target.tif", "md5")
        band = BandRecord("height", "float32", float("nan"), _statistics(values[0, 2:]))
        return Target(task, file, band=band)
    if task is Task.DETECTION:
        kind = CLASSES[number % 3].name
        content = json.dumps(_boxes(grid, kind, number % 4)).encode()
        return Target(task, store.put_bytes(content, "boxes.geojson", "md5"), CLASSES, {kind: number % 4})
    labels = [CLASSES[number % 3].name] if task is Task.CLASSIFICATION else [e.name for e in CLASSES[: number % 4]]
    return Target(task, classes=CLASSES, counts=dict.fromkeys(labels, 1), labels=labels)


def _boxes(grid: Grid, kind: str, count: int) -> dict[str, Any]:
    ring = [[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"class": kind, "bbox_pixels": [2 + 3 * place, 4, 12 + 3 * place, 20]},
        }
        for place in range(count)
    ]
    return {"type": "FeatureCollection", "features": features}


def _statistics(band: NDArray[Any]) -> BandStatistics:
    return BandStatistics(float(band.min()), float(band.max()), float(band.mean()), float(band.std()), 100.0)
