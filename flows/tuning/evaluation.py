"""Measuring a published network on chips that training never saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from terralab.datasets.loading.chip_dataset import ChipDataset
from terralab.datasets.loading.epoch_batches import batches_in_order
from terralab.datasets.raster_file import valid_pixels
from terralab.extensions.raster import MASK_NODATA, ClassDefinition
from terralab.flows.tuning.measures import ConfusionMatrix
from terralab.flows.tuning.plots import Example

EXAMPLES = 4


@dataclass(frozen=True)
class Evaluation:
    """What was measured: pixels by true and predicted class, and a few chips to look at."""

    matrix: ConfusionMatrix
    examples: list[Example]


def measure_network(
    network: nn.Module, chips: ChipDataset, classes: Sequence[ClassDefinition], batch_size: int
) -> Evaluation:
    """Predict every chip and compare with its mask.

    Args:
        network: from `checkpoints.load_network`.
        chips: without turns.
        classes: in the order of the network's channels.
        batch_size: chips at a time.
    """
    values = np.array([entry.value for entry in classes], np.uint8)
    matrix = ConfusionMatrix([entry.value for entry in classes])
    shown = set(_most_varied(chips, values))
    examples = []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    with torch.inference_mode():
        for positions in batches_in_order(len(chips), batch_size):
            channels = network(chips[positions]["image"].to(device)).argmax(dim=1).cpu().numpy()
            for position, predicted in zip(positions, channels, strict=True):
                image, truth = chips.raw(position)
                matrix.add(truth, predicted)
                if position in shown:
                    seen = valid_pixels(image, chips.scaling.nodata).any(axis=0)
                    shown_values = np.where(seen, values[predicted], MASK_NODATA).astype(np.uint8)
                    examples.append(Example(chips.ids[position], image, truth, shown_values))
    return Evaluation(matrix, examples)


def _most_varied(chips: ChipDataset, values: NDArray[np.uint8]) -> list[int]:
    """Return the positions of the chips whose labels have the largest entropy: they show most."""
    entropies = [_entropy(chips.raw(position)[1], values) for position in range(len(chips))]
    return sorted(range(len(chips)), key=lambda position: (-entropies[position], position))[:EXAMPLES]


def _entropy(mask: NDArray[np.uint8], values: NDArray[np.uint8]) -> float:
    counts = np.bincount(mask[mask != MASK_NODATA].ravel(), minlength=MASK_NODATA + 1)[values]
    shares = counts[counts > 0] / max(int(counts.sum()), 1)
    return round(float(-(shares * np.log(shares)).sum()), 9)
