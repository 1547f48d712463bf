"""A published, frozen dataset version made from arrays, for tests of what comes after it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralab.catalog.publish import publish
from terralab.catalog.workspace import Workspace
from terralab.datasets.cog import encode_chip
from terralab.extensions.dataset import dataset_item, datasets_collection
from terralab.extensions.item import item_link
from terralab.extensions.raster import MASK_NODATA, BandRecord, BandStatistics, ClassDefinition, Grid
from terralab.flows.tuning.dataset_version import tree_hash

WHEN = datetime(2021, 5, 1, tzinfo=UTC)
CLASSES = (
    ClassDefinition(value=0, name="land", title="Land", color="8B5A2B"),
    ClassDefinition(value=1, name="water", title="Water", color="0072B2"),
)


def freeze(
    workspace: Workspace,
    images: NDArray[Any],
    masks: NDArray[np.uint8],
    splits: Sequence[str | None],
    *,
    name: str = "ponds",
    version: str = "1.0.0",
    bands: Sequence[str] = ("B03", "B08", "B11"),
    classes: Sequence[ClassDefinition] = CLASSES,
    nodata: float | None = 0,
) -> dict[str, Any]:
    """Store chips and publish the item of their version.

    Args:
        workspace: the lab.
        images: (chips, bands, size, size).
        masks: (chips, size, size) uint8.
        splits: of each chip.
        name: of the dataset.
        version: semantic version.
        bands: names.
        classes: of the masks.
        nodata: of the images.
    """
    grids = [Grid("EPSG:32630", (10, 0, 500000 + 1e4 * n, 0, -10, 4.2e6), images.shape[2:]) for n in range(len(images))]
    files, chips = [], []
    for number, (image, mask, split, grid) in enumerate(zip(images, masks, splits, grids, strict=True)):
        id = f"{name}-{number:03d}"
        image_path, mask_path = f"images/{id}.tif", f"masks/{id}.tif"
        files.append(_stored(workspace, image_path, encode_chip(image, grid, nodata, list(bands))))
        files.append(_stored(workspace, mask_path, encode_chip(mask[None], grid, MASK_NODATA, ["mask"])))
        chips.append({"id": id, "split": split, "group": f"g{number}", "image": image_path, "mask": mask_path})
    files.sort(key=lambda entry: entry["relpath"])
    manifest = {
        "dataset": name,
        "version": version,
        "collection": f"{name}-v1",
        "files": files,
        "chips": chips,
        "bands": _bands(images, splits, bands, nodata),
        "nodata": nodata,
        "classes": [entry.to_stac() for entry in classes],
        "chip_size": images.shape[-1],
    }
    item = dataset_item(
        id=f"{name}-v{version.replace('.', '-')}",
        dataset=name,
        chips_collection=f"{name}-v1",
        version=version,
        footprint=grids[0].footprint(WHEN),
        dvc_rev="0" * 40,
        dvc_tree=tree_hash(files),
        manifest=workspace.store.put_bytes(json.dumps(manifest).encode(), "manifest.json"),
        dvc_file=workspace.store.put_bytes(b"outs: []\n", "chips.dvc"),
        class_counts={entry.name: int((masks == entry.value).sum()) for entry in classes},
        split_counts={split: list(splits).count(split) for split in ("train", "validate", "test")},
        split_report={},
        sources=[item_link("derived_from", f"{name}-scenes", "scene")],
    )
    publish(workspace, [datasets_collection(grids[0].footprint(WHEN))], [item])
    return item


def ponds(count: int, size: int, seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return images (count, 3, size, size) uint16 and masks (count, size, size) of round ponds, with some gaps."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    images = np.empty((count, 3, size, size), np.uint16)
    masks = np.empty((count, size, size), np.uint8)
    for number in range(count):
        row, column = random.uniform(0.2, 0.8, 2) * size
        water = (rows - row) ** 2 + (columns - column) ** 2 < (random.uniform(0.2, 0.4) * size) ** 2
        masks[number] = water
        means = np.where(water, np.array([900, 400, 200])[:, None, None], np.array([800, 2600, 2200])[:, None, None])
        images[number] = np.clip(means + random.normal(0, 250, means.shape), 1, 10000)
        images[number, :, :2, :2] = 0
        masks[number, :2] = MASK_NODATA
    return images, masks


def split_names(train: int, validate: int, test: int) -> list[str]:
    """Return the splits of chips in order."""
    return ["train"] * train + ["validate"] * validate + ["test"] * test


def stored_path(workspace: Workspace, item: dict[str, Any], relpath: str) -> Path:
    """Return where the bytes of a file of the version lie."""
    manifest = json.loads(workspace.store.open_path(item["assets"]["manifest"]["href"]).read_bytes())
    md5 = next(entry["md5"] for entry in manifest["files"] if entry["relpath"] == relpath)
    return workspace.store.open_name("d50110" + md5)


def _stored(workspace: Workspace, relpath: str, content: bytes) -> dict[str, Any]:
    workspace.store.put_bytes(content, Path(relpath).name, "md5")
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"relpath": relpath, "md5": md5, "size": len(content)}


def _bands(
    images: NDArray[Any], splits: Sequence[str | None], names: Sequence[str], nodata: float | None
) -> list[dict[str, Any]]:
    train = images[[split == "train" for split in splits]].astype(float)
    records = []
    for place, name in enumerate(names):
        values = train[:, place][train[:, place] != nodata] if len(train) else np.ones(1)
        values = values if len(values) else np.ones(1)
        statistics = BandStatistics(
            float(values.min()), float(values.max()), float(values.mean()), float(values.std()), 100.0
        )
        records.append(BandRecord(name, str(images.dtype), nodata, statistics).to_stac())
    return records
