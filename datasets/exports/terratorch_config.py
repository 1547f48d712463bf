"""The configuration of an export for the command `terratorch`: data, model and trainer, from what the version knows."""

import math
from collections.abc import Sequence
from typing import Any

from terralab.catalog.errors import InvalidInput
from terralab.datasets.exports.subject import Modality, Subject
from terralab.extensions.chip_parts import BOXES_ASSET, IMAGE_ASSET, MASK_ASSET, TARGET_ASSET, Task
from terralab.extensions.chips import SPLITS
from terralab.extensions.raster import MASK_NODATA

CONFIG, LABELS_FOLDER, LABEL_TABLE = "config.yaml", "labels", "labels.parquet"
SPLIT_FILES = ("train.txt", "val.txt", "test.txt")
_FOLDERS = {IMAGE_ASSET: "images", MASK_ASSET: "masks"}
_BACKBONE = "timm_resnet18"
_DECODER_CHANNELS = [256, 128, 64, 32]
_FEATURES = [1, 2, 3, 4]
_NO_NUMBER = -9999
_TASKS = {
    Task.SEGMENTATION: ("SemanticSegmentationTask", "segmentation"),
    Task.REGRESSION: ("PixelwiseRegressionTask", "regression"),
    Task.CLASSIFICATION: ("ClassificationTask", "classification"),
    Task.MULTILABEL: ("MultiLabelClassificationTask", "multilabel_classification"),
    Task.DETECTION: ("ObjectDetectionTask", ""),
}


def folder_of(key: str) -> str:
    """Return the folder of an asset's files."""
    return _FOLDERS.get(key, key)


def make_config(subject: Subject) -> dict[str, Any]:
    """Return the configuration.

    Raises:
        InvalidInput: a band has no statistics.
    """
    detection = subject.task is Task.DETECTION
    return {
        "seed_everything": 0,
        "trainer": {
            "accelerator": "auto",
            "devices": 1,
            "max_epochs": 30,
            "log_every_n_steps": 5,
            "default_root_dir": "output",
            "logger": {
                "class_path": "CSVLogger",
                "init_args": {"save_dir": "output", "name": subject.dataset},
            },
            "callbacks": [
                {
                    "class_path": "ModelCheckpoint",
                    "init_args": {"dirpath": "output/checkpoints", "save_last": True, **_best(subject.task)},
                }
            ],
        },
        "data": _detection_data(subject) if detection else _data(subject),
        "model": _detection_model(subject) if detection else _model(subject),
        "optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.001, "weight_decay": 0.05}},
        "lr_scheduler": {"class_path": "CosineAnnealingLR", "init_args": {"T_max": 30}},
    }


def number_of_classes(subject: Subject) -> int:
    """Return how many outputs a network needs: one for every value up to the highest; 0 where there are no classes."""
    if subject.task in (Task.MULTILABEL, Task.DETECTION):
        return len(subject.classes)
    return max((entry.value + 1 for entry in subject.classes), default=0)


def class_names(subject: Subject) -> list[str]:
    """Return the name of every output."""
    if subject.task in (Task.MULTILABEL, Task.DETECTION):
        return [entry.name for entry in subject.classes]
    names = {entry.value: entry.name for entry in subject.classes}
    return [names.get(value, f"unused_{value}") for value in range(number_of_classes(subject))]


def class_weights(subject: Subject) -> list[float] | None:
    """Return weights by the rarity of classes in the train split, 1 on average over what is found there.

    A class that the train split lacks weighs 0. None where nobody counted.
    """
    counts: dict[str, int] = {}
    for chip in subject.of_split(SPLITS[0]):
        for name, count in chip.counts.items():
            counts[name] = counts.get(name, 0) + count
    found = [counts.get(name, 0) for name in class_names(subject)]
    present = [count for count in found if count]
    if not present:
        return None
    total = sum(present)
    return [round(total / (len(present) * count), 6) if count else 0.0 for count in found]


def _data(subject: Subject) -> dict[str, Any]:
    """Return the part `data`: one data module reads any number of modalities, and puts their bands together."""
    modalities = subject.modalities
    folders = {modality.key: folder_of(modality.key) for modality in modalities}
    table = LABELS_FOLDER if subject.task is Task.CLASSIFICATION else LABEL_TABLE
    label = table if subject.target_key is None else folder_of(subject.target_key)
    label_suffix = ".npy" if subject.task is Task.CLASSIFICATION else ".tif"
    names = class_names(subject)
    arguments: dict[str, Any] = {
        "task": _TASKS[subject.task][1],
        "batch_size": 8,
        "num_workers": 2,
        **({"num_classes": len(names), "class_names": names} if names else {}),
        "modalities": [modality.key for modality in modalities],
        "data_root": folders,
        "label_data_root": label,
        "image_grep": "*.tif",
        "label_grep": f"*{label_suffix}",
        # Exact names: `chip_1` is not `chip_10`.
        "allow_substring_file_names": False,
        **dict(zip(("train_split", "val_split", "test_split"), SPLIT_FILES, strict=True)),
        "dataset_bands": {modality.key: modality.band_names for modality in modalities},
        "means": {modality.key: [_number(band, "mean") for band in modality.bands] for modality in modalities},
        "stds": {modality.key: [_number(band, "stddev") for band in modality.bands] for modality in modalities},
        "rgb_indices": {modalities[0].key: _shown_bands(modalities[0])},
        "no_data_replace": 0,
        "no_label_replace": None if subject.target_key is None else _ignored(subject),
        "concat_bands": True,
        "drop_last": sum(1 for _ in subject.of_split(SPLITS[0])) >= 2 * 8,
    }
    return {"class_path": "GenericMultiModalDataModule", "init_args": arguments}


