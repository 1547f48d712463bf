"""Training: TerraTorch's segmentation task in a Lightning trainer, repeatable to the bit and resumed after a crash.

What makes a resumed training equal to one that was never stopped (on one machine with one number of threads):

- the state is written at the end of an epoch only, aside and then renamed;
- order and turns of chips are f(seed, epoch) (`terralab.datasets.loading.epoch_batches`);
- all global random generators, which dropout uses, are seeded anew at the start of every epoch.

The private state lies in the run's work folder: `last.ckpt` (Lightning's, read with `weights_only=True`) and the best
weights so far as safetensors.
"""

import logging
import math
import os
import random
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from safetensors import SafetensorError
from terratorch.models.model import ModelOutput
from terratorch.tasks import SemanticSegmentationTask
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from terralab.catalog.errors import InvalidInput
from terralab.catalog.store import disk_full_as_error
from terralab.datasets.loading.data_module import ChipDataModule
from terralab.extensions.raster import MASK_NODATA
from terralab.flows.tuning.checkpoints import save_network
from terralab.flows.tuning.recipe import LOSSES, TrainingRecipe

STATE_FILE = "last.ckpt"
_SECONDS_BETWEEN_STATES = 10.0
_CLIP = 1.0
_WARM_UP = 0.2
_QUIET = ("does not have many workers", "logging interval", "LeafSpec", "litlogger", "on_after_batch_transfer")
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Attributes:
        weights: safetensors file with the weights of the best epoch.
        best_epoch: from 1.
        history: per epoch `train_loss`, `val_loss`, `val_miou` and `val_accuracy`.
    """

    weights: Path
    best_epoch: int
    history: list[dict[str, float]]


def train(
    network: nn.Module,
    data: ChipDataModule,
    recipe: TrainingRecipe,
    class_weights: list[float] | None,
    folder: Path,
    on_epoch: OnEpoch,
    seconds_between_states: float = _SECONDS_BETWEEN_STATES,
) -> Trained:
    """Train `network`, going on from the state in `folder` where there is one.

    Args:
        network: from `build_network`; trained in place.
        data: the splits.
        recipe: how to train.
        class_weights: weight of each class in the cross entropy; None for equal ones.
        folder: private state of this run.
        on_epoch: called after every epoch with its number from 1 and its record.
        seconds_between_states: least time between two states on disk (0: after every epoch).

    Raises:
        InvalidInput: the training has diverged.
        OutOfSpace: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    quieten()
    use_cores()
    steps = recipe.epochs * len(data.train_dataloader())
    task = SegmentationTraining(network, recipe, class_weights, steps)
    keeper = EpochKeeper(folder, recipe.epochs, recipe.patience, on_epoch, seconds_between_states)
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if has_fast_bfloat16() else "32-true",
        max_epochs=recipe.epochs,
        gradient_clip_val=_CLIP,
        deterministic="warn" if torch.cuda.is_available() else None,
        callbacks=[keeper],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    state = folder / STATE_FILE
    with warnings.catch_warnings(), disk_full_as_error(folder, RuntimeError, SafetensorError):
        for text in _QUIET:
            warnings.filterwarnings("ignore", f".*{text}.*")
        trainer.fit(task, datamodule=data, ckpt_path=state if state.is_file() else None, weights_only=True)
    return Trained(keeper.weights, keeper.best_epoch, keeper.history)


class SegmentationTraining(SemanticSegmentationTask):
    """TerraTorch's task with cheap measures, random numbers by epoch, and the memory format of convolutions."""

    ignore = ("model", "recipe")  # what is saved with a state must be plain JSON, to be read with `weights_only=True`

    def __init__(
        self, model: nn.Module, recipe: TrainingRecipe, class_weights: list[float] | None, total_steps: int
    ) -> None:
        if recipe.frozen_backbone:
            model.freeze_encoder()
        self._recipe = recipe
        self._format = memory_format(model)
        super().__init__(
            model_args={"num_classes": recipe.classes},
            model=model.to(memory_format=self._format),
            loss=list(LOSSES[recipe.loss]),
            class_weights=class_weights,
            ignore_index=MASK_NODATA,
            lr=recipe.learning_rate,
            optimizer="AdamW",
            optimizer_hparams={"weight_decay": recipe.weight_decay},
            scheduler="OneCycleLR",
            scheduler_hparams={
                "interval": "step",
                "max_lr": recipe.learning_rate,
                "total_steps": total_steps,
                "pct_start": _WARM_UP,
            },
            plot_on_val=False,
        )

    def configure_metrics(self) -> None:
        """Watch mIoU and accuracy alone; the measures of the test split come from `measures`."""
        classes = self._recipe.classes
        metrics = MetricCollection(
            {
                "mIoU": MulticlassJaccardIndex(classes, ignore_index=MASK_NODATA),
                "Pixel_Accuracy": MulticlassAccuracy(classes, ignore_index=MASK_NODATA, average="micro"),
            }
        )
        self.train_metrics = metrics.clone(prefix="train/")
        self.val_metrics = metrics.clone(prefix="val/")
        self.test_metrics = nn.ModuleList([metrics.clone(prefix="test/")])

    def forward(self, *args: Any, **kwargs: Any) -> ModelOutput:
        """Return the logits in float32: some losses do not take bfloat16."""
        found = self.model(*args, **kwargs)
        return ModelOutput(found.output.float(), found.auxiliary_heads)

    def on_train_epoch_start(self) -> None:
        """Seed all global generators with f(seed, epoch), so that a resumed epoch draws the same numbers."""
        seed_all(self._recipe.seed, self.current_epoch)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Bring images into the network's memory format."""
        return {**batch, "image": batch["image"].contiguous(memory_format=self._format)}


