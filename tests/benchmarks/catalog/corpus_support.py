"""The collections of the corpus, and the few items between scenes and predictions that give the lineage its depth.

prediction → model 6 → … → model 0 → dataset version → label → scene: each model was tuned on from the one before.
"""

from collections.abc import Iterator
from typing import Any

from terralab.extensions.dataset import MEMBERS_REL, dataset_item, datasets_collection
from terralab.extensions.imagery import imagery_collection
from terralab.extensions.item import EXTENSION_URIS, StoredFile, derived_from
from terralab.extensions.lab import SCHEMA_URI
from terralab.extensions.labels import label_item, labels_collection
from terralab.extensions.model import ModelDescription, ModelInput, model_item, models_collection
from tests.benchmarks.catalog.corpus_chips import (
    BANDS,
    CLASSES,
    DATASET,
    FOOTPRINT,
    GRID,
    LABEL_COUNT,
    LABELS,
    PIXELS,
    VERSIONS,
    chips_home,
)
from tests.benchmarks.catalog.corpus_places import CHIPS, SCENES, multihash, numbered
from tests.benchmarks.catalog.corpus_predictions import MODELS, predictions_home
from tests.benchmarks.catalog.corpus_scenes import ITEM_ASSETS


def collections() -> list[dict[str, Any]]:
    """Return the collections of all items; the scenes' has the thirteen assets of every scene as `item_assets`."""
    scenes = imagery_collection(
        id=SCENES,
        title="Sentinel-2 L2A",
        description="Scenes of the whole world, made for the benchmark",
        footprint=FOOTPRINT,
        bands=BANDS,
    )
    scenes.pop("renders")  # they speak of the asset `image`, which these scenes do not have
    extensions = [EXTENSION_URIS["eo"], EXTENSION_URIS["raster"], SCHEMA_URI]
    scenes |= {"item_assets": ITEM_ASSETS, "stac_extensions": extensions}
    labels = labels_collection(
        id=LABELS, title="Burn scars", description="Labels", footprint=FOOTPRINT, classes=CLASSES
    )
    return [
        scenes,
        chips_home(),
        predictions_home(),
        labels,
        datasets_collection(FOOTPRINT),
        models_collection(FOOTPRINT),
    ]


def undescribed(collection: dict[str, Any]) -> dict[str, Any]:
    """Return a collection that does not describe the assets of its items, and so is of none of the lab's kinds."""
    return {key: value for key, value in collection.items() if key not in ("item_assets", "lab:kind")} | {
        "stac_extensions": []
    }


def support_items() -> Iterator[dict[str, Any]]:
    """Yield labels, dataset versions and models."""
    labels = [_label(number) for number in range(LABEL_COUNT)]
    datasets = [_dataset(version, labels[index::5]) for index, version in enumerate(VERSIONS)]
    yield from labels
    yield from datasets
    earlier = datasets[0]
    for name in MODELS:
        earlier = _model(name, earlier)
        yield earlier


def _label(number: int) -> dict[str, Any]:
    scene = {"collection": SCENES, "id": numbered(number % 6)[1]}
    return label_item(
        id=f"label-{number}",
        collection_id=LABELS,
        footprint=FOOTPRINT,
        grid=GRID,
        raster=_stored(f"label-{number}.tif"),
        classes=CLASSES,
        class_counts={"unburned": 60_000, "burned": 5_536},
        scene=scene,
        scene_asset="b04",
        description="Drawn by hand",
        links=[derived_from(scene)],
    )


def _dataset(version: str, labels: list[dict[str, Any]]) -> dict[str, Any]:
    made = dataset_item(
        id=f"{DATASET}-v{version.replace('.', '-')}",
        dataset=DATASET,
        chips_collection=CHIPS,
        version=version,
        footprint=FOOTPRINT,
        dvc_rev="a" * 40,
        dvc_tree="b" * 32 + ".dir",
        manifest=_stored(f"manifest-{version}.json"),
        dvc_file=_stored(f"chips-{version}.dvc"),
        class_counts={"unburned": 60_000, "burned": 5_536},
        split_counts={"train": 8, "validate": 1, "test": 1},
        split_report={"touching_pairs": 0},
        sources=[derived_from(label) for label in labels],
    )
    # All chips of the corpus are in one collection, and come from as many scenes as there are chips. With the link to
    # them every model's lineage would be that of a third of the catalog, and no chain of some depth.
    made["links"] = [link for link in made["links"] if link["rel"] != MEMBERS_REL]
    return made


def _model(name: str, earlier: dict[str, Any]) -> dict[str, Any]:
    return model_item(
        id=name,
        footprint=FOOTPRINT,
        description=ModelDescription(
            name=name,
            version="1.0.0",
            architecture="timm_resnet18 + UNetDecoder",
            framework_version="2.10.0",
            parameters=11_000_000,
            memory_size=44_000_000,
            pretrained=False,
            pretrained_source=None,
            hyperparameters={"epochs": 3},
            batch_size=8,
        ),
        model_input=ModelInput([band.name for band in BANDS], [1200.0] * 6, [500.0] * 6, PIXELS),
        classes=CLASSES,
        weights=_stored(f"{name}.safetensors"),
        config=_stored(f"{name}.json"),
        dataset=DATASET,
        dataset_version=VERSIONS[0],
        metrics={"test_miou": 0.86},
        baseline={"test_miou": 0.81},
        seed=1,
        assets={},
        links=[derived_from(earlier)],
    )


def _stored(name: str) -> StoredFile:
    address = f"https://data.example.org/burn-scars/{name}"
    return StoredFile(address, 1000 + len(name), multihash(address))
