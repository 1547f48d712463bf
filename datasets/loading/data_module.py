"""The splits of a dataset as a Lightning data module, which TerraTorch's tasks train with."""

from typing import Any, Literal

import lightning

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.datasets.loading.chip_arrays import NO_TARGET, Bands, ChipArrays
from terralab.datasets.loading.chip_dataset import ChipDataset
from terralab.datasets.loading.chip_loader import ChipLoader
from terralab.datasets.loading.epoch_batches import EpochBatches, batches_in_order, class_shares
from terralab.datasets.packs.contents import Contents
from terralab.datasets.packs.pack import Pack
from terralab.extensions.chip_parts import Task
from terralab.extensions.chips import SPLITS
from terralab.extensions.raster import MASK_NODATA

SMALLEST_TRAIN_SPLIT = 2
"""Batch normalisation has no variance over a single chip."""
Sampling = Literal["even", "classes"]


class ChipDataModule(lightning.LightningDataModule):
    """The train, validate and test chips of a dataset for a Lightning trainer.

    Batches come scaled and turned; a task needs no transform of its own. What a batch holds: see `ChipDataset`.

    Args:
        pack: holds the pixels of all splits.
        contents: the chips.
        batch_size: largest number of chips in a batch.
        seed: of the order, flips and turns.
        augment: whether train chips are flipped and turned.
        sampling: `even`: every train chip once in an epoch; `classes`: drawn with repetition, so that every class
            is seen alike often.
        workers: threads that read ahead of the training; 0 to read in its own.
        bands: names of the bands to give; see `ChipArrays`.

    Attributes:
        train_chips: of the split `train`.
        validation_chips: of the split `validate`.
        test_chips: of the split `test`.
        ignore_index: for the task: where there is nothing to find.

    Raises:
        TooFewChips: a split has too few chips with labels.
    """

    def __init__(
        self,
        pack: Pack,
        contents: Contents,
        batch_size: int = 8,
        seed: int = 0,
        *,
        augment: bool = True,
        sampling: Sampling = "even",
        workers: int = 0,
        bands: Bands | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InvalidInput(f"a batch of {batch_size} chips holds nothing; give at least 1")
        self._batch_size, self._seed, self._sampling, self._workers = batch_size, seed, sampling, workers
        self.train_chips, self.validation_chips, self.test_chips = (
            _split(pack, contents, split, least, bands) for split, least in zip(SPLITS, _LEAST, strict=True)
        )
        self.train_chips.augment_seed = seed if augment else None
        self._named = ChipDataset(self.test_chips.arrays, names=True)
        self.ignore_index = NO_TARGET if contents.task is Task.REGRESSION else MASK_NODATA

    @property
    def val_dataset(self) -> ChipDataset:
        """Return the validation chips under the name by which TerraTorch's tasks ask for a plot."""
        return self.validation_chips

    def train_dataloader(self) -> ChipLoader:
        """Return the shuffled, turned train split."""
        counts = self.train_chips.arrays.class_counts
        shares = class_shares(counts) if self._sampling == "classes" else None
        return self._loader(self.train_chips, EpochBatches(len(self.train_chips), self._batch_size, self._seed, shares))

    def val_dataloader(self) -> ChipLoader:
        """Return the validation split in the order of ids."""
        return self._in_order(self.validation_chips)

    def test_dataloader(self) -> ChipLoader:
        """Return the test split in the order of ids."""
        return self._in_order(self.test_chips)

    def predict_dataloader(self) -> ChipLoader:
        """Return the test split in the order of ids, with the ids as `filename`."""
        return self._in_order(self._named)

    def _in_order(self, chips: ChipDataset) -> ChipLoader:
        return self._loader(chips, batches_in_order(len(chips), self._batch_size))

    def _loader(self, chips: ChipDataset, batches: Any) -> ChipLoader:
        return ChipLoader(chips, batches, self._workers)


_LEAST = (SMALLEST_TRAIN_SPLIT, 1, 1)


def _split(pack: Pack, contents: Contents, split: str, least: int, bands: Bands | None) -> ChipDataset:
    try:
        chips = ChipDataset(ChipArrays(pack, contents.of_split(split), bands))
        found = len(chips)
    except TooFewChips:
        found = 0
    if found < least:
        raise TooFewChips(
            f"the split {split!r} has {found} chips with labels and needs at least {least}; split the dataset anew and "
            "make a new version"
        )
    return chips
