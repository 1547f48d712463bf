"""Chips as PyTorch sees them: the only module of `terralab.datasets` that imports torch.

A batch depends on the seed, the epoch and the chips alone, never on how far another random generator has come, so that
a training that was killed goes on as if nothing had happened:

- the order of an epoch is f(seed, epoch), from a private generator;
- so are flips and quarter turns, drawn anew for every chip and epoch;
- batches are of nearly equal size (41 chips by 8: 6 batches of 7 or 6), so none is dropped and none holds a single
  chip, for which batch normalisation would have no variance at coarse levels (3 chips by 2: one batch of 3).

Values reach the network as (value - mean) / standard deviation of the train split, in float32; pixels without data
become 0, the mean. Masks hold the channel of a class: its place among the classes in the order of their values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from terralab.catalog.errors import InvalidInput, TooFewChips
from terralab.catalog.store import Store
from terralab.datasets.raster_file import open_raster, valid_pixels
from terralab.extensions.checksum import MD5_PREFIX
from terralab.extensions.raster import MASK_NODATA

IN_MEMORY_BYTES = 1 << 30
SMALLEST_TRAIN_SPLIT = 2
"""Batch normalisation has no variance over a single chip."""
_TURNS = 8  # four quarter turns, each with and without a flip


@dataclass(frozen=True)
class ChipFiles:
    """One chip's files.

    Attributes:
        id: item id of the chip.
        image: GeoTIFF, (bands, size, size).
        mask: GeoTIFF, (1, size, size) uint8.
    """

    id: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Scaling:
    """How values are scaled, per band: (value - mean) / stddev; pixels of `nodata` become 0."""

    mean: Sequence[float]
    stddev: Sequence[float]
    nodata: float | None

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Scale `image`, (…, bands, rows, columns) in the imagery's units, to float32."""
        shape = (len(self.mean), 1, 1)
        mean, stddev = (np.asarray(values, np.float32).reshape(shape) for values in (self.mean, self.stddev))
        scaled = (image.astype(np.float32) - mean) / stddev
        return np.where(valid_pixels(image, self.nodata), scaled, np.float32(0))


def split_files(manifest: dict[str, Any], store: Store, split: str) -> list[ChipFiles]:
    """Return the files of a split's chips, in the order of their ids.

    Args:
        manifest: of a dataset version.
        store: holds the bytes by MD5.
        split: `train`, `validate` or `test`.

    Raises:
        AssetCorrupt: a file is not in the store.
    """
    names = {entry["relpath"]: MD5_PREFIX + entry["md5"] for entry in manifest["files"]}
    chips = sorted((chip for chip in manifest["chips"] if chip["split"] == split), key=lambda chip: str(chip["id"]))
    return [
        ChipFiles(chip["id"], store.open_name(names[chip["image"]]), store.open_name(names[chip["mask"]]))
        for chip in chips
    ]