class EpochKeeper(Checkpoint):
    """Keeps the record of every epoch, the best weights, and the state to go on from.

    The best epoch is sought in the second half, when the learning rate falls and the weights settle: with few
    validation chips, an earlier epoch that looks best does so by luck. With a `patience`, all epochs count.

    Args:
        folder: where both are written.
        epochs: of the whole training.
        patience: epochs without a better validation mIoU after which training stops; None for never.
        on_epoch: told of every epoch.
        seconds_between_states: least time between two states.
    """

    def __init__(
        self, folder: Path, epochs: int, patience: int | None, on_epoch: OnEpoch, seconds_between_states: float
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.weights = folder / "weights.safetensors"
        self._folder = folder
        self._patience = patience
        self._first_candidate = epochs // 2 + 1 if patience is None else 1
        self._on_epoch = on_epoch
        self._pause = seconds_between_states
        self._written = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what the state on disk holds of this object."""
        return {"history": self.history, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what the state on disk holds."""
        self.history, self.best_epoch = list(state_dict["history"]), int(state_dict["best_epoch"])

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch; Lightning has validated before it calls this."""
        epoch = len(self.history) + 1
        self.history.append(_record(trainer.callback_metrics, epoch))
        if epoch >= self._first_candidate and self._is_best():
            save_network(pl_module.model, self._folder)
            self.best_epoch = epoch
        if self._patience is not None and epoch - self.best_epoch >= self._patience:
            trainer.should_stop = True
        self._on_epoch(epoch, self.history[-1])
        if time.monotonic() - self._written >= self._pause:
            self._write_state(trainer)

    def _is_best(self) -> bool:
        best = self.history[self.best_epoch - 1]["val_miou"] if self.best_epoch else -1.0
        return self.history[-1]["val_miou"] > best

    def _write_state(self, trainer: lightning.Trainer) -> None:
        path = self._folder / STATE_FILE
        aside = path.with_suffix(".aside")
        trainer.save_checkpoint(aside)
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
        self._written = time.monotonic()


def seed_all(seed: int, epoch: int) -> None:
    """Seed Python's, numpy's and torch's global generators with f(seed, epoch)."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)


def use_cores() -> None:
    """Use `OMP_NUM_THREADS` threads where it is set, else one for each core that this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(int(given) if given.isdigit() and int(given) else available)


def has_fast_bfloat16() -> bool:
    """Say whether this machine multiplies bfloat16 in hardware; where it does not, bfloat16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and any(word in flags.read_text() for word in ("avx512_bf16", "amx_bf16"))


def memory_format(network: nn.Module) -> torch.memory_format:
    """Return the memory format that is fastest: channels last for networks of convolutions alone."""
    attends = any(isinstance(layer, nn.LayerNorm) for layer in network.modules())
    return torch.contiguous_format if attends else torch.channels_last


def quieten() -> None:
    """Keep Lightning's hints about loggers, devices and tips out of the flow's log."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero", "terratorch"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _record(metrics: dict[str, Tensor], epoch: int) -> dict[str, float]:
    wanted = {
        "train_loss": "train/loss",
        "val_loss": "val/loss",
        "val_miou": "val/mIoU",
        "val_accuracy": "val/Pixel_Accuracy",
    }
    record = {name: float(metrics[key]) for name, key in wanted.items()}
    if not all(math.isfinite(value) for value in record.values()):
        raise InvalidInput(
            f"the training has diverged: the loss of epoch {epoch} is no finite number; use a lower learning rate"
        )
    return {name: round(value, 6) for name, value in record.items()}