def _model(subject: Subject) -> dict[str, Any]:
    kind, names, task = _TASKS[subject.task][0], class_names(subject), subject.task
    pixelwise = subject.target_key is not None
    arguments: dict[str, Any] = {
        "backbone": _BACKBONE,
        "backbone_pretrained": False,
        "backbone_in_chans": sum(len(modality.bands) for modality in subject.modalities),
        "necks": [{"name": "SelectIndices", "indices": _FEATURES}],
        "decoder": "UNetDecoder" if pixelwise else "IdentityDecoder",
        **({"decoder_channels": _DECODER_CHANNELS} if pixelwise else {}),
        **({"num_classes": len(names)} if names else {}),
        "head_dropout": 0.1,
    }
    weights = class_weights(subject) if task in (Task.SEGMENTATION, Task.CLASSIFICATION) else None
    return {
        "class_path": f"terratorch.tasks.{kind}",
        "init_args": {
            "model_factory": "EncoderDecoderFactory",
            "model_args": arguments,
            "loss": {Task.REGRESSION: "mse", Task.MULTILABEL: "bce"}.get(task, "ce"),
            **({"ignore_index": _ignored(subject)} if pixelwise else {}),
            **({"class_weights": weights} if weights else {}),
            **({"class_names": names} if names else {}),
            "plot_on_val": False,
        },
    }


def _detection_data(subject: Subject) -> dict[str, Any]:
    modality, names = subject.modalities[0], class_names(subject)
    splits = dict(zip(("train", "val", "test"), SPLIT_FILES, strict=True))
    arguments: dict[str, Any] = {
        "batch_size": 4,
        "num_workers": 2,
        "num_classes": len(names) + 1,
        "class_names": ["background", *names],
        **{f"{split}_data_root": folder_of(modality.key) for split in splits},
        **{f"{split}_label_data_root": BOXES_ASSET for split in splits},
        **{f"{split}_split": name for split, name in splits.items()},
        "img_grep": "*.tif",
        "label_grep": "*.json",
        "allow_substring_split_file": False,
        # TerraTorch 1.2 has no transform of its own here, and cannot pick bands by `dataset_bands`.
        **{f"{split}_transform": [{"class_path": "ToTensorV2"}] for split in splits},
        "rgb_indices": _shown_bands(modality),
        "means": [_number(band, "mean") for band in modality.bands],
        "stds": [_number(band, "stddev") for band in modality.bands],
        "no_data_replace": 0,
        "drop_last": False,
    }
    path = "terratorch.datamodules.generic_nongeo_od_data_module.GenericNonGeoObjectDetectionDataModule"
    return {"class_path": path, "init_args": arguments}


def _detection_model(subject: Subject) -> dict[str, Any]:
    modality, names = subject.modalities[0], ["background", *class_names(subject)]
    return {
        "class_path": "terratorch.tasks.ObjectDetectionTask",
        "init_args": {
            "model_factory": "ObjectDetectionModelFactory",
            "model_args": {
                "framework": "faster-rcnn",
                "backbone": _BACKBONE,
                "backbone_pretrained": False,
                "backbone_in_chans": len(modality.bands),
                "num_classes": len(names),
                "in_channels": len(modality.bands),
                "framework_min_size": subject.chip_size,
                "framework_max_size": subject.chip_size,
                "necks": [
                    {"name": "SelectIndices", "indices": _FEATURES},
                    {"name": "FeaturePyramidNetworkNeck"},
                ],
            },
            "class_names": names,
        },
    }


def _ignored(subject: Subject) -> int:
    return _NO_NUMBER if subject.target_key == TARGET_ASSET else MASK_NODATA


def _best(task: Task) -> dict[str, str]:
    """Return by what the best checkpoint is kept."""
    if task is Task.DETECTION:
        return {"monitor": "val_map", "mode": "max"}
    return {"monitor": "val/loss", "mode": "min"}


def _number(band: Any, name: str) -> float:
    value = (band.get("statistics") or {}).get(name)
    if value is None or not math.isfinite(float(value)):
        raise InvalidInput(f"the band {band['name']} has no {name} over the train split; make the version anew")
    return float(value) or (1.0 if name == "stddev" else 0.0)


def _shown_bands(modality: Modality) -> Sequence[int]:
    """Return which bands are red, green and blue in pictures: those that are, or else the first three."""
    places = {str(band.get("eo:common_name")): place for place, band in reversed(list(enumerate(modality.bands)))}
    if {"red", "green", "blue"} <= places.keys():
        return [places[name] for name in ("red", "green", "blue")]
    return [min(place, len(modality.bands) - 1) for place in range(3)]
