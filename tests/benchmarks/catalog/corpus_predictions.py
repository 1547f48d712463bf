"""Predictions of the corpus, made by the lab's own builder once and varied by number."""

from datetime import UTC, datetime
from random import Random
from typing import Any

from terralab.extensions.item import StoredFile, derived_from
from terralab.extensions.lab import METRICS_PROP
from terralab.extensions.prediction import PREDICTION_ASSET, prediction_item, predictions_collection
from tests.benchmarks.catalog.corpus_chips import CLASSES, FOOTPRINT, GRID
from tests.benchmarks.catalog.corpus_places import (
    PREDICTIONS,
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

MODELS = tuple(f"burn-net-{number}" for number in range(7))


def prediction(number: int, random: Random) -> dict[str, Any]:
    """Return the prediction of a number."""
    west, south = corner(random)
    id, model = numbered(number)[1], random.choice(MODELS)
    address = f"https://data.example.org/{PREDICTIONS}/{id}.tif"
    file = {"href": address, "file:size": random.randrange(100_000, 900_000), "file:checksum": multihash(address)}
    links = [
        *_TEMPLATE["links"][:1],
        derived_from({"collection": "models", "id": model}, **{"mlm:name": model, "processing:level": "L4"}),
        derived_from({"collection": SCENES, "id": earlier_scene(number, random)}),
    ]
    return {
        **_TEMPLATE,
        "id": id,
        **leaning_square(west, south, 0.5),
        "properties": {
            **_TEMPLATE["properties"],
            "datetime": moment(random),
            "proj:code": f"EPSG:326{utm_zone(west):02d}",
            "mlm:name": model,
            METRICS_PROP: {"iou": round(random.random(), 4), "accuracy": round(random.uniform(0.5, 1), 4)},
            "processing:lineage": f"Predicted by models/{model}",
            **ownership(random),
        },
        "links": links,
        "assets": {PREDICTION_ASSET: {**_TEMPLATE["assets"][PREDICTION_ASSET], **file}},
    }


def predictions_home() -> dict[str, Any]:
    """Return the predictions' collection."""
    return predictions_collection(
        id=PREDICTIONS,
        title="Burn scar maps",
        description="Predictions of burn scars, made for the benchmark",
        footprint=FOOTPRINT,
        classes=CLASSES,
    )


def _template() -> dict[str, Any]:
    return prediction_item(
        id="template",
        collection_id=PREDICTIONS,
        footprint=FOOTPRINT,
        grid=GRID,
        raster=StoredFile("https://data.example.org/map.tif", 1, multihash("map")),
        classes=CLASSES,
        class_counts={"unburned": 60_000, "burned": 5_536},
        model={"collection": "models", "id": MODELS[0], "properties": {"mlm:name": MODELS[0]}},
        sources=[{"collection": SCENES, "id": numbered(0)[1]}],
        params={"overlap": 16, "batch_size": 8},
        software={"terralab": "0.1.0"},
        processed=datetime(2025, 1, 2, tzinfo=UTC),
    )


_TEMPLATE = _template()
