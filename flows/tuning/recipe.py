"""How a network is trained: every choice, resolved. Needs no torch, because a run's id follows from it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Loss = Literal["ce", "dice", "focal", "lovasz", "ce_dice"]
Weights = Literal["none", "pretrained"]

LOSSES: dict[Loss, tuple[str, ...]] = {
    "ce": ("ce",),
    "dice": ("dice",),
    "focal": ("focal",),
    "lovasz": ("lovasz",),
    "ce_dice": ("ce", "dice"),
}
"""The losses of TerraTorch that ignore pixels without a label; several are added."""

WEIGHT_DECAY = 0.01
_RATE_FROM_SCRATCH, _RATE_PRETRAINED = 1e-3, 1e-4
_PIXELS_TO_SEE = 12_000_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 15, 50
_PIXELS_IN_A_STEP = 32_768
_SMALLEST_BATCH, _LARGEST_BATCH = 4, 16

assert set(LOSSES) == set(get_args(Loss))


@dataclass(frozen=True)
class TrainingRecipe:
    """How to train.

    Attributes:
        classes: output channels.
        epochs: passes over the train split.
        batch_size: largest number of chips in a step.
        learning_rate: largest; it rises over the first fifth of the steps and then falls to nearly 0.
        weight_decay: of AdamW.
        loss: see `LOSSES`.
        class_weights: whether rare classes weigh more in the cross entropy.
        frozen_backbone: whether the backbone's weights stay as they are.
        patience: epochs without a better validation mIoU after which training stops; None for never.
        weights: what the backbone starts from.
        seed: of weights, order, flips and turns.
    """

    classes: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    loss: Loss
    class_weights: bool
    frozen_backbone: bool
    patience: int | None
    weights: Weights
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return all choices as JSON values."""
        return asdict(self)


def suggested_epochs(train_chips: int, chip_size: int) -> int:
    """Return how many epochs a small network needs to settle: about twelve million pixels, in 15 to 50 epochs."""
    pixels = max(1, train_chips * chip_size**2)
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_PIXELS_TO_SEE / pixels)))


def suggested_batch_size(chip_size: int) -> int:
    """Return how many chips make a step: 8 of 64 × 64 pixels, fewer of larger ones, so that there are enough steps."""
    return min(_LARGEST_BATCH, max(_SMALLEST_BATCH, _PIXELS_IN_A_STEP // chip_size**2))


def suggested_learning_rate(weights: Weights) -> float:
    """Return a learning rate: published weights are moved gently."""
    return _RATE_PRETRAINED if weights == "pretrained" else _RATE_FROM_SCRATCH
