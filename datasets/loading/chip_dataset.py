"""Chips as a PyTorch dataset: the batches that TerraTorch's tasks take."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from terralab.datasets.loading.chip_arrays import ChipArrays
from terralab.datasets.loading.epoch_batches import Batch
from terralab.datasets.loading.scaling import Scaling
from terralab.datasets.loading.turns import draw_turns
from terralab.extensions.chip_parts import Task

Index = int | Sequence[int] | Batch


class ChipDataset(Dataset[dict[str, Any]]):
    """Chips; indexed by a number it gives one sample, by a list of numbers or a `Batch` a whole batch at once.

    A batch has `image`: float32 (batch, bands, rows, columns); of several dates (batch, bands, dates, rows, columns);
    of several modalities a dict of such by the modality's name; and by the task

    - segmentation: `mask`, int64 (batch, rows, columns), channels or 255;
    - regression: `mask`, float32 (batch, rows, columns), -9999 where there is no value;
    - classification: `label`, int64 (batch,); multilabel: `label`, int64 (batch, classes) of 0 and 1.

    Args:
        arrays: the chips.
        augment_seed: seed of flips and quarter turns, drawn anew for every chip and epoch; None for none.
        names: whether a batch also has the chips' ids, as `filename`.
    """

    def __init__(self, arrays: ChipArrays, augment_seed: int | None = None, names: bool = False) -> None:
        self.arrays, self.augment_seed, self._names = arrays, augment_seed, names
        self.epoch = 0
        self._turns: tuple[int, NDArray[np.integer]] | None = None

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: Index) -> dict[str, Any]:
        """Return a sample or a batch; see the class."""
        if isinstance(index, int | np.integer):
            sample: dict[str, Any] = _first(self._batch([int(index) % len(self)], self.epoch))
            return sample
        if isinstance(index, Batch):
            return self._batch(index.positions, index.epoch)
        return self._batch([int(position) for position in index], self.epoch)

    @property
    def ids(self) -> list[str]:
        """Return the ids of the chips, in order."""
        return self.arrays.ids

    @property
    def scaling(self) -> Scaling:
        """Return how the first modality is scaled."""
        return self.arrays.scalings[self.arrays.features[0].key]

    def raw(self, position: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return a chip as stored: the first modality (bands, size, size) and the mask (size, size); read-only."""
        return self.arrays.raw(position)

    def plot(self, sample: dict[str, Any]) -> Any:
        """Return a figure of one sample, as TerraTorch's tasks log it."""
        from terralab.datasets.loading.chip_plot import plot_chip

        return plot_chip(self.arrays, sample)

    def _batch(self, positions: list[int], epoch: int) -> dict[str, Any]:
        turns = None if self.augment_seed is None else self._drawn(epoch)[positions]
        images = {name: torch.from_numpy(image) for name, image in self.arrays.images(positions, turns).items()}
        batch: dict[str, Any] = {"image": images if len(images) > 1 else next(iter(images.values()))}
        batch |= self._target(positions, turns)
        if self._names:
            batch["filename"] = [self.arrays.chips[position].id for position in positions]
        return batch

    def _target(self, positions: list[int], turns: NDArray[np.integer] | None) -> dict[str, Tensor]:
        task = self.arrays.contents.task
        if task is Task.SEGMENTATION:
            return {"mask": torch.from_numpy(self.arrays.masks(positions, turns))}
        if task is Task.REGRESSION:
            return {"mask": torch.from_numpy(self.arrays.values(positions, turns))}
        return {"label": torch.from_numpy(self.arrays.labels(positions))}

    def _drawn(self, epoch: int) -> NDArray[np.integer]:
        if self._turns is None or self._turns[0] != epoch:
            self._turns = epoch, draw_turns(self.augment_seed or 0, epoch, len(self))
        return self._turns[1]


def _first(batch: Any) -> Any:
    if isinstance(batch, dict):
        return {key: _first(value) for key, value in batch.items()}
    return batch[0]