class ChipDataset(Dataset[dict[str, Tensor]]):
    """Chips with masks; indexed by a list of positions, it gives a whole batch.

    Chips stay in memory in their own pixel type where they fit, else they are read on every access. Chips without one
    labelled pixel are left out: nothing can be learnt from or measured on them, and a batch of them alone has no loss.

    Args:
        chips: what to read; all of one size and type.
        scaling: of the train split.
        values: pixel value of each class in the order of the network's channels.
        augment_seed: seed of flips and quarter turns; None for none.
        memory_limit: bytes that chips in memory may take.
    """

    def __init__(
        self,
        chips: Sequence[ChipFiles],
        scaling: Scaling,
        values: Sequence[int],
        augment_seed: int | None = None,
        memory_limit: int = IN_MEMORY_BYTES,
    ) -> None:
        self.scaling = scaling
        self.augment_seed = augment_seed
        self.epoch = 0
        self._channel = torch.full((MASK_NODATA + 1,), MASK_NODATA)
        self._channel[list(values)] = torch.arange(len(values))
        self.chips, self._kept = self._labelled(chips, memory_limit)

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, positions: Sequence[int]) -> dict[str, Tensor]:
        """Return a batch.

        Returns:
            `image`, float32 (batch, bands, size, size), scaled; `mask`, int64 (batch, size, size), channels or 255.
        """
        pairs = [self.raw(position) for position in positions]
        images = torch.from_numpy(self.scaling.apply(np.stack([image for image, _ in pairs])))
        masks = self._channel[torch.from_numpy(np.stack([mask for _, mask in pairs])).long()]
        if self.augment_seed is not None:
            self._turn(positions, images, masks)
        return {"image": images, "mask": masks}

    def raw(self, position: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return a chip as stored: image (bands, size, size) in the imagery's units and mask (size, size)."""
        if self._kept is not None:
            return self._kept[position]
        return read_chip(self.chips[position], len(self.scaling.mean))

    def _labelled(
        self, chips: Sequence[ChipFiles], memory_limit: int
    ) -> tuple[list[ChipFiles], list[tuple[NDArray[Any], NDArray[np.uint8]]] | None]:
        """Return the chips with labels, and their pixels where all of them fit into memory."""
        labelled, kept, size = [], [], 0
        for chip in chips:
            image, mask = read_chip(chip, len(self.scaling.mean))
            if not bool((self._channel[torch.from_numpy(mask).long()] != MASK_NODATA).any()):
                continue
            labelled.append(chip)
            size += image.nbytes + mask.nbytes
            if size <= memory_limit:
                kept.append((image, mask))
        return labelled, kept if len(kept) == len(labelled) else None

    def _turn(self, positions: Sequence[int], images: Tensor, masks: Tensor) -> None:
        turns = np.random.default_rng([self.augment_seed or 0, self.epoch]).integers(_TURNS, size=len(self))
        for row, position in enumerate(positions):
            images[row] = _turned(images[row], int(turns[position]))
            masks[row] = _turned(masks[row], int(turns[position]))


class EpochBatches(Sampler[list[int]]):
    """The batches of an epoch: a shuffled order that follows from seed and epoch, cut into nearly equal parts.

    Lightning calls `set_epoch` before every epoch, also after a resume.
    """

    def __init__(self, dataset: ChipDataset, batch_size: int, seed: int) -> None:
        self._dataset = dataset
        self._seed = seed
        wanted = -(-len(dataset) // batch_size)
        self._batches = min(wanted, len(dataset) // 2) if batch_size > 1 else wanted

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and turns come next."""
        self._dataset.epoch = epoch

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self._seed, self._dataset.epoch]).permutation(len(self._dataset))
        for part in np.array_split(order, self._batches):
            yield [int(position) for position in part]


class SegmentationDataModule(lightning.LightningDataModule):
    """The splits of a dataset version for a Lightning trainer.

    Args:
        manifest: of the dataset version.
        store: holds the bytes, verified by the caller.
        scaling: of the train split.
        values: pixel value of each class in the order of the network's channels.
        batch_size: largest number of chips in a batch.
        seed: of the order, flips and turns.

    Raises:
        TooFewChips: a split has too few chips with labels.
    """

    def __init__(
        self,
        manifest: dict[str, Any],
        store: Store,
        scaling: Scaling,
        values: Sequence[int],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self._batch_size = batch_size
        self._seed = seed
        self.train_chips, self.validation_chips, self.test_chips = (
            ChipDataset(split_files(manifest, store, split), scaling, values, augment_seed)
            for split, augment_seed in (("train", seed), ("validate", None), ("test", None))
        )
        for name, chips, least in (
            ("train", self.train_chips, SMALLEST_TRAIN_SPLIT),
            ("validate", self.validation_chips, 1),
            ("test", self.test_chips, 1),
        ):
            if len(chips) < least:
                raise TooFewChips(
                    f"the split {name!r} has {len(chips)} chips with labels and needs at least {least}; split the "
                    "dataset anew and make a new version"
                )

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the shuffled, turned train split."""
        return _loader(self.train_chips, EpochBatches(self.train_chips, self._batch_size, self._seed))

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the validation split in the order of ids."""
        return _loader(self.validation_chips, batches_in_order(len(self.validation_chips), self._batch_size))

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the test split in the order of ids."""
        return _loader(self.test_chips, batches_in_order(len(self.test_chips), self._batch_size))


def batches_in_order(count: int, batch_size: int) -> list[list[int]]:
    """Return the positions 0 … count - 1 in batches."""
    return [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]


def read_chip(chip: ChipFiles, bands: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Read a chip's image (bands, size, size) and mask (size, size).

    Raises:
        InvalidRaster: a file is not a GeoTIFF.
        InvalidInput: the image has another number of bands, or the mask another size.
    """
    with open_raster(chip.image) as source:
        image = source.read()
    with open_raster(chip.mask) as source:
        mask = source.read(1)
    if image.shape[0] != bands or mask.shape != image.shape[1:]:
        raise InvalidInput(
            f"{chip.id}: image {image.shape} and mask {mask.shape} do not fit a dataset of {bands} bands; make the "
            "dataset version anew"
        )
    return image, mask


def _loader(dataset: ChipDataset, batches: Any) -> DataLoader[dict[str, Tensor]]:
    # The private generator keeps the loader from drawing its base seed from the global one at every epoch.
    return DataLoader(dataset, sampler=batches, batch_size=None, generator=torch.Generator().manual_seed(0))


def _turned(raster: Tensor, turn: int) -> Tensor:
    turned = torch.rot90(raster, turn % 4, (-2, -1))
    return turned.flip(-1) if turn >= 4 else turned
