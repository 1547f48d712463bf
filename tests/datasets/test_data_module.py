"""TerraTorch's own tasks train, test and predict with the data module, as it comes."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terralab.datasets.loading.data_module import ChipDataModule
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack import Pack
from terralab.datasets.packs.packing import make_pack
from tests.datasets.chip_files import Files
from tests.flows.frozen_dataset import ponds

pytestmark = pytest.mark.torch
SPLITS = ["train", "train", "train", "train", "validate", "test"]
UNET = {"decoder": "UNetDecoder", "decoder_channels": [32, 16, 8, 8]}
RESNET = {"backbone": "timm_resnet18", "backbone_pretrained": False, "backbone_in_chans": 3}
LEVELS = [{"name": "SelectIndices", "indices": [1, 2, 3, 4]}]
TOKENS = [
    {"name": "SelectIndices", "indices": [2, 5, 8, 11]},
    {"name": "ReshapeTokensToImage", "remove_cls_token": False},
    {"name": "LearnedInterpolateToPyramidal"},
]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "chips")


def module_of(files: Files, tmp_path: Path, **options: Any) -> ChipDataModule:
    for chip, split in zip(files.manifest["chips"], SPLITS, strict=True):
        chip["split"] = split
    contents = Contents.of_manifest(files.manifest)
    make_pack(contents, files.open, tmp_path / "pack", lambda *_: None)
    return ChipDataModule(Pack(tmp_path / "pack"), contents, 2, **options)


def trained(task: Any, module: ChipDataModule, folder: Path) -> tuple[Any, list[str]]:
    """Train for two epochs, test, and return what is predicted for the test chip, and its name."""
    import lightning
    from lightning.pytorch.loggers import TensorBoardLogger

    warnings.filterwarnings("ignore")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=TensorBoardLogger(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(task, datamodule=module)
    assert np.isfinite(float(trainer.callback_metrics["val/loss"]))
    (measures,) = trainer.test(task, datamodule=module, verbose=False)
    assert np.isfinite(measures["test/loss"])
    ((found, names),) = trainer.predict(task, datamodule=module)
    if "mask" in next(iter(module.val_dataloader())):
        events = [path.read_bytes() for path in folder.rglob("events.out.*")]
        assert any(b"image/" in content for content in events), "a validation chip is drawn for the logger"
    return (found[0] if isinstance(found, tuple) else found), names


def test_segmentation(files: Files, tmp_path: Path) -> None:
    from terratorch.tasks import SemanticSegmentationTask

    files.segmentation(*ponds(6, 32), mean=[800, 2000, 1500], stddev=[100, 900, 800])
    module = module_of(files, tmp_path, sampling="classes", workers=2)
    arguments = {**RESNET, **UNET, "necks": LEVELS, "num_classes": 2}
    task = SemanticSegmentationTask(arguments, "EncoderDecoderFactory", ignore_index=module.ignore_index)
    classes, names = trained(task, module, tmp_path)
    assert tuple(classes.shape) == (1, 32, 32)
    assert names == ["chip-005"]


def test_regression(files: Files, tmp_path: Path) -> None:
    from terratorch.tasks import PixelwiseRegressionTask

    images, _ = ponds(6, 32)
    heights = np.random.default_rng(0).uniform(0, 30, (6, 32, 32)).astype(np.float32)
    heights[:, :2] = np.nan
    files.regression(images, heights)
    module = module_of(files, tmp_path)
    arguments = {**RESNET, **UNET, "necks": LEVELS}
    task = PixelwiseRegressionTask(arguments, "EncoderDecoderFactory", ignore_index=module.ignore_index)
    values, _ = trained(task, module, tmp_path)
    assert tuple(values.shape) == (1, 32, 32)


def test_classification(files: Files, tmp_path: Path) -> None:
    from terratorch.tasks import ClassificationTask

    names = ["water", "land", "water", "land", "water", "land"]
    files.labelled(ponds(6, 32)[0], [[name] for name in names], "classification")
    arguments = {**RESNET, "decoder": "IdentityDecoder", "necks": LEVELS[:0], "num_classes": 2}
    task = ClassificationTask(arguments, "EncoderDecoderFactory", loss="ce")
    classes, _ = trained(task, module_of(files, tmp_path), tmp_path)
    assert tuple(classes.shape) == (1,)


def test_several_modalities(files: Files, tmp_path: Path) -> None:
    from terratorch.tasks import SemanticSegmentationTask

    random = np.random.default_rng(0)
    optical = random.integers(100, 3000, (6, 12, 224, 224)).astype(np.uint16)
    radar = random.normal(-12, 4, (6, 2, 224, 224)).astype(np.float32)
    masks = random.integers(0, 2, (6, 224, 224)).astype(np.uint8)
    files.several({"s2l2a": (optical, 1, 0), "s1rtc": (radar, 1, None)}, masks)
    arguments = {
        "backbone": "terramind_v1_tiny",
        "backbone_pretrained": False,
        "backbone_modalities": ["S2L2A", "S1RTC"],
        **UNET,
        "necks": TOKENS,
        "num_classes": 2,
    }
    module = module_of(files, tmp_path)
    task = SemanticSegmentationTask(arguments, "EncoderDecoderFactory", ignore_index=255)
    classes, _ = trained(task, module, tmp_path)
    assert tuple(classes.shape) == (1, 224, 224)


def test_several_dates(files: Files, tmp_path: Path) -> None:
    from terratorch.tasks import SemanticSegmentationTask

    random = np.random.default_rng(0)
    images = random.integers(100, 3000, (6, 18, 64, 64)).astype(np.uint16)
    files.several({"image": (images, 3, 0)}, random.integers(0, 2, (6, 64, 64)).astype(np.uint8))
    arguments = {
        "backbone": "prithvi_eo_v2_tiny_tl",
        "backbone_pretrained": False,
        "backbone_bands": ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"],
        "backbone_num_frames": 3,
        **UNET,
        "necks": [
            TOKENS[0],
            {"name": "ReshapeTokensToImage", "remove_cls_token": True, "effective_time_dim": 3},
            TOKENS[2],
        ],
        "num_classes": 2,
    }
    task = SemanticSegmentationTask(arguments, "EncoderDecoderFactory", ignore_index=255)
    classes, _ = trained(task, module_of(files, tmp_path), tmp_path)
    assert tuple(classes.shape) == (1, 64, 64)
