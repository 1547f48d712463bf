"""Chips of the corpus, made by the lab's own builder once and varied by number."""

from datetime import UTC, datetime
from random import Random
from typing import Any

from terralab.extensions.chips import IMAGE_ASSET, MASK_ASSET, Feature, Target, Task, chip_item, chips_collection
from terralab.extensions.item import StoredFile, derived_from
from terralab.extensions.lab import DATASET_VERSION_PROP, SPLIT_GROUP_PROP, SPLIT_PROP
from terralab.extensions.raster import BandRecord, BandStatistics, ClassDefinition, Grid
from tests.benchmarks.catalog.corpus_places import (
    CHIPS,
    SCENES,
    corner,
    earlier_scene,
    leaning_square,
    moment,
    multihash,
    numbered,
    ownership,
    utm_zone,
)

DATASET, VERSIONS = "burn-scars", ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0")
LABELS, LABEL_COUNT = "burn-scars-labels", 40
PIXELS = 256
SPLITS = ("train",) * 8 + ("validate", "test")
CLASSES = [
    ClassDefinition(value=0, name="unburned", title="Unburned", color="7A9A5B"),
    ClassDefinition(value=1, name="burned", title="Burned", color="8C2F1B"),
]
_BAND_NAMES = ("B02", "B03", "B04", "B8A", "B11", "B12")
BANDS = [BandRecord(name, "uint16", 0, BandStatistics(1.0, 9000.0, 1200.0, 500.0, 100.0)) for name in _BAND_NAMES]
GRID = Grid("EPSG:32630", (10, 0, 500_000, 0, -10, 4_200_000), (PIXELS, PIXELS))
FOOTPRINT = GRID.footprint(datetime(2020, 5, 1, 10, tzinfo=UTC))


def chip(number: int, random: Random) -> dict[str, Any]:
    """Return the chip of a number."""
    west, south = corner(random)
    id, burned = numbered(number)[1], random.randrange(PIXELS * PIXELS)
    links = [
        *_TEMPLATE["links"][:1],
        derived_from({"collection": SCENES, "id": earlier_scene(number, random)}, **{"ml-aoi:role": "feature"}),
        derived_from(
            {"collection": LABELS, "id": f"label-{random.randrange(LABEL_COUNT)}"}, **{"ml-aoi:role": "label"}
        ),
    ]
    return {
        **_TEMPLATE,
        "id": id,
        **leaning_square(west, south, 0.02),
        "properties": {
            **_TEMPLATE["properties"],
            "datetime": moment(random),
            "proj:code": f"EPSG:326{utm_zone(west):02d}",
            SPLIT_PROP: random.choice(SPLITS),
            SPLIT_GROUP_PROP: f"block-{random.randrange(1000)}",
            DATASET_VERSION_PROP: random.choice(VERSIONS),
            "lab:class_counts": {"unburned": PIXELS * PIXELS - burned, "burned": burned},
            "lab:valid_share": round(random.uniform(0.5, 1), 4),
            "lab:params": {"row": random.randrange(42) * PIXELS, "column": random.randrange(42) * PIXELS},
            **ownership(random),
        },
        "links": links,
        "assets": {
            IMAGE_ASSET: {**_TEMPLATE["assets"][IMAGE_ASSET], "bands": _bands(random), **_file(id, "image", 300_000)},
            MASK_ASSET: {**_TEMPLATE["assets"][MASK_ASSET], **_file(id, "mask", 4_000)},
        },
    }


def chips_home() -> dict[str, Any]:
    """Return the chips' collection."""
    return chips_collection(
        id=CHIPS,
        dataset=DATASET,
        description="Chips of burn scars, made for the benchmark",
        footprint=FOOTPRINT,
        features=[Feature(IMAGE_ASSET, None, BANDS)],
        target=Target(Task.SEGMENTATION, classes=CLASSES),
        summaries={SPLIT_PROP: ["train", "validate", "test"]},
    )


def _template() -> dict[str, Any]:
    scene = {"collection": SCENES, "id": numbered(0)[1]}
    return chip_item(
        id="template",
        collection_id=CHIPS,
        dataset=DATASET,
        footprint=FOOTPRINT,
        grid=GRID,
        features=[Feature(IMAGE_ASSET, StoredFile("https://data.example.org/image.tif", 1, multihash("image")), BANDS)],
        target=Target.mask(
            StoredFile("https://data.example.org/mask.tif", 1, multihash("mask")), CLASSES, {"unburned": 1, "burned": 1}
        ),
        valid_share=1.0,
        scenes=[scene],
        label=scene,
        window=(0, 0),
    )


def _bands(random: Random) -> list[dict[str, Any]]:
    made = []
    for band in _TEMPLATE["assets"][IMAGE_ASSET]["bands"]:
        mean = round(random.uniform(300, 3000), 2)
        statistics = {"minimum": 1.0, "maximum": round(mean * 4, 2), "mean": mean, "stddev": round(mean / 3, 2)}
        made.append({**band, "statistics": {**statistics, "valid_percent": 100.0}})
    return made


def _file(id: str, name: str, size: int) -> dict[str, Any]:
    address = f"https://data.example.org/{CHIPS}/{id}/{name}.tif"
    return {"href": address, "file:size": size + len(id), "file:checksum": multihash(address)}


_TEMPLATE = _template()
