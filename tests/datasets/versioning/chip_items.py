"""Chip items without a database: what manifests are made of."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from terralab.extensions.chip_parts import Feature, Target, Task
from terralab.extensions.chips import chip_item
from terralab.extensions.item import Footprint, StoredFile
from terralab.extensions.raster import BandRecord, BandStatistics, ClassDefinition, Grid

GRID = Grid("EPSG:32630", (10, 0, 500000, 0, -10, 4200000), (16, 16))
CLASSES = (
    ClassDefinition(value=0, name="land", color="0080FF"),
    ClassDefinition(value=1, name="water", color="0080FF"),
)
_TIME = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)


def stored(content: bytes, suffix: str = ".tif") -> StoredFile:
    """Return the reference of a file that need not exist."""
    checksum = "d50110" + hashlib.md5(content, usedforsecurity=False).hexdigest()
    return StoredFile(f"asset://{checksum}/file{suffix}", len(content), checksum)


def feature(
    key: str,
    content: bytes,
    *,
    modality: str | None = None,
    bands: Sequence[str] = ("B02", "B03"),
    mean: float = 1.0,
    times: Sequence[str] = (),
) -> Feature:
    """Return a feature whose bands all have the same statistics."""
    statistics = BandStatistics(mean - 1, mean + 1, mean, 0.5, 100.0)
    return Feature(key, stored(content), [BandRecord(name, "uint16", 0, statistics) for name in bands], modality, times)


def mask(content: bytes, water: int = 10) -> Target:
    """Return a mask with so many pixels of water."""
    return Target.mask(stored(content), CLASSES, {"land": 256 - water, "water": water})


def chip(
    id: str,
    features: Sequence[Feature],
    target: Target | None = None,
    split: str | None = "train",
    **fields: Any,
) -> dict[str, Any]:
    """Return the item of a chip."""
    source = {"id": "scene", "collection": "scenes", "properties": {}, "links": [], "assets": {}}
    return chip_item(
        id=id,
        collection_id="ponds-v1",
        dataset="ponds",
        footprint=Footprint.of_grid(GRID.crs, GRID.transform, GRID.shape, _TIME),
        grid=GRID,
        features=features,
        target=target or mask(f"mask {id}".encode()),
        valid_share=1.0,
        scenes=[source],
        label=source,
        split=split,
        split_group=fields.pop("group", "g"),
        **fields,
    )


def plain_chips(contents: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return chips of one modality with masks by id and content of the image."""
    return [chip(id, [feature("image", content)]) for id, content in contents.items()]


__all__ = ["CLASSES", "GRID", "Task", "chip", "feature", "mask", "plain_chips", "stored"]
